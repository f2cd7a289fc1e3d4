"""How each frame ended. Counters come from receipts alone, so that by construction

in = acknowledged + skipped + dropped + failed.
"""

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Generic, TypeVar

from daemon.flow.history import Growth, History
from daemon.flow.spans import Span
from daemon.flow.timing import Latency

T = TypeVar("T")


Became = tuple[str, str]
"""What became of some, and why: ("dropped", "overload")."""
NOT_TAKEN = "not taken"
"""Why a sink skips a record: its settings do not ask for it."""
RECEIVED: Became = ("received", "")
ACKNOWLEDGED: Became = ("acknowledged", "")


class Ending(IntEnum):
    """In the order of gravity: of several sinks' answers the gravest is the frame's ending."""

    ACKNOWLEDGED = 0
    SKIPPED = 1
    """Passed over as the configuration says, or to be read again; nothing is lost."""
    DROPPED = 2
    HUNG = 3
    """Work on it did not end. Counted as dropped."""
    FAILED = 4
    IN_DOUBT = 5
    """It may have been written or not. Counted as failed. What can be read again is, and so this is graver: a failure
    would be the last word."""


OnEnd = Callable[[Ending, str], None]
"""Told how a receipt ended, and why."""


class Counts:
    """What became of the frames of one stream (or of the records of one sink). All but times only grow."""

    def __init__(self) -> None:
        self.received = 0
        self.acknowledged = 0
        self.untaken = 0
        """Those of which no sink takes anything. They are acknowledged."""
        self.skipped: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.received_at: float | None = None
        """When the last one came, in Unix seconds; None: none has."""
        self.acknowledged_at: float | None = None
        self.latency = Latency()
        """From the capture to the acknowledgement; where no capture is known, from when it came."""
        self.history = History[Became]()

    @property
    def reasons(self) -> Mapping[str, Counter[str]]:
        """What was not acknowledged, by what became of it and why."""
        return {"skipped": self.skipped, "dropped": self.dropped, "failed": self.failed}

    @property
    def pending(self) -> int:
        """Received and not ended yet."""
        ended = self.acknowledged + sum(reasons.total() for reasons in self.reasons.values())
        return self.received - ended

    def open(
        self, on_end: OnEnd | None = None, *, captured_at: float | None = None, span: Span | None = None
    ) -> "Receipt":
        """Counts a frame in and hands out its receipt, with which `span` ends; `captured_at` in Unix seconds."""
        self.received += 1
        self.received_at = now = time.time()
        return Receipt(self, on_end, 0.0 if captured_at is None else max(now - captured_at, 0.0), span)

    def end(self, ending: Ending, reason: str) -> None:
        if ending is Ending.ACKNOWLEDGED:
            self.acknowledged += 1
            self.acknowledged_at = time.time()
        elif ending is Ending.SKIPPED:
            self.skipped[reason] += 1
        elif ending in (Ending.DROPPED, Ending.HUNG):
            self.dropped[reason] += 1
        else:
            self.failed[reason] += 1

    def pending_before(self, growth: Growth[Became]) -> float:
        """How many were under way when what has grown until now began to."""
        return self.pending - (2 * growth.by[RECEIVED] - sum(growth.by.values()))

    def sample(self) -> None:
        """Once a second."""
        totals: dict[Became, float] = {RECEIVED: self.received, ACKNOWLEDGED: self.acknowledged}
        for name, reasons in self.reasons.items():
            totals |= {(name, reason): count for reason, count in reasons.items()}
        self.history.sample(totals)


class LookCounts:
    """Of the frames of a stream that is tracked, by what is tracked on them. For any number of threads."""

    def __init__(self) -> None:
        self.looks: Counter[str] = Counter()
        """Frames that were looked at for a class."""
        self.predictions: Counter[str] = Counter()
        """Frames whose objects of a class were predicted. Both together are all frames that were told of."""
        self.withheld: Counter[str] = Counter()
        """Frames of which no picture may leave, as somebody on it could not be hidden, by why. Also without tracks."""
        self._lock = threading.Lock()

    def add(self, looked: Iterable[str], predicted: Iterable[str]) -> None:
        """A frame."""
        with self._lock:
            self.looks.update(looked)
            self.predictions.update(predicted)

    def withhold(self, why: str) -> None:
        """A frame."""
        with self._lock:
            self.withheld[why] += 1


