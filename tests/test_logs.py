import logging

import pytest

from daemon.logs import LONGEST_LINE, MOST_LINES, BoundedFormatter, bounded

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
