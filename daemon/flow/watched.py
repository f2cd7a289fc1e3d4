"""What streams show to those who watch them: their last records, and the last look at a frame.

The records lie in rings, a ring for each kind of a stream's records, so that many documents do not push out the few
events. A subscriber has no queue, but a place in each ring: however many there are, a record is kept once, and nothing
waits for them. Who is too slow finds that the oldest have gone, and how many. All records of all streams have one
sequence, so that one number says where a subscriber of many streams has been.
"""

import asyncio
import heapq
import itertools
import threading
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from daemon.errors import UnknownStream
from daemon.flow.receipts import Receipt
from processors.types import Sample
from sinks.base import Record

WINDOW_EVENTS = 1000
WINDOW_BYTES = 1_000_000
"""Of a ring, at most; the last one is kept whatever its size. What subscribers are sent of it comes on top."""
MOST_BYTES = 100_000
"""Of a record; a larger one is kept without its pictures."""
BATCH_BYTES = 65_536


@dataclass(slots=True, eq=False)
class Event:
    """A record of a stream."""

    sequence: int
    stream: str
    kind: str
    """Its schema's id, as "visaged.frame"."""
    value: bytes
    has_pictures: bool
    forms: dict[object, bytes] = field(default_factory=dict)
    """As subscribers are sent it, each form made once."""


@dataclass(slots=True, eq=False)
class Look:
    """What was found on a frame."""

    sample: Sample
    """Its frame is as it came: the picture is made when it is asked for."""
    converting: threading.Lock = field(default_factory=threading.Lock)
    """Held while the picture is made."""
    pictures: "dict[object, asyncio.Future[bytes]]" = field(default_factory=dict)
    """Made of it, or being made, each once."""


class Ring:
    """The last events of one kind of a stream. They are numbered from 0."""

    def __init__(self, kind: str, most_events: int, most_bytes: int) -> None:
        self.kind = kind
        self.gone = 0
        """How many it has let go of."""
        self.gone_sequence = 0
        """Of the last one of them."""
        self._most_events = most_events
        self._most_bytes = most_bytes
        self._bytes = 0
        self._events: deque[Event] = deque()

    @property
    def end(self) -> int:
        """The number of the next event."""
        return self.gone + len(self._events)

    def add(self, event: Event) -> None:
        self._events.append(event)
        self._bytes += len(event.value)
        while len(self._events) > 1 and (len(self._events) > self._most_events or self._bytes > self._most_bytes):
            oldest = self._events.popleft()
            self._bytes -= len(oldest.value)
            self.gone, self.gone_sequence = self.gone + 1, oldest.sequence

    def clear(self) -> None:
        """Lets go of all."""
        if self._events:
            self.gone, self.gone_sequence = self.end, self._events[-1].sequence
        self._events.clear()
        self._bytes = 0

    def since(self, number: int) -> Iterator[Event]:
        """Those from a number on that are still there."""
        last = list(itertools.islice(reversed(self._events), self.end - max(number, self.gone)))
        return reversed(last)

    def after(self, sequence: int) -> int:
        """The number of the first event after one of the sequence."""
        later = itertools.takewhile(lambda event: event.sequence > sequence, reversed(self._events))
        return self.end - sum(1 for _ in later)


class Watched:
    """One stream, as it is watched; a sink's queue to its pipeline. Belongs to the event loop's thread."""

    def __init__(self, stream: str, watches: "Watches") -> None:
        self.stream = stream
        self.rings: dict[str, Ring] = {}
        """By the kind of their events."""
        self.began = watches.sequence
        """The last of the sequence before it."""
        self.lost = 0
        """Events that subscribers were too slow for."""
        self.look: Look | None = None
        """The last; None: there was none."""
        self.withheld: str | None = None
        """Why no picture of the last look may leave; None: it may, or there was none."""
        self.era = 0
        """How often what may be seen of it has changed."""
        self.left = False
        """It is no more: nothing will come."""
        self.readers: set[Subscription] = set()
        self.viewers: set[asyncio.Event] = set()
        """To be set when there is a look, or will be none."""
        self._watches = watches

    def takes(self, _: Record) -> bool:
        return True

    def offer(self, record: Record, receipt: Receipt) -> None:
        self._keep(record)
        receipt.acknowledge()

    async def put(self, record: Record, receipt: Receipt) -> None:
        """Waits for nothing."""
        self.offer(record, receipt)

    def show(self, sample: Sample, era: int = 0) -> None:
        """Of a pipeline that began in this era; what an earlier one has made is not to be shown any more."""
        if era != self.era:
            return
        self.look, self.withheld = Look(sample), None
        for viewer in self.viewers:
            viewer.set()

    def withhold(self, why: str | None) -> None:
        """A look of which no picture may leave."""
        self.withheld = why

    def forget(self) -> None:
        """What may be seen of the stream has changed: nothing that was made before is shown again."""
        self.era += 1
        self.look = None
        for ring in self.rings.values():
            ring.clear()

    def leave(self) -> None:
        """The stream is no more. May be called again."""
        self.left = True
        self._watches.forget(self)
        for reader in self.readers:
            reader.part(self)
        for viewer in self.viewers:
            viewer.set()

    def _keep(self, record: Record) -> None:
        bare = record.smaller if len(record.value) > MOST_BYTES else None
        has_pictures = record.smaller is not None and bare is None
        event = Event(self._watches.count(), self.stream, record.about.schema, bare or record.value, has_pictures)
        ring = self.rings.get(event.kind)
        if ring is None:
            ring = self.rings[event.kind] = self._watches.ring(event.kind)
        ring.add(event)
        for reader in self.readers:
            reader.notice(self, ring)


