"""How long things take: distributions for /metrics, and what the workers' time goes to."""

import contextlib
import math
import threading
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from daemon.flow.history import History
from daemon.flow.spans import step
from processors.types import Frame, Image, Processor, Sample, Scalable

BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of a histogram's buckets, inclusive; the last bucket has none."""
RECENT_S = 60.0
MOST_RECENT = 6000

DECODE, TELL = "decode", "tell"
"""No processors, but they take their time too: making a frame's picture, and following it and making its document."""


class Histogram:
    """Seconds by size. For any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buckets = [0] * (len(BOUNDS_S) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        with self._lock:
            self._buckets[bisect_left(BOUNDS_S, seconds)] += 1
            self._sum += seconds

    @contextlib.contextmanager
    def timing(self) -> Iterator[None]:
        """Observes how long it takes, whatever its end."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.observe(time.perf_counter() - began)

    def read(self) -> tuple[Sequence[int], float]:
        """The number in each bucket, and the sum of all."""
        with self._lock:
            return tuple(self._buckets), self._sum


class Quantiles(NamedTuple):
    """In seconds."""

    p50: float
    p95: float


class Latency:
    """Seconds that things took to their end. Belongs to one thread."""

    def __init__(self) -> None:
        self.histogram = Histogram()
        self._recent: deque[tuple[float, float]] = deque(maxlen=MOST_RECENT)

    def add(self, seconds: float) -> None:
        self.histogram.observe(seconds)
        self._recent.append((time.monotonic(), seconds))

    def quantiles(self) -> Quantiles | None:
        """Of the last minute, at most of the last 6,000; None: nothing ended."""
        since = time.monotonic() - RECENT_S
        took = sorted(seconds for at, seconds in self._recent if at >= since)
        if not took:
            return None
        return Quantiles(took[math.ceil(0.5 * len(took)) - 1], took[math.ceil(0.95 * len(took)) - 1])


class Spent(NamedTuple):
    """Seconds by the clock and of the CPU; the two differ by what a worker waited for the CPU or another thread."""

    calls: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0


class _Nested(threading.local):
    """What the stopwatches that began and ended within the one that runs have measured."""

    seconds = 0.0
    cpu_seconds = 0.0


_nested = _Nested()


class Stopwatch:
    """What something has taken so far, without what has a stopwatch of its own within. For any number of threads.

    Where a trace is kept of what it is part of, each run is a step of that.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._spent = Spent()

    @property
    def spent(self) -> Spent:
        return self._spent

    @contextlib.contextmanager
    def running(self, calls: int = 1) -> Iterator[None]:
        before = _nested.seconds, _nested.cpu_seconds
        _nested.seconds = _nested.cpu_seconds = 0.0
        began, cpu_began = time.perf_counter(), time.thread_time()
        try:
            with step(self._name):
                yield
        finally:
            seconds, cpu_seconds = time.perf_counter() - began, time.thread_time() - cpu_began
            self._add(calls, seconds - _nested.seconds, cpu_seconds - _nested.cpu_seconds)
            _nested.seconds, _nested.cpu_seconds = before[0] + seconds, before[1] + cpu_seconds

    def _add(self, calls: int, seconds: float, cpu_seconds: float) -> None:
        with self._lock:
            spent = self._spent
            self._spent = Spent(spent.calls + calls, spent.seconds + seconds, spent.cpu_seconds + cpu_seconds)


class Timed:
    """A processor and what it takes."""

    def __init__(self, processor: Processor, stopwatch: Stopwatch) -> None:
        self.applies_to = processor.applies_to
        self.needs = processor.needs
        self.makes = processor.makes
        self._processor = processor
        self._stopwatch = stopwatch

    def __call__(self, samples: Sequence[Sample]) -> None:
        with self._stopwatch.running():
            self._processor(samples)


class TimedPicture(Scalable):
    """A frame's picture that halves, and what it takes to make it: however often, it counts as one call."""

    halves = True

    def __init__(self, picture: Scalable, stopwatch: Stopwatch) -> None:
        self._picture = picture
        self._stopwatch = stopwatch
        self._calls = 1

    def __call__(self) -> Image:
        with self._running():
            return self._picture()

    def halved(self) -> Image:
        with self._running():
            return self._picture.halved()

    def scaled(self, width: int, height: int) -> Image:
        return self._picture.scaled(width, height)  # for who watches: no part of the work

    def _running(self) -> contextlib.AbstractContextManager[None]:
        calls, self._calls = self._calls, 0
        return self._stopwatch.running(calls)


class Timing:
    """Where the time of a stream's frames goes, or of a consumer's or of HTTP's requests."""

    def __init__(self) -> None:
        self.wait = Histogram()
        """From a frame's arrival until a worker begins it."""
        self.look = Histogram()
        self.tell = Histogram()
        self._decode, self._tell = Stopwatch(DECODE), Stopwatch(TELL)
        self._stopwatches = {DECODE: self._decode, TELL: self._tell}
        self.history = History[str]()
        """Seconds by the name of a stopwatch."""

    @property
    def spent(self) -> Mapping[str, Spent]:
        """By processor, and DECODE and TELL; what has not run is left out."""
        spent = {name: stopwatch.spent for name, stopwatch in list(self._stopwatches.items())}
        return {name: one for name, one in spent.items() if one.calls}

    def timed(self, name: str, processor: Processor) -> Processor:
        """Of one name all calls count together."""
        return Timed(processor, self._stopwatches.setdefault(name, Stopwatch(name)))

    def decode(self, frame: Frame) -> None:
        """Makes the frame's picture; of one that halves, times what is made of it when it is made."""
        load = frame.load
        if load is None or isinstance(load, TimedPicture):
            return
        if isinstance(load, Scalable) and load.halves:
            frame.load = TimedPicture(load, self._decode)
        else:
            with self._decode.running():
                _ = frame.image

    @contextlib.contextmanager
    def telling(self) -> Iterator[None]:
        with self.tell.timing(), self._tell.running():
            yield

    def sample(self) -> None:
        """Once a second."""
        self.history.sample({name: one.seconds for name, one in self.spent.items()})
