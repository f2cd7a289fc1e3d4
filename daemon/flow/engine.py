"""The worker threads that run every model, and the lanes by which streams and HTTP share them.

onnxruntime, OpenVINO, OpenCV and FFmpeg release the GIL, so threads with single-threaded sessions scale with the cores.
Workers take the next job from the lane that has had the least time for its weight (stride scheduling, Waldspurger and
Weihl 1995, charged with measured CPU time): each lane gets its share whatever its jobs cost, and an idle lane saves
nothing up.

A model that hangs cannot be killed in a thread. Its run is terminated; where that does not help the thread is given up,
and a new worker and a new session take over. After a few of these within an hour the process is to be started afresh.
Other work that takes as long is given up as well, but counts for nothing there: it is a picture's, whose decoding is
bounded, and no picture ends the daemon.
"""

import asyncio
import contextvars
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar, TypeVarTuple

from daemon.errors import DeadlineExceeded, EngineClosed, EngineStuck, WorkerHung
from daemon.flow.history import History
from models.session import run_in

T = TypeVar("T")
R = TypeVar("R")
Ts = TypeVarTuple("Ts")

log = logging.getLogger(__name__)

HANG_TIMEOUT_S = 60.0
TERMINATION_S = 3.0  # between two operators of a network; a single one seldom takes longer
JOIN_S = 10.0
MOST_ABANDONED = 3
ABANDONED_AGE_S = 3600.0  # after which one is forgotten: a few in a week are no sign of a device that is gone


class Lane:
    """A stream's or HTTP's share of the engine. Made by Engine.lane(); belongs to the event loop's thread."""

    def __init__(self, engine: "Engine", name: str, weight: float, share: float | None, at_once: int | None) -> None:
        self.name = name
        self._at_once = at_once
        self._weight = weight
        self._share = share
        self._engine = engine
        self._jobs: deque[_Job[object]] = deque()
        self._used = 0.0  # CPU seconds by weight; the lane that has had the least goes first

    def submit(self, fn: Callable[[*Ts], T], *args: *Ts, deadline: float | None = None) -> "asyncio.Future[T]":
        """Runs fn(*args) in a worker, beside the lane's other jobs; awaited in turn, their results are in order.

        Cancelled before it began, it is skipped; not begun by `deadline` (time.monotonic()), it is DeadlineExceeded.
        """
        return self._engine._add(self, _Job(lambda: fn(*args), deadline))

    @property
    def weight(self) -> float:
        """Of time beside the others'. With a share it grows with theirs, so that what is kept for it stays."""
        if self._share is None:
            return self._weight
        lanes = self._engine._lanes
        before = lanes[: lanes.index(self)] if self in lanes else lanes
        others = sum(lane.weight for lane in lanes if lane._share is None or lane in before)
        return max(others, 1.0) * self._share / (1 - self._share)

    def weigh(self, weight: float) -> None:
        """Its weight beside the others' from now on; where it has a share, that counts alone."""
        self._weight = weight

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

    def __init__(self, workers: int, hang_timeout: float = HANG_TIMEOUT_S) -> None:
        if workers < 1:
            raise ValueError(f"expected 1 worker or more, got {workers}")
        self.workers = workers
        self.hung = 0
        """Jobs that did not end in time."""
        self.abandoned = 0
        """Threads that were given up with one."""
        self._busy_s = 0.0  # of jobs that are over
        self._history = History[str]()
        self._hang_timeout = hang_timeout
        self._models_hung_at: list[float] = []
        self._lanes: list[Lane] = []
        self._changed = threading.Condition()  # guards all below and the lanes' queues
        self._closed = False
        self._used = 0.0  # where the lane served last stood
        self._workers = [_Worker(f"worker-{n}", self._work) for n in range(workers)]

    @property
    def busy_seconds(self) -> float:
        """That all workers together have been at work."""
        now = time.monotonic()
        with self._changed:
            return self._busy_s + sum(now - worker.began for worker in self._workers if worker.began < now)

    def sample(self) -> None:
        """Once a second."""
        self._history.sample({"busy": self.busy_seconds})

    def busy_share(self, seconds: float) -> float | None:
        """The part of the workers' time, 0..1, that they were at work; None: it is too early to say."""
        growth = self._history.growth(seconds)
        return None if growth is None else growth.rate("busy") / self.workers

    def lane(self, name: str, weight: float = 1.0, *, share: float | None = None, at_once: int | None = None) -> Lane:
        """A lane of weight 2 gets twice the time of one of weight 1 while both have work.

        With a `share`, between 0 and 1, it gets that part of the time of all that have none, however many, and of those
        with a share that were made before it. At most `at_once` workers are at its jobs: the others find one free.
        """
        if not weight > 0:
            raise ValueError(f"expected a weight above 0, got {weight}")
        if share is not None and not 0 < share < 1:
            raise ValueError(f"expected a share between 0 and 1, got {share}")
        lane = Lane(self, name, weight, share, at_once)
        with self._changed:
            self._lanes.append(lane)
        return lane

    async def close(self, timeout: float = JOIN_S) -> None:
        """Cancels what waits, and lets the workers end their jobs in `timeout` seconds, which all of them share."""
        with self._changed:
            self._closed = True
            waiting = [job for lane in self._lanes for job in lane._clear()]
            self._changed.notify_all()
        _cancel(waiting)
        await asyncio.to_thread(self._join, time.monotonic() + timeout)

    def _join(self, deadline: float) -> None:
        for worker in self._workers:
            worker.thread.join(max(deadline - time.monotonic(), 0.0))
            if worker.thread.is_alive():
                log.error("%s is left behind with work that does not end", worker.thread.name)

    async def watch(self) -> None:
        """Sees to jobs that hang, until it is cancelled. Raises EngineStuck."""
        while True:
            await asyncio.sleep(min(self._hang_timeout / 4, 1.0))
            for worker in self._workers:
                if time.monotonic() - worker.began > self._hang_timeout:
                    await self._free(worker)

    async def _free(self, worker: "_Worker") -> None:
        self.hung += 1
        job, run = worker.job, run_in(worker.ident)
        what = run.session.manifest.name if run is not None else "work that is no model's"
        log.error("%s has been in %s for more than %g s", worker.thread.name, what, self._hang_timeout)
        if run is not None:
            run.terminate()
            deadline = time.monotonic() + TERMINATION_S
            while worker.job is job and time.monotonic() < deadline:  # noqa: ASYNC110  # the thread can't tell
                await asyncio.sleep(0.05)
        with self._changed:
            if worker.job is not job or job is None:
                return
            worker.is_abandoned = True
            self._busy_s += time.monotonic() - worker.began
            self._workers[self._workers.index(worker)] = _Worker(worker.thread.name, self._work)
        self.abandoned += 1
        job.give_up(WorkerHung(f"{what} has not ended in {self._hang_timeout:g} s"))
        log.error("%s was given up; another thread takes its place", worker.thread.name)
        if run is not None:
            self._count_hung_model(what)
            await asyncio.to_thread(run.session.reopen)

    def _count_hung_model(self, name: str) -> None:
        now = time.monotonic()
        self._models_hung_at = [at for at in self._models_hung_at if now - at < ABANDONED_AGE_S] + [now]
        if len(self._models_hung_at) >= MOST_ABANDONED:
            raise EngineStuck(f"{len(self._models_hung_at)} workers have hung within an hour, the last one in {name}")

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

    def _may_run(self, lane: Lane) -> bool:
        return lane._at_once is None or sum(worker.lane is lane for worker in self._workers) < lane._at_once

    def _work(self, worker: "_Worker") -> None:
        while True:
            with self._changed:
                while not (ready := [lane for lane in self._lanes if lane._jobs and self._may_run(lane)]):
                    if self._closed:
                        return
                    self._changed.wait()
                lane = min(ready, key=lambda lane: lane._used)
                self._used = lane._used
                worker.job, worker.lane = lane._jobs.popleft(), lane
                worker.began = time.monotonic()
            before = time.thread_time()
            worker.job.run()
            took = time.thread_time() - before  # of the CPU: what others make it wait is not the lane's doing
            with self._changed:
                if worker.is_abandoned:
                    return
                self._busy_s += time.monotonic() - worker.began
                worker.began = math.inf
                worker.job = worker.lane = None  # a worker that waits holds no frame
                lane._used += took / lane.weight


