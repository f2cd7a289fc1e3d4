"""Work that no frame waits for, in a lane of its own: a frame's way must not cost more when the machine is busy.

What is put aside waits in a bounded list of its owner's (`Waiting`), which gives out the most urgent when a worker is
to begin one, and sheds what has no room. A job is done in steps, so that a frame that comes waits for one of them at
most.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from daemon.errors import EngineClosed
from daemon.flow.engine import Lane


class Job(Protocol):
    """Ends once, by end() or fail(); from the event loop's thread."""

    @property
    def steps(self) -> Sequence[Callable[[], object]]:
        """To be called in turn, in the engine's workers."""

    def end(self) -> None: ...
    def fail(self, err: BaseException) -> None: ...


class Waiting(Protocol):
    """What waits to be worked on."""

    def take(self) -> Job | None:
        """The most urgent, which no longer waits; None: nothing waits."""

    def shed(self, reason: str) -> None:
        """Ends all that waits."""


class Aside:
    """Works on what waits, up to `at_once` jobs beside each other. Belongs to the event loop's thread."""

    def __init__(self, waiting: Waiting, lane: Lane, at_once: int, report: Callable[[BaseException], None]) -> None:
        self._waiting = waiting
        self._report = report
        self._lane = lane
        self._at_once = at_once
        self._running: set[asyncio.Task[None]] = set()
        self._closed = False

    def wake(self) -> None:
        """Something may have been put aside."""
        while not self._closed and len(self._running) < self._at_once and (job := self._waiting.take()) is not None:
            task = asyncio.create_task(self._work_on(job))
            self._running.add(task)
            task.add_done_callback(self._next)

    async def close(self, timeout: float, reason: str) -> None:
        """Sheds what waits, and lets what is under way end within `timeout` seconds."""
        self._closed = True
        self._waiting.shed(reason)
        if self._running:
            await asyncio.wait(self._running, timeout=timeout)
        self.cancel(reason)

    def cancel(self, reason: str) -> None:
        """Gives all up: what a worker is at comes to nothing."""
        self._closed = True
        self._waiting.shed(reason)
        for task in self._running:
            task.cancel()

    def _next(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        self.wake()

    async def _work_on(self, job: Job) -> None:
        try:
            for step in job.steps:
                await self._lane.submit(step)
        except asyncio.CancelledError as err:
            job.fail(err)
            raise
        except Exception as err:  # noqa: BLE001  # one bad job fails alone, whatever its error
            job.fail(err)
            if not isinstance(err, EngineClosed):
                self._report(err)
        else:
            job.end()
