"""Lines of the log: whatever is written into one, it stays one line, and of a length that people can read."""

import logging
import re
from collections.abc import Iterable
from types import TracebackType
from typing import Final

LONGEST_LINE: Final = 900
MOST_LINES: Final = 100
"""Of a traceback; of a longer one the middle is left out."""

UNPRINTABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class BoundedFormatter(logging.Formatter):
    """Quotes what would break a line or move a terminal's cursor, and cuts what is long.

    Messages hold foreign text: paths, ids, keys, what a library says of bytes that it could not read. Every record
    passes here, so that nobody need think of it elsewhere.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:
        return bounded(super().formatMessage(record))

    def formatException(self, ei: ExcInfo) -> str:
        return _bounded_lines(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:
        return _bounded_lines(super().formatStack(stack_info))


def bounded(text: str) -> str:
    """One line of it, of LONGEST_LINE characters and a few that say how many there were."""
    quoted = UNPRINTABLE.sub(_quoted, text[: LONGEST_LINE + 1])
    return quoted if len(quoted) <= LONGEST_LINE else f"{quoted[:LONGEST_LINE]}... ({len(text):,} characters)"


def _quoted(unprintable: re.Match[str]) -> str:
    return unprintable[0].encode("unicode_escape").decode("ascii")


def _bounded_lines(text: str) -> str:
    return "\n".join(bounded(line) for line in _without_middle(text.split("\n")))


def _without_middle(lines: list[str]) -> Iterable[str]:
    if len(lines) <= MOST_LINES:
        return lines
    half = MOST_LINES // 2
    return [*lines[:half], f"... ({len(lines) - 2 * half:,} lines)", *lines[-half:]]
