"""The database file, and the one place that knows how SQLite fails.

It is in WAL mode: who reads sees a whole state and holds nobody back who writes. A power cut may take the last
transactions, never the file. What is deleted is overwritten with zeros (`secure_delete`).
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from daemon.errors import HistoryDamaged, HistoryError, HistoryRefused, SearchTooLong
from daemon.work.state import private

VERSION: Final = 1
BUSY_S: Final = 10.0
"""How long a checkpoint waits for those who read; they end before (QUERY_S)."""

LOG_BYTES: Final = 8_000_000
"""To which the log's file is cut when it has grown beyond."""

TABLES: Final = """
CREATE TABLE streams (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE pictures (
    id INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE, -- names its file
    bytes INTEGER NOT NULL
);
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    stream INTEGER NOT NULL REFERENCES streams,
    at INTEGER NOT NULL, -- Unix microseconds
    event_id TEXT NOT NULL,
    type TEXT NOT NULL, -- as "track.left"
    class TEXT,
    shot TEXT UNIQUE, -- the random id of its URL
    picture INTEGER REFERENCES pictures,
    UNIQUE (stream, event_id)
);
CREATE INDEX events_by_time ON events (stream, at, type, class); -- both can be asked of it alone
CREATE INDEX events_by_picture ON events (picture) WHERE picture IS NOT NULL;
CREATE TABLE documents (event INTEGER PRIMARY KEY, value BLOB NOT NULL); -- apart: those that are searched are short
CREATE TABLE zones (event INTEGER NOT NULL, zone TEXT NOT NULL, PRIMARY KEY (event, zone)) WITHOUT ROWID;
"""
DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """What SQLite and the file system raise becomes a HistoryError, a query that was cut off SearchTooLong."""
    try:
        yield
    except sqlite3.Error as err:
        code = getattr(err, "sqlite_errorcode", 0) & 0xFF  # the primary one
        if code == sqlite3.SQLITE_INTERRUPT:
            raise SearchTooLong("Too much is to be searched: name a stream, or a shorter time by from and to") from err
        if code in DAMAGED:
            raise HistoryDamaged(f"{path} is damaged ({err}): move it away, and a new one is begun") from err
        raise HistoryError(f"{path}: {err}") from err
    except OSError as err:
        raise HistoryError(f"{err.filename or path}: {err.strerror}") from err


def opened(path: Path) -> sqlite3.Connection:
    """To write to; made where there is none. Raises what told() makes of errors, and HistoryRefused."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(path, "ab", opener=private):  # the log's file gets the same mode
        pass
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
    try:
        _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def opened_to_read(path: Path) -> sqlite3.Connection:
    """One that there is."""
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
    connection.execute("PRAGMA query_only = ON")
    return connection


def pragma(connection: sqlite3.Connection, name: str) -> int:
    (figure,) = connection.execute(f"PRAGMA {name}").fetchone()
    return int(figure)


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # takes effect in an empty file alone
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
    version = pragma(connection, "user_version")
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if tables == 0:
        connection.executescript(f"BEGIN;{TABLES}PRAGMA user_version = {VERSION};COMMIT;")
    elif version != VERSION:
        raise HistoryRefused(
            f"{path}: expected a history of version {VERSION}, got {version}: run the visaged that wrote it, or move "
            "the file away to begin a new history"
        )
