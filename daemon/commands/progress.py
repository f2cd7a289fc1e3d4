"""How far a command is, on standard error: a bar at a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Collection, Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")

EVERY_S = 10.0
"""Between two lines: a log keeps them all, and what ends sooner has none."""


def progress(items: Iterable[T], unit: str, title: str | None = None, total: int | None = None) -> Iterator[T]:
    """The items; each counts as done when the next one is asked for."""
    if total is None and isinstance(items, Collection):
        total = len(items)
    if sys.stderr.isatty():
        yield from tqdm(items, title, total, unit=unit, file=sys.stderr)
    else:
        yield from _in_lines(items, unit, title, total)


def _in_lines(items: Iterable[T], unit: str, title: str | None, total: int | None) -> Iterator[T]:
    began = told = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if now - told >= EVERY_S:
            told = now
            of_all = "" if total is None else f" of {total}"
            sys.stderr.write(f"{title or 'visaged'}: {done}{of_all} {unit}s in {now - began:.0f} s\n")
            sys.stderr.flush()
        yield item