class Watches:
    """All streams that can be watched. Belongs to the event loop's thread."""

    def __init__(self, window_events: int = WINDOW_EVENTS, window_bytes: int = WINDOW_BYTES) -> None:
        self.run = uuid.uuid4().hex
        """Names the sequence, which begins anew with the process."""
        self.sequence = 0
        """Of the last event."""
        self.gone_sequence = 0
        """Of the last event of the streams that are no more."""
        self.streams: dict[str, Watched] = {}
        self.watching: Counter[str] = Counter()
        """How many watch, by what they watch."""
        self.refused = 0
        """How many there was no room for."""
        self.of_all: set[Subscription] = set()
        """Those to streams that are still to come, too."""
        self._window = window_events, window_bytes

    def join(self, stream: str) -> Watched:
        self.streams[stream] = watched = Watched(stream, self)
        for subscription in self.of_all:
            subscription.meet(watched, self.sequence)
        return watched

    def forget(self, watched: Watched) -> None:
        if self.streams.get(watched.stream) is watched:
            del self.streams[watched.stream]
            self.gone_sequence = self.sequence

    def watched(self, stream: str) -> Watched:
        """Raises UnknownStream."""
        try:
            return self.streams[stream]
        except KeyError:
            raise UnknownStream(stream) from None

    def count(self) -> int:
        self.sequence += 1
        return self.sequence

    def ring(self, kind: str) -> Ring:
        return Ring(kind, *self._window)


@dataclass(slots=True, eq=False)
class _Place:
    """Where a subscriber is in a ring."""

    watched: Watched
    ring: Ring
    number: int

    def ahead(self) -> "Iterator[tuple[int, Event, _Place]]":
        return ((event.sequence, event, self) for event in self.ring.since(self.number))

    def skip_gone(self) -> int:
        """How many have gone before they were read."""
        lost = max(self.ring.gone - self.number, 0)
        self.number += lost
        self.watched.lost += lost
        return lost


class Subscription:
    """A subscriber's places in the rings of one stream, or of all that there are and will be."""

    def __init__(
        self,
        watches: Watches,
        watched: Watched | None,
        *,
        may: Callable[[str], bool] = lambda _: True,
        wants: Callable[[str], bool] = lambda _: True,
        after: int | None = None,
    ) -> None:
        """`watched`: the stream; None: all that it `may`. `wants`: which kinds.

        `after`: it begins behind this one of the sequence; None: with what comes from now on.
        """
        self.changed = asyncio.Event()
        """Set when there may be something to take, or there will be nothing any more."""
        self.has_gap = False
        """Whether not all of what it was to begin with is there."""
        self._watches = watches
        self._watched = watched
        self._may = may
        self._wants = wants
        self._places: dict[Ring, _Place] = {}
        self._due: set[_Place] = set()
        self._joined: set[Watched] = set()
        self._parted: list[Watched] = []
        begin = watches.sequence if after is None else after
        if watched is None:
            self.has_gap = begin < watches.gone_sequence
            watches.of_all.add(self)
            self.meet_all(begin)
        else:
            self.has_gap = begin < watched.began
            self.meet(watched, begin)

    @property
    def stream(self) -> str | None:
        """None: all."""
        return None if self._watched is None else self._watched.stream

    @property
    def ended(self) -> bool:
        """Nothing will come."""
        return self._watched is not None and self._watched.left

    def close(self) -> None:
        self._watches.of_all.discard(self)
        for watched in self._joined:
            watched.readers.discard(self)

    def meet_all(self, after: int) -> None:
        """Those that it may by now."""
        if self._watched is None:
            for watched in self._watches.streams.values():
                self.meet(watched, after)

    def meet(self, watched: Watched, after: int) -> None:
        if watched in self._joined or not self._may(watched.stream):
            return
        self._joined.add(watched)
        watched.readers.add(self)
        for ring in watched.rings.values():
            if self._wants(ring.kind):
                self.has_gap |= after < ring.gone_sequence
                self._place(watched, ring, ring.after(after))

    def part(self, watched: Watched) -> None:
        self._parted.append(watched)
        self.changed.set()

    def notice(self, watched: Watched, ring: Ring) -> None:
        """The ring has a further event."""
        place = self._places.get(ring)
        if place is not None:
            self._due.add(place)
            self.changed.set()
        elif self._wants(ring.kind):  # its first
            self._place(watched, ring, 0)

    def take(self) -> tuple[int, list[Event]]:
        """How many were lost, and what is next, in their sequence: some 64 KiB at most; none: there is nothing yet."""
        self.changed.clear()
        lost = sum(place.skip_gone() for place in self._due)
        events: list[Event] = []
        size = 0
        for _, event, place in heapq.merge(*(place.ahead() for place in self._due)):
            if size > BATCH_BYTES:
                self.changed.set()
                return lost, events
            place.number += 1
            size += len(event.value)
            events.append(event)
        self._due.clear()
        self._let_go()
        return lost, events

    def _place(self, watched: Watched, ring: Ring, number: int) -> None:
        self._places[ring] = place = _Place(watched, ring, number)
        if number < ring.end:
            self._due.add(place)
            self.changed.set()

    def _let_go(self) -> None:
        """Of the streams that are no more, and of which all was taken."""
        for watched in self._parted:
            self._joined.discard(watched)
            for ring in watched.rings.values():
                self._places.pop(ring, None)
        self._parted.clear()
