"""JSON Lines: what the file and the standard output have in common."""

from collections.abc import Sequence

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
