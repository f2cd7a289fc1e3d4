"""The worker threads that run every model, and the lanes by which streams and HTTP share them.

onnxruntime, OpenCV and FFmpeg release the GIL, so threads with single-threaded sessions scale with the cores. Workers
take the next job from the lane that has had the least time for its weight (stride scheduling, Waldspurger and Weihl
1995, charged with measured time): each lane gets its share whatever its jobs cost, and an idle lane saves nothing up.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar, TypeVarTuple

from daemon.errors import DeadlineExceeded, EngineClosed

T = TypeVar("T")
R = TypeVar("R")
Ts = TypeVarTuple("Ts")

log = logging.getLogger(__name__)


class Lane:
    """A stream's or HTTP's share of the engine. Made by Engine.lane(); belongs to the event loop's thread."""

    def __init__(self, engine: "Engine", name: str, weight: float) -> None:
        self.name = name
        self.weight = weight
        self._engine = engine
        self._jobs: deque[_Job[object]] = deque()
        self._used = 0.0  # seconds by weight; the lane that has had the least goes first

    def submit(self, fn: Callable[[*Ts], T], *args: *Ts, deadline: float | None = None) -> "asyncio.Future[T]":
        """Runs fn(*args) in a worker, beside the lane's other jobs; awaited in turn, their results are in order.

        Cancelled before it began, it is skipped; not begun by `deadline` (time.monotonic()), it is DeadlineExceeded.
        """
        return self._engine._add(self, _Job(lambda: fn(*args), deadline))

    @property
    def waiting(self) -> int:
        """Jobs that no worker has begun."""
        return len(self._jobs)

    def close(self) -> None:
        """Gives the lane back; what waits in it is cancelled. May be called again."""
        self._engine._remove(self)

    def _clear(self) -> "list[_Job[object]]":
        waiting = list(self._jobs)
        self._jobs.clear()
        return waiting


class Engine:
    """Worker threads over lanes. The public methods belong to the event loop's thread."""

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise ValueError(f"expected 1 worker or more, got {workers}")
        self.workers = workers
        self._lanes: list[Lane] = []
        self._changed = threading.Condition()  # guards all below and the lanes' queues
        self._closed = False
        self._used = 0.0  # where the lane served last stood
        self._threads = [threading.Thread(target=self._work, name=f"worker-{n}", daemon=True) for n in range(workers)]
        for thread in self._threads:
            thread.start()

    def lane(self, name: str, weight: float = 1.0) -> Lane:
        """A lane of weight 2 gets twice the time of one of weight 1 while both have work."""
        if not weight > 0:
            raise ValueError(f"expected a weight above 0, got {weight}")
        lane = Lane(self, name, weight)
        with self._changed:
            self._lanes.append(lane)
        return lane

    async def close(self) -> None:
        """Cancels what waits, lets each worker end its job, and ends them."""
        with self._changed:
            self._closed = True
            waiting = [job for lane in self._lanes for job in lane._clear()]
            self._changed.notify_all()
        _cancel(waiting)
        await asyncio.to_thread(self._join)

    def _join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _add(self, lane: Lane, job: "_Job[T]") -> "asyncio.Future[T]":
        with self._changed:
            if self._closed:
                raise EngineClosed("the engine has stopped")
            if not lane._jobs:
                lane._used = max(lane._used, self._used)
            lane._jobs.append(job)  # type: ignore[arg-type]  # a job hands its result to its own future alone
            self._changed.notify()
        return job.future

    def _remove(self, lane: Lane) -> None:
        with self._changed:
            if lane in self._lanes:
                self._lanes.remove(lane)
            waiting = lane._clear()
        _cancel(waiting)

    def _work(self) -> None:
        while True:
            with self._changed:
                while not (ready := [lane for lane in self._lanes if lane._jobs]):
                    if self._closed:
                        return
                    self._changed.wait()
                lane = min(ready, key=lambda lane: lane._used)
                self._used = lane._used
                job = lane._jobs.popleft()
            began = time.monotonic()
            job.run()
            took = time.monotonic() - began
            with self._changed:
                lane._used += took / lane.weight
            del job  # a worker that waits holds no frame


class _Job(Generic[T]):
    """A call and its future. The future is settled on its own event loop."""

    __slots__ = ("_deadline", "_fn", "_loop", "future")

    def __init__(self, fn: Callable[[], T], deadline: float | None) -> None:
        self._fn = fn
        self._deadline = deadline
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[T] = self._loop.create_future()

    def run(self) -> None:
        if self.future.cancelled():
            return
        try:
            if self._deadline is not None and time.monotonic() >= self._deadline:
                raise DeadlineExceeded("the deadline passed before the work began")
            result = self._fn()
        except BaseException as err:  # noqa: BLE001  # whatever it is, it belongs to the one who awaits
            self._call(self._fail, err)
        else:
            self._call(self._finish, result)

    def _call(self, settle: Callable[[R], None], value: R) -> None:
        try:
            self._loop.call_soon_threadsafe(settle, value)
        except RuntimeError:
            log.debug("a result came after its event loop had closed")

    def _finish(self, result: T) -> None:
        if not self.future.done():
            self.future.set_result(result)

    def _fail(self, error: BaseException) -> None:
        if isinstance(error, StopIteration):  # no future takes it: its caller would wait for ever
            error, cause = RuntimeError("the work raised StopIteration"), error
            error.__cause__ = cause
        if not self.future.done():
            self.future.set_exception(error)


def _cancel(jobs: "list[_Job[object]]") -> None:
    for job in jobs:
        job.future.cancel()