def summary(counts: Counts, noun: str) -> str:
    """E.g. "12 frames, 10 acknowledged, 2 dropped (stopped: 2)"."""
    ended = {"skipped": counts.skipped, "dropped": counts.dropped, "failed": counts.failed}
    others = [f"{reasons.total()} {how} ({_listed(reasons)})" for how, reasons in ended.items() if reasons]
    pending = [f"{counts.pending} pending"] if counts.pending else []
    return ", ".join([f"{counts.received} {noun}", f"{counts.acknowledged} acknowledged", *others, *pending])


def _listed(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{reason}: {count}" for reason, count in reasons.items())


class Receipt:
    """Ends once, when each of the sinks it was handed to has answered; belongs to the event loop's thread."""

    __slots__ = ("_age", "_awaited", "_counts", "_ending", "_on_end", "_reason", "opened_at", "span")

    def __init__(self, counts: Counts, on_end: OnEnd | None, age: float, span: Span | None = None) -> None:
        """`age`: seconds since the capture."""
        self.span = span
        self.opened_at = time.monotonic()
        self._age = age
        self._counts = counts
        self._on_end = on_end
        self._awaited = 1
        self._ending = Ending.ACKNOWLEDGED
        self._reason = ""

    @property
    def awaited(self) -> int:
        """Answers that have not come."""
        return self._awaited

    def note_untaken(self) -> None:
        """No sink takes anything of it."""
        self._counts.untaken += 1

    def expect(self, answers: int) -> None:
        """The number of sinks that will answer; called before the first of them can."""
        if answers < 1:
            raise ValueError(f"expected at least one answer, got {answers}")
        self._awaited = answers

    def acknowledge(self) -> None:
        """A sink has it."""
        self._answer(Ending.ACKNOWLEDGED, "")

    def skip(self, reason: str) -> None:
        """The configuration passes over it."""
        self._answer(Ending.SKIPPED, reason)

    def drop(self, reason: str) -> None:
        """It was let go on purpose (a full queue, too late)."""
        self._answer(Ending.DROPPED, reason)

    def hang(self, reason: str) -> None:
        """The work on it did not end."""
        self._answer(Ending.HUNG, reason)

    def fail(self, reason: str) -> None:
        """Something broke."""
        self._answer(Ending.FAILED, reason)

    def doubt(self, reason: str) -> None:
        """A sink may have it or not, and can't find out."""
        self._answer(Ending.IN_DOUBT, reason)

    def _answer(self, ending: Ending, reason: str) -> None:
        if self._awaited == 0:
            raise RuntimeError("expected a receipt that is open, got one that has ended")
        if ending > self._ending:
            self._ending, self._reason = ending, reason
        self._awaited -= 1
        if self._awaited == 0:
            self._counts.end(self._ending, self._reason)
            if self._ending is Ending.ACKNOWLEDGED:
                self._counts.latency.add(self._age + time.monotonic() - self.opened_at)
            if self._on_end is not None:
                self._on_end(self._ending, self._reason)
            if self.span is not None:
                _end(self.span, self._ending, self._reason)


def _end(span: Span, ending: Ending, reason: str) -> None:
    span.attributes["visaged.ending"] = ending.name.lower()
    if reason:
        span.attributes["visaged.reason"] = reason
    span.end(error=reason if ending in (Ending.HUNG, Ending.FAILED, Ending.IN_DOUBT) else None)


class Ledger(Generic[T]):
    """Of a partition's records those that have not been taken, and what the ended ones came to.

    Offsets come in ascending order, with gaps: transactions and compaction leave some out.
    """

    def __init__(self, position: int) -> None:
        self.position = position
        """The offset to commit: all before it have been taken."""
        self._next = position
        self._outcomes: OrderedDict[int, T | None] = OrderedDict()

    def __len__(self) -> int:
        """Records that have come and have not been taken."""
        return len(self._outcomes)

    def open(self, offset: int) -> None:
        """A record has come. Raises ValueError where it is not behind all that have."""
        if offset < self._next:
            raise ValueError(f"expected an offset of {self._next} or more, got {offset}")
        self._next = offset + 1
        self._outcomes[offset] = None

    def end(self, offset: int, outcome: T) -> None:
        """It is done. Raises ValueError where it has ended or never come."""
        if offset not in self._outcomes or self._outcomes[offset] is not None:
            raise ValueError(f"expected the offset of an open record, got {offset}")
        self._outcomes[offset] = outcome

    def take(self, most: int) -> Sequence[T]:
        """What the first records came to, up to the first that is open; moves the position behind them."""
        taken: list[T] = []
        while self._outcomes and len(taken) < most:
            offset, outcome = next(iter(self._outcomes.items()))
            if outcome is None:
                break
            del self._outcomes[offset]
            self.position = offset + 1
            taken.append(outcome)
        return taken
