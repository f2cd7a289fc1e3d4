"""What is written to the history, and what is removed from it. It blocks: for one thread.

A picture's file is there before its event, and goes after it. So what is cut off between leaves a file without an
event, which the next start removes.
"""

import contextlib
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from daemon.errors import HistoryError
from daemon.history.database import opened, pragma, told
from daemon.history.pictures import Pictures, digest_of, size_on_disk
from daemon.history.selection import MICROSECONDS, Position, Selection, select, streams, type_of
from daemon.history.settings import HistorySettings
from sinks.base import Record

CHUNK: Final = 1000
"""Events that are removed at once: so long waits what comes meanwhile."""
PAGES: Final = 1000
"""That are given back to the file system at once."""
SPARE: Final = 0.1
"""Of the file that may be free, to be used again."""
DAY_S: Final = 86_400.0
NOT_OPEN: Final = "the history is not open: /status says why, under `sinks`"

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Figures:
    """What is kept."""

    events: int = 0
    pictures: int = 0
    bytes: int = 0
    """On the disk, without the log."""
    oldest: float | None = None
    """Unix seconds; None: there is none."""


class _Totals(NamedTuple):
    events: int = 0
    pictures: int = 0
    picture_bytes: int = 0


class Store:
    """What a call raises HistoryError for has changed nothing."""

    def __init__(self, folder: Path, settings: HistorySettings, clock: Clock = time.time) -> None:
        self.path = folder / "events.db"
        self.pictures = Pictures(folder / "shots")
        self.figures = Figures()
        """As of the last change; for other threads too."""
        self.removed: Counter[str] = Counter()
        """Events, by why they are no more."""
        self._settings = settings
        self._clock = clock
        self._connection: sqlite3.Connection | None = None
        self._totals = _Totals()

    @property
    def oldest_allowed(self) -> float:
        """Unix seconds; what is older is as good as deleted."""
        return self._clock() - self._settings.days * DAY_S

    def open(self) -> None:
        """Removes files of which no event knows. Raises HistoryRefused where the database is not ours."""
        self.close()
        with told(self.path):
            self._connection = db = opened(self.path)
            pictures = dict(db.execute("SELECT digest, bytes FROM pictures").fetchall())
            self.pictures.begin(pictures.keys())
            (events,) = db.execute("SELECT count(*) FROM events").fetchone()
            self._totals = _Totals(events, len(pictures), sum(map(size_on_disk, pictures.values())))
            self._tell()

    def close(self) -> None:
        """May be called again, and after whatever happened."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):  # it has been told
                connection.close()

    def add(self, records: Sequence[Record]) -> None:
        """All of them; an event that is there already stays as it is. Where there is too much the oldest go."""
        written: list[bytes] = []
        with told(self.path):
            try:
                with self._transaction() as db:
                    for record in records:
                        self._insert(db, record, written)
            except BaseException:
                self.pictures.remove(written)
                raise
            self._trim()
            self._tell()

    def tidy(self) -> bool:
        """Removes some of what is too old or too much; whether there may be more."""
        with told(self.path):
            rows = select(self._db, Selection(until=self.oldest_allowed), streams(self._db), None, CHUNK)
            self._remove([(row.id, row.picture) for row in rows], "days")
            self._trim()
            self._tell()
            return bool(rows) or self._is_too_much

    def delete(self, wanted: Selection, of: Sequence[str], after: Position | None) -> tuple[int, Position | None]:
        """Some of what is wanted: how many, and where there may be more; None: nowhere. scrub() is to follow."""
        with told(self.path):
            rows = select(self._db, wanted, of, after, CHUNK)
            self._remove([(row.id, row.picture) for row in rows], "deleted")
            self._tell()
        return len(rows), rows[-1].position if rows else None

    def scrub(self) -> None:
        """Empties the log, in which what was deleted still stands, and forgets streams without events."""
        with told(self.path):
            with self._transaction() as db:
                db.execute("DELETE FROM streams WHERE NOT EXISTS (SELECT 1 FROM events WHERE stream = streams.id)")
            busy, *_ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise HistoryError(f"{self.path}: its log cannot be emptied while it is read: try again")

    def shrink(self, spare: float = 0.0) -> bool:
        """Gives free space back to the file system, some at a time; whether more than this share is free still."""
        with told(self.path):
            if self._free_share > spare:
                self._db.execute(f"PRAGMA incremental_vacuum({PAGES})").fetchall()
            self._tell()
            return self._free_share > spare

    @property
    def _db(self) -> sqlite3.Connection:
        if self._connection is None:
            raise HistoryError(NOT_OPEN)
        return self._connection

    @property
    def _is_too_much(self) -> bool:
        return self._totals.events > 0 and self._size > self._settings.bytes

    @property
    def _free_share(self) -> float:
        return pragma(self._db, "freelist_count") / max(pragma(self._db, "page_count"), 1)

    @property
    def _size(self) -> int:
        pages = pragma(self._db, "page_count") - pragma(self._db, "freelist_count")
        return pages * pragma(self._db, "page_size") + self._totals.picture_bytes

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        db, totals = self._db, self._totals
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
            db.execute("COMMIT")
        except BaseException:
            self._totals = totals
            if db.in_transaction:  # some errors end it
                db.execute("ROLLBACK")
            raise

    def _insert(self, db: sqlite3.Connection, record: Record, written: list[bytes]) -> None:
        db.execute("INSERT INTO streams (name) VALUES (?) ON CONFLICT DO NOTHING", (record.key,))
        inserted = db.execute(
            "INSERT INTO events (stream, at, event_id, type, class) "
            "VALUES ((SELECT id FROM streams WHERE name = ?), ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            _columns(record, self._clock()),
        )
        if not inserted.rowcount:
            return
        event = inserted.lastrowid
        value = record.value if record.smaller is None else record.smaller
        db.execute("INSERT INTO documents VALUES (?, ?)", (event, value))
        zones = {zone for subject in record.about.objects for zone in subject.zones}
        db.executemany("INSERT INTO zones VALUES (?, ?)", [(event, zone) for zone in zones])
        if record.shot is not None:
            picture = self._picture(db, record.shot.jpeg, written)
            db.execute("UPDATE events SET shot = ?, picture = ? WHERE id = ?", (record.shot.id, picture, event))
        self._totals = self._totals._replace(events=self._totals.events + 1)

    def _picture(self, db: sqlite3.Connection, jpeg: bytes, written: list[bytes]) -> int | None:
        """Its row's id."""
        digest = digest_of(jpeg)
        for (known,) in db.execute("SELECT id FROM pictures WHERE digest = ?", (digest,)).fetchall():
            return int(known)
        written.append(digest)
        self.pictures.write(digest, jpeg)
        self._count_picture(1, len(jpeg))
        return db.execute("INSERT INTO pictures (digest, bytes) VALUES (?, ?)", (digest, len(jpeg))).lastrowid

    def _count_picture(self, number: int, length: int) -> None:
        events, pictures, size = self._totals
        self._totals = _Totals(events, pictures + number, size + number * size_on_disk(length))

    def _trim(self) -> None:
        """Of what is too much the oldest go, in the order in which they came; some CHUNK of them at most."""
        removed = 0
        while self._is_too_much and removed < CHUNK:
            count = min(self._totals.events // 100 + 1, CHUNK)
            oldest = self._db.execute("SELECT id, picture FROM events ORDER BY id LIMIT ?", (count,)).fetchall()
            self._remove(oldest, "bytes")
            removed += count

    def _remove(self, events: Sequence[tuple[int, int | None]], why: str) -> None:
        ids = [(event,) for event, _ in events]
        with self._transaction() as db:
            db.executemany("DELETE FROM zones WHERE event = ?", ids)
            db.executemany("DELETE FROM documents WHERE event = ?", ids)
            db.executemany("DELETE FROM events WHERE id = ?", ids)
            self._totals = self._totals._replace(events=self._totals.events - len(ids))
            gone = list(self._unused(db, {picture for _, picture in events if picture is not None}))
        if ids:
            self.removed[why] += len(ids)
        self.pictures.remove(gone)

    def _unused(self, db: sqlite3.Connection, pictures: Iterable[int]) -> Iterator[bytes]:
        """Removes those that no event has any more."""
        unused = (
            "SELECT digest, bytes FROM pictures WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM events WHERE picture = ?1)"
        )
        for picture in pictures:
            for digest, length in db.execute(unused, (picture,)).fetchall():
                db.execute("DELETE FROM pictures WHERE id = ?", (picture,))
                self._count_picture(-1, length)
                yield digest

    def _tell(self) -> None:
        first = self._db.execute("SELECT at FROM events ORDER BY id LIMIT 1").fetchone()
        self.figures = Figures(
            self._totals.events, self._totals.pictures, self._size, None if first is None else first[0] / MICROSECONDS
        )


def _columns(record: Record, now: float) -> tuple[object, ...]:
    about = record.about
    return (
        record.key,
        round((now if record.timestamp is None else record.timestamp) * MICROSECONDS),
        next(((value or b"").decode() for name, value in record.headers if name == "ce_id"), ""),
        type_of(record),
        about.objects[0].label if about.objects else None,
    )
