import asyncio
import json
import logging
from datetime import datetime
from typing import Any

import pytest

from daemon.logs import ABOUT, LONGEST_LINE, MOST_LINES, AboutFilter, BoundedFormatter, JsonFormatter, about, bounded

FORMATTER = BoundedFormatter("%(levelname)s %(message)s")


def line_of(message: str, *args: object, error: BaseException | None = None) -> str:
    exc_info = None if error is None else (type(error), error, error.__traceback__)
    return FORMATTER.format(logging.LogRecord("a", logging.INFO, "a.py", 1, message, args, exc_info))


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("plain, with a\ttab and an é", "plain, with a\ttab and an é"),
        ("a\nINFO forged", "a\\nINFO forged"),
        ("a\r\x1b[2J\x00\x85", "a\\r\\x1b[2J\\x00\\x85"),
        ("a\u2028b", "a\\u2028b"),
        ("half \udcff a character", "half \\udcff a character"),
    ],
)
def test_foreign_text_stays_within_its_line(text: str, written: str) -> None:
    assert bounded(text) == written
    assert line_of("the key is %s", text) == f"INFO the key is {written}"
    written.encode()


@pytest.mark.parametrize("text", ["A" * 6_000_000, "\n" * 6_000_000, "\U0010ffff" * 950])
def test_a_line_has_a_limit(text: str) -> None:
    line = line_of("got %s", text)
    assert LONGEST_LINE <= len(line) < 1000
    assert line.endswith(f"({len(text) + len('INFO got '):,} characters)")


def test_a_traceback_has_lines_of_its_own_within_the_limits() -> None:
    def deeper(depth: int) -> None:
        if not depth:
            raise ValueError("\n".join(["A" * 5000, *["B\x1b"] * 500]))
        deeper(depth - 1)

    try:
        deeper(20)
    except ValueError as err:
        lines = line_of("it failed", error=err).splitlines()
    assert lines[:2] == ["INFO it failed", "Traceback (most recent call last):"]
    assert max(map(len, lines)) < 1000
    assert len(lines) == MOST_LINES + 2
    assert lines[-1] == "B\\x1b"


def test_what_is_short_is_left_as_it_is() -> None:
    stack = logging.LogRecord("a", logging.INFO, "a.py", 1, "here", (), None, sinfo="Stack:\n  one\n  two")
    assert FORMATTER.format(stack) == "INFO here\nStack:\n  one\n  two"
    assert line_of("x" * 800) == f"INFO {'x' * 800}"


def json_of(record: logging.LogRecord) -> dict[str, Any]:
    AboutFilter().filter(record)
    text = JsonFormatter().format(record)
    assert "\n" not in text
    line: dict[str, Any] = json.loads(text)
    return line


def test_json_is_an_object_a_line() -> None:
    try:
        raise ValueError("a\nb")
    except ValueError as err:
        record = logging.LogRecord("a", logging.WARNING, "a.py", 1, "é\n%s", ("\udcff",), (ValueError, err, None))
    line = json_of(record)
    assert datetime.fromisoformat(line.pop("time")).timestamp() == pytest.approx(record.created, abs=0.001)
    assert line == {"level": "warning", "logger": "a", "message": "é\\n\\udcff", "exception": "ValueError: a\nb"}


def test_json_has_named_members_alone_and_they_are_short() -> None:
    record = logging.LogRecord("a", logging.INFO, "a.py", 1, "x" * 6_000_000, (), None)
    record.image = "QUFB"
    with about(stream="y" * 6_000_000):
        line = json_of(record)
    assert line.keys() == {"time", "level", "logger", "message", "stream"}
    assert max(map(len, line.values())) < 1000


async def test_a_line_is_about_what_its_task_and_the_tasks_of_that_are_about() -> None:
    found: list[object] = []

    async def tell() -> None:
        found.append(dict(ABOUT.get()))

    async def work(stream: str) -> None:
        ABOUT.set({"stream": stream})
        await asyncio.create_task(tell())
        with about(sink="k"):
            await tell()
        await tell()

    await asyncio.gather(work("a"))
    await tell()
    assert found == [{"stream": "a"}, {"stream": "a", "sink": "k"}, {"stream": "a"}, {}]


def test_text_has_the_zone_of_its_time_and_the_request() -> None:
    record = logging.LogRecord("a", logging.INFO, "a.py", 1, "hello", (), None)
    AboutFilter().filter(record)
    text = BoundedFormatter("%(asctime)s [%(request_id)s] %(message)s").format(record)
    at, _, rest = text.partition(" [")
    assert rest == "-] hello"
    written = datetime.fromisoformat(at)
    assert written.utcoffset() is not None
    assert written.timestamp() == pytest.approx(record.created, abs=0.001)
