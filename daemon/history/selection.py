"""Which events are meant, and how they are found: newest first, from a position on."""

import contextlib
import heapq
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple, get_args

from sinks.base import Record
from sinks.selection import OF_OURS, Type

MICROSECONDS: Final = 1_000_000

TYPES: Final = tuple(word for word in get_args(Type) if word.startswith(("track", "place")))
"""What may be asked for: "track" is all of "track.appeared", "track.left", ..."""


EVENTS: Final = """
SELECT at, events.id, name, type, event_id, value, shot, picture
FROM events JOIN streams ON streams.id = stream JOIN documents ON documents.event = events.id
WHERE stream = (SELECT id FROM streams WHERE name = ?)"""


class Position(NamedTuple):
    """Where an event is in the order of all."""

    at: int
    """Unix microseconds."""
    id: int


class Row(NamedTuple):
    """An event as it is kept."""

    at: int
    """Unix microseconds."""
    id: int
    stream: str
    type: str
    """As "track.left"."""
    event_id: str
    value: bytes
    """The document, without pictures."""
    shot: str | None
    """The id of its picture's URL; None: it has none."""
    picture: int | None

    @property
    def position(self) -> Position:
        return Position(self.at, self.id)


@dataclass(frozen=True, slots=True)
class Selection:
    """Events that have one of each of these; an empty tuple asks for nothing."""

    types: tuple[str, ...] = ()
    """As "track.left"."""
    classes: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    """Of zones and lines, by name."""
    since: float | None = None
    """Unix seconds, inclusive."""
    until: float | None = None
    """Unix seconds, exclusive."""


def type_of(record: Record) -> str:
    """As "track.left"."""
    return f"{record.about.schema.removeprefix(OF_OURS)}.{record.about.event}"


def types_of(words: Iterable[str]) -> tuple[str, ...]:
    """All that are meant by words of TYPES."""
    words = tuple(words)
    return tuple(each for each in TYPES if each in words or each.partition(".")[0] in words)


def streams(connection: sqlite3.Connection) -> Sequence[str]:
    """Of which there may be events, by name."""
    return [name for (name,) in connection.execute("SELECT name FROM streams ORDER BY name")]


def select(
    connection: sqlite3.Connection, wanted: Selection, of: Iterable[str], after: Position | None, limit: int
) -> Sequence[Row]:
    """The newest events of these streams, or those that come after a position.

    Each stream has its own query, which is read no further than it must: so a long history costs no more than a short
    one, and a stream that may not be seen costs nothing.
    """
    where, values = _where(wanted, after)
    with contextlib.ExitStack() as stack:
        each = [_of_stream(connection, stack, stream, where, values) for stream in of]
        return list(islice(heapq.merge(*each, key=lambda row: row.position, reverse=True), limit))


def _of_stream(
    connection: sqlite3.Connection, stack: contextlib.ExitStack, stream: str, where: str, values: Sequence[object]
) -> Iterator[Row]:
    cursor = connection.cursor()
    stack.callback(cursor.close)  # one that is not read to its end would hold up checkpoints
    cursor.execute(f"{EVENTS}{where} ORDER BY at DESC, events.id DESC", (stream, *values))
    return map(Row._make, cursor)


def _where(wanted: Selection, after: Position | None) -> tuple[str, Sequence[object]]:
    clauses: list[str] = []
    values: list[object] = []
    for clause, among in (
        ("type IN ({})", wanted.types),
        ("class IN ({})", wanted.classes),
        ("EXISTS (SELECT 1 FROM zones WHERE zones.event = events.id AND zone IN ({}))", wanted.zones),
    ):
        if among:
            clauses.append(clause.format(", ".join("?" * len(among))))
            values += among
    for clause, moment in (("at >= ?", wanted.since), ("at < ?", wanted.until)):
        if moment is not None:
            clauses.append(clause)
            values.append(round(moment * MICROSECONDS))
    if after is not None:
        clauses.append("(at, events.id) < (?, ?)")
        values += after
    return "".join(f" AND {clause}" for clause in clauses), values
