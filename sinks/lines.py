"""JSON Lines: what the file and the standard output have in common."""

from collections.abc import Sequence
from itertools import accumulate

from sinks.base import Record, SinkError

Refused = list[tuple[Record, str]]


def one_line_each(records: Sequence[Record]) -> tuple[list[Record], Refused]:
    """Those that are one line, and those that are more, which would be read back as several broken documents."""
    lines = [record for record in records if b"\n" not in record.value]
    return lines, [(record, "more than one line") for record in records if b"\n" in record.value]


def joined(lines: Sequence[Record]) -> bytes:
    return b"".join(record.value + b"\n" for record in lines)


def raise_refused(refused: Refused) -> None:
    if refused:
        raise SinkError(f"expected documents of one line, got {len(refused)} others", retriable=False, refused=refused)


def behind(lines: Sequence[Record], written: int) -> list[Record]:
    """Of joined lines those that are not whole in its first `written` bytes."""
    ends = accumulate(len(record.value) + 1 for record in lines)
    return [record for record, end in zip(lines, ends, strict=True) if end > written]
