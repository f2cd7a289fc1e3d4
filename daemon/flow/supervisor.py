"""Keeps a stream or a consumer running: the one place that waits and tries again when a source fails."""

import asyncio
import contextlib
import logging
import time
from typing import Generic, Literal, Protocol, TypeVar

from daemon.errors import SourceError
from daemon.flow.receipts import Counts

log = logging.getLogger(__name__)

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 30.0
HEALTHY_S = 10.0

State = Literal["connecting", "running", "waiting", "ended", "stopped"]


class Runs(Protocol):
    """A stream, or what is like one: run() may be called again after it has ended or raised SourceError."""

    name: str
    counts: Counts

    async def run(self) -> None: ...
    def stop(self) -> None:
        """Ends the source; run() returns when what is under way has gone to the sinks."""


R = TypeVar("R", bound=Runs)


class Supervisor(Generic[R]):
    """Runs a stream until its source ends or stop(): after a failure again, with a delay that doubles up to 30 s.

    A run that has brought frames for 10 s was healthy: the delay starts afresh.
    """

    def __init__(self, stream: R) -> None:
        self.stream = stream
        self.restarts = 0
        self._error: str | None = None
        self._waiting = False
        self._ended = False
        self._stopping = asyncio.Event()
        self._received_before = 0

    @property
    def state(self) -> State:
        if self._ended:
            return "stopped" if self._stopping.is_set() else "ended"
        if self._waiting:
            return "waiting"
        return "running" if self.stream.counts.received > self._received_before else "connecting"

    @property
    def error(self) -> str | None:
        """Why the last run failed, until the next one brings frames."""
        return None if self.state == "running" else self._error

    async def run(self) -> None:
        delay = FIRST_DELAY_S
        try:
            while not self._stopping.is_set():
                began = time.monotonic()
                self._received_before = self.stream.counts.received
                if await self._run_once():
                    return
                if self.state == "running" and time.monotonic() - began >= HEALTHY_S:
                    delay = FIRST_DELAY_S
                self.restarts += 1
                await self._wait(delay)
                delay = min(delay * 2, LONGEST_DELAY_S)
        finally:
            self._ended = True

    def stop(self) -> None:
        """Ends the source and every wait; run() returns when what is under way has gone to the sinks."""
        self._stopping.set()
        self.stream.stop()

    async def _run_once(self) -> bool:
        """Whether it came to its end."""
        try:
            await self.stream.run()
        except SourceError as err:
            self._error = str(err)
            log.warning("%s: %s", self.stream.name, err)
        except Exception as err:  # a bug in one stream must not end the others
            self._error = repr(err)
            log.exception("%s: failed", self.stream.name)
        else:
            return True
        return False

    async def _wait(self, delay: float) -> None:
        self._waiting = True
        log.info("%s: trying again in %.1f s", self.stream.name, delay)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), delay)
        self._waiting = False
