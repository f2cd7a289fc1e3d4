"""What a sink is: where documents go. A sink knows nothing of frames, streams or the daemon.

A sink MUST
- write records in the order given, and return from write() only when it holds all of them as safely as its
  docstring says;
- raise SinkError, and nothing else, when it does not;
- after a retriable SinkError of write() see to itself whatever it needs to go on (a new connection, the file opened
  again) in the next write(); after one of open(), in the next open();
- release everything in close(), in bounded time, also after an error, while a write() waits, or before open(); after
  close() it may be opened again;
- say in the first sentence of its class's docstring what it may lose, repeat or reorder.
It never retries (but for what its client library does inside one call), logs nothing per record, and counts in `counts`
what it did to a record beside writing it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol

from pydantic import Field

Linger = Annotated[
    float,
    Field(
        ge=0,
        description="Seconds that a document may wait for others to be written with it: many in one write cost little "
        "more than one.",
    ),
]
"""A setting that every sink has; the daemon sees to it."""


Header = tuple[str, bytes | None]


@dataclass(frozen=True, slots=True)
class Record:
    """One document on its way out, in Kafka's words."""

    key: str
    value: bytes
    headers: tuple[Header, ...] = ()
    timestamp: float | None = None
    """Unix seconds; None: when it is written."""
    smaller: bytes | None = None
    """The same document without its pictures, for a sink with a size limit; None: it has none."""
    topic: str | None = None
    """For a sink that has topics; None: the sink's own."""
    durable: bool = False
    """Waits for room, and is never dropped for a newer one."""
    tombstone: bool = False
    """Has no value, which to Kafka is not an empty one."""


class SinkError(Exception):
    """A sink could not be opened, or records were not written: all of the call, or those that it names.

    `retriable`: the same call may succeed later; the caller waits and makes it again, with `unwritten` alone. A sink
    whose error is not retriable has ended. `refused` records, each with a short reason (a name of counters: no figures
    in it), will never be written; alone they do not end the sink, whatever `retriable` says.
    """

    def __init__(
        self,
        message: str,
        *,
        retriable: bool,
        unwritten: Sequence[Record] = (),
        refused: Sequence[tuple[Record, str]] = (),
    ) -> None:
        super().__init__(message)
        self.retriable = retriable
        self.unwritten = tuple(unwritten)
        self.refused = tuple(refused)


class Sink(Protocol):
    counts: Counter[str]
    """What it did to records beside writing them, e.g. `without_pictures`."""

    async def open(self) -> None: ...
    async def write(self, records: Sequence[Record]) -> None: ...
    async def close(self) -> None: ...