class _Worker:
    """A thread and what it is at."""

    __slots__ = ("began", "is_abandoned", "job", "lane", "thread")

    def __init__(self, name: str, work: "Callable[[_Worker], None]") -> None:
        self.job: _Job[object] | None = None
        self.lane: Lane | None = None
        self.began = math.inf
        self.is_abandoned = False
        self.thread = threading.Thread(target=work, args=(self,), name=name, daemon=True)
        self.thread.start()

    @property
    def ident(self) -> int:
        assert self.thread.ident is not None  # noqa: S101  # it was started
        return self.thread.ident


class _Job(Generic[T]):
    """A call, in the context of the one who asks for it, and its future, which is settled on its own event loop."""

    __slots__ = ("_context", "_deadline", "_fn", "_loop", "future")

    def __init__(self, fn: Callable[[], T], deadline: float | None) -> None:
        self._fn = fn
        self._context = contextvars.copy_context()  # a worker's own says nothing of what it works on
        self._deadline = deadline
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[T] = self._loop.create_future()

    def run(self) -> None:
        if self.future.cancelled():
            return
        try:
            if self._deadline is not None and time.monotonic() >= self._deadline:
                raise DeadlineExceeded("the deadline passed before the work began")
            result = self._context.run(self._fn)
        except BaseException as err:  # noqa: BLE001  # whatever it is, it belongs to the one who awaits
            self._call(self._fail, err)
        else:
            self._call(self._finish, result)

    def give_up(self, error: Exception) -> None:
        """From the event loop's thread; what the work may still come to counts for nothing."""
        self._fail(error)

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
