"""What is looked up in the history. It blocks: for one thread."""

import contextlib
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from daemon.errors import HistoryError, NotKept
from daemon.history.database import opened_to_read, told
from daemon.history.selection import MICROSECONDS, Position, Row, Selection, select, streams
from daemon.history.store import NOT_OPEN, Store

QUERY_S: Final = 5.0
"""A query may take; so long a checkpoint may have to wait."""
STEPS: Final = 10_000
"""Of SQLite's machine, some 0.1 ms, between two looks at the clock."""


class Shot(NamedTuple):
    """A picture, and when its event was, in Unix seconds."""

    stream: str
    at: float
    jpeg: bytes


class Reader:
    """Of what a store keeps. Each call raises HistoryError, and SearchTooLong."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._connection: sqlite3.Connection | None = None
        self._ends_at = 0.0

    def open(self) -> None:
        """When the store is."""
        self.close()
        with told(self._store.path):
            self._connection = opened_to_read(self._store.path)
            self._connection.set_progress_handler(lambda: time.monotonic() > self._ends_at, STEPS)

    def close(self) -> None:
        """May be called again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def streams(self) -> Sequence[str]:
        with told(self._store.path):
            return streams(self._begun())

    def page(self, wanted: Selection, of: Sequence[str], after: Position | None, limit: int) -> Sequence[Row]:
        with told(self._store.path):
            since = max(wanted.since or 0.0, self._store.oldest_allowed)
            return select(self._begun(), replace(wanted, since=since), of, after, limit)

    def shot(self, shot: str) -> Shot:
        """Raises NotKept."""
        with told(self._store.path):
            row = (
                self._begun()
                .execute(
                    "SELECT name, at, digest FROM events JOIN streams ON streams.id = stream "
                    "JOIN pictures ON pictures.id = picture WHERE shot = ? AND at >= ?",
                    (shot, round(self._store.oldest_allowed * MICROSECONDS)),
                )
                .fetchone()
            )
            jpeg = None if row is None else self._store.pictures.read(row[2])
        if jpeg is None:
            raise NotKept("No shot has this id, or no longer")
        return Shot(row[0], row[1] / MICROSECONDS, jpeg)

    def _begun(self) -> sqlite3.Connection:
        """A query may take so long from now on."""
        if self._connection is None:
            raise HistoryError(NOT_OPEN)
        self._ends_at = time.monotonic() + QUERY_S
        return self._connection
