"""What a sink is: where documents go. A sink knows nothing of frames, streams or the daemon.

docs/extending.md says what a sink must do, and shows one from nothing.
"""

import secrets
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, ClassVar, Protocol

from pydantic import Field

Linger = Annotated[
    float,
    Field(
        ge=0,
        description="Seconds that a document waits for others, to be written together with them. Few large writes "
        "need less CPU than many small ones.",
    ),
]
"""A setting that every sink has; the daemon sees to it."""


Header = tuple[str, bytes | None]
WITHOUT_PICTURES: Header = ("visaged-without-pictures", b"true")


Attribute = str | float | bool


@dataclass(frozen=True, slots=True)
class Subject:
    """One object of a document: a face or a body."""

    label: str
    """Its class."""
    confidence: float | None = None
    """0 to 1; None: nobody has looked for it on this frame."""
    zones: frozenset[str] = frozenset()
    """Names of those that it is in; of an event of a zone or a line, the name of that one."""
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    """What was estimated, by its name in the document: `age` in years, `gender`, ..."""


@dataclass(frozen=True, slots=True)
class About:
    """What a document says, for those who choose by it and do not read JSON."""

    schema: str = ""
    """Its schema's id, e.g. "visaged.track"."""
    event: str = ""
    """Of what it tells, e.g. "appeared"; empty: of a frame."""
    objects: tuple[Subject, ...] = ()


@dataclass(frozen=True, slots=True)
class Shot:
    """The picture of what a record tells of, for those who keep pictures."""

    jpeg: bytes
    id: str = field(default_factory=partial(secrets.token_urlsafe, 16))
    """Of its URL: 128 random bits."""


@dataclass(frozen=True, slots=True)
class Record:
    """One document on its way out, in Kafka's words."""

    key: str
    """The id of the stream."""
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
    about: About = field(default=About(), repr=False, compare=False)
    shot: Shot | None = field(default=None, repr=False)
    """None: it has none, or nobody keeps it."""

    note: ClassVar[str] = "without_pictures"
    """What a sink counts where it writes the record in a smaller form."""

    @property
    def key_bytes(self) -> bytes | None:
        """Kafka's key."""
        return self.key.encode()

    @property
    def size(self) -> int:
        """Bytes, without what a batch adds."""
        return len(self.key_bytes or b"") + (0 if self.tombstone else len(self.value)) + size_of(self.headers)

    def fitted(self, most_bytes: int) -> "Record | None":
        """As it may be sent where a record has `most_bytes` at most; None: it is too large in any form."""
        if self.size <= most_bytes:
            return self
        if self.smaller is None:
            return None
        bare = replace(self, value=self.smaller, smaller=None, headers=(*self.headers, WITHOUT_PICTURES))
        return bare if bare.size <= most_bytes else None


def size_of(headers: Iterable[Header]) -> int:
    """Bytes of their names and values."""
    return sum(len(name.encode()) + len(value or b"") for name, value in headers)


class SinkError(Exception):
    """A sink could not be opened, or records were not written: all of the call, or those that it names.

    `retriable`: the same call may succeed later; the caller waits, `retry_after` seconds at least where the sink was
    told so, and makes it again, with `unwritten` alone. A sink
    whose write() is not retriable is opened again; one whose open() is not has ended. `refused` records, each with a
    short reason (a name of counters: no figures in it), will never be written. `in_doubt` records may have been written
    or not, and the sink can't find out; it will not write them again. Neither kind says anything of the sink, whatever
    `retriable` says, where there is no other.
    """

    def __init__(
        self,
        message: str,
        *,
        retriable: bool,
        unwritten: Sequence[Record] = (),
        refused: Sequence[tuple[Record, str]] = (),
        in_doubt: Sequence[Record] = (),
        retry_after: float = 0.0,
    ) -> None:
        super().__init__(message)
        self.retriable = retriable
        self.retry_after = retry_after
        self.unwritten = tuple(unwritten)
        self.refused = tuple(refused)
        self.in_doubt = tuple(in_doubt)


class SinkInUse(SinkError):
    """Another process writes to it, and it takes one at a time. It may end: an open() may be tried again."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retriable=True)


class Sink(Protocol):
    """A place that records are written to; it belongs to the event loop's thread.

    >>> import asyncio
    >>> class InMemory:
    ...     '''Loses all at the end of the process; repeats and reorders nothing.'''
    ...     def __init__(self) -> None:
    ...         self.counts: Counter[str] = Counter()
    ...         self.values: list[bytes] = []
    ...     async def open(self) -> None: ...
    ...     async def write(self, records: Sequence[Record]) -> None:
    ...         self.values += [record.value for record in records]
    ...     async def close(self) -> None: ...
    >>> sink = InMemory()
    >>> asyncio.run(sink.write([Record("entrance", b'{"objects": []}')]))
    >>> sink.values
    [b'{"objects": []}']
    """

    counts: Counter[str]
    """What it did to records beside writing them, e.g. `without_pictures`."""

    async def open(self) -> None:
        """Raises SinkError."""

    async def write(self, records: Sequence[Record]) -> None:
        """Returns when it holds all of them. Raises SinkError."""

    async def close(self) -> None:
        """In bounded time, whatever happened before; open() may follow."""
