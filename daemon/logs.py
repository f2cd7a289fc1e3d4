"""Lines of the log: whatever is written into one, it stays one line, and of a length that people can read.

A line knows what it is about: whoever works on a stream says so once, by about(), and all lines of that work bear it.
"""

import contextlib
import json
import logging
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from datetime import datetime
from types import MappingProxyType, TracebackType
from typing import Final, Literal

LONGEST_LINE: Final = 900
TEXT: Final = "%(asctime)s %(levelname)-7s %(name)s [%(request_id)s] %(message)s"
MOST_LINES: Final = 100
"""Of a traceback; of a longer one the middle is left out."""

UNPRINTABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

LogFormat = Literal["text", "json"]
ABOUT: Final = ContextVar[Mapping[str, str]]("about", default=MappingProxyType({}))
"""What lines are about here: `stream`, `consumer`, `sink`, `request_id`, `trace_id`. Tasks, jobs of workers
and threads of readers inherit it."""

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


@contextlib.contextmanager
def about(**fields: str) -> Iterator[None]:
    """Lines within are about this too."""
    token = ABOUT.set({**ABOUT.get(), **fields})
    try:
        yield
    finally:
        ABOUT.reset(token)


class AboutFilter(logging.Filter):
    """Gives each record `about`, and `request_id`, which is "-" outside of requests; refuses none."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.about = fields = ABOUT.get()
        record.request_id = fields.get("request_id", "-")
        return True


def log_to_stderr(level: str, form: LogFormat = "text") -> None:
    """All of the process's log lines: standard output is a sink's."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(AboutFilter())
    handler.setFormatter(JsonFormatter() if form == "json" else BoundedFormatter(TEXT))
    logging.basicConfig(level=level.upper(), handlers=[handler])


class BoundedFormatter(logging.Formatter):
    """Quotes what would break a line or move a terminal's cursor, and cuts what is long.

    Messages hold foreign text: paths, ids, keys, what a library says of bytes that it could not read. Every record
    passes here, so that nobody need think of it elsewhere.
    """

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """In the machine's time zone, which it names: RFC 3339 but for the blank."""
        return _time(record).isoformat(" ", "milliseconds")

    def formatMessage(self, record: logging.LogRecord) -> str:
        return bounded(super().formatMessage(record))

    def formatException(self, ei: ExcInfo) -> str:
        return _bounded_lines(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:
        return _bounded_lines(super().formatStack(stack_info))


class JsonFormatter(BoundedFormatter):
    """An object a line. Only what is named here is written of a record: what else it bears may be an image."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _time(record).isoformat("T", "milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": bounded(record.getMessage()),
            **{name: bounded(value) for name, value in getattr(record, "about", {}).items()},
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = self.formatStack(record.stack_info)
        return json.dumps(line, ensure_ascii=False)


def _time(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created).astimezone()


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
