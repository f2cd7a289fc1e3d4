"""A file of a stream's tracks that have appeared and not left, and of their visits to zones. It survives a crash."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from daemon.errors import InvalidDocument
from daemon.wire.codec import encode, parse
from daemon.wire.v2 import PLACE_SCHEMA, TRACK_SCHEMA, rfc3339
from daemon.work.state import private

log = logging.getLogger(__name__)

IN_DOUBT_S = 10.0
"""Seconds. Events this shortly before a crash may not have reached the sinks."""
SCHEMAS = (TRACK_SCHEMA.id, PLACE_SCHEMA.id)
LONGEST = 1_000_000  # bytes; a longer file is written anew without the tracks that are over


class Entry(NamedTuple):
    """The latest event of a track, of a visit of it to a zone, or of a way across a line; `at` Unix seconds."""

    key: str
    event: Mapping[str, Any]
    at: float
    is_last: bool
    schema: str = TRACK_SCHEMA.id


class Journal:
    """One line per event, written before the event. Survives the process; a power cut may lose the last lines.

    Used by one run at a time, in the engine's workers. A file that cannot be read or written is logged, and what is
    done with the frames goes on: it is then like a stream without a journal.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: dict[str, Entry] = {}
        self._broken = False
        self._longest = LONGEST

    def write(
        self, key: str, event: Mapping[str, Any], at: float, *, is_last: bool, schema: str = TRACK_SCHEMA.id
    ) -> None:
        entry = Entry(key, event, at, is_last, schema)
        self._entries.pop(key, None)  # it goes behind the others
        self._entries[key] = entry
        self._attempt(lambda: self._append(entry))

    def still_open(self) -> Sequence[Entry]:
        """Entries of an earlier run, oldest first: what had not come to its end, or whose last event may be lost."""
        entries = self._read()
        latest = max((entry.at for entry in entries.values()), default=0.0)
        return [entry for entry in entries.values() if _is_open(entry, latest)]

    def replace(self, entries: Sequence[Entry]) -> None:
        """Keeps these entries and no others."""
        self._entries = {entry.key: entry for entry in entries}
        self._attempt(self._rewrite)

    def _read(self) -> dict[str, Entry]:
        """The last entry of each key, in the order of the entries."""
        lines: list[bytes] = []
        self._attempt(lambda: lines.extend(self._path.read_bytes().splitlines() if self._path.exists() else ()))
        entries: dict[str, Entry] = {}
        unread = 0
        for line in lines:
            entry = _entry(line)
            if entry is None:
                unread += 1
                continue
            entries.pop(entry.key, None)
            entries[entry.key] = entry
        if unread:
            log.warning("%s: %d of %d lines are no events and are passed over", self._path, unread, len(lines))
        return entries

    def _append(self, entry: Entry) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with open(self._path, "ab", opener=private) as file:
            file.write(_line(entry))
            length = file.tell()
        if length > self._longest:
            self._entries = {key: other for key, other in self._entries.items() if _is_open(other, entry.at)}
            self._rewrite()
            self._longest = max(LONGEST, 2 * self._path.stat().st_size)  # many may be open

    def _rewrite(self) -> None:
        if not self._entries:
            self._path.unlink(missing_ok=True)
            return
        new = self._path.with_suffix(".new")
        with open(new, "wb", opener=private) as file:
            file.writelines(map(_line, self._entries.values()))
        new.replace(self._path)

    def _attempt(self, access: Callable[[], None]) -> None:
        try:
            access()
        except OSError as err:
            if not self._broken:
                log.error("%s: %s: after a crash, tracks of this run may never leave", self._path, err.strerror)
            self._broken = True


def _entry(line: bytes) -> Entry | None:
    """None: not what we wrote. A crash cuts the last line short, and a disk or an editor may do more."""
    try:
        match parse(line):
            case [str(key), dict(event), float(at) | int(at), bool(is_last), *schema] if not isinstance(at, bool):
                rfc3339(at)
                if schema in ([], *([known] for known in SCHEMAS)):  # once there were tracks alone
                    return Entry(key, event, at, is_last, *schema)
    except (InvalidDocument, ValueError, OverflowError, OSError):  # the latter of a time that no calendar has
        pass
    return None


def _is_open(entry: Entry, now: float) -> bool:
    return not entry.is_last or entry.at > now - IN_DOUBT_S


def _line(entry: Entry) -> bytes:
    return encode(entry) + b"\n"
