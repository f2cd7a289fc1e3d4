"""Keeps a stream or a consumer running: the one place that waits and tries again when a source fails."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable
from typing import Generic, Literal, Protocol, TypeVar

from daemon.errors import CredentialsRefused, SourceError, SourceSpent
from daemon.flow.history import SHORT_S
from daemon.flow.receipts import Counts
from daemon.flow.starvation import Starvation, reason_to_starve
from daemon.flow.timing import Timing
from daemon.sources.base import Waits

log = logging.getLogger(__name__)

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 30.0
HEALTHY_S = 10.0
TOLD_AGAIN_S = 3600.0
REFUSED_DELAY_S = 300.0  # cameras lock an account after a few wrong passwords, most for half an hour

State = Literal[
    "connecting", "standby", "running", "starving", "stalled", "waiting", "paused", "ended", "stopped", Waits
]
"""`standby` and `stalled` are a consumer's alone (daemon/kafka/consumer.py)."""


class Runs(Protocol):
    """A stream, or what is like one: run() may be called again after it has ended or raised SourceError."""

    name: str
    counts: Counts
    timing: Timing

    @property
    def waits(self) -> Waits | None:
        """What its source waits for, which can be reached."""

    async def run(self) -> None: ...
    def stop(self) -> None:
        """Ends the source; run() returns when what is under way has gone to the sinks."""


R = TypeVar("R", bound=Runs)


class Supervisor(Generic[R]):
    """Runs a stream until its source ends or stop(): after a failure again, with a delay that doubles up to 30 s.

    A run that has brought frames for 10 s was healthy: the delay starts afresh. Where a password was refused the delay
    is 5 minutes. A failure is told when it is another than those of the last hour, or frames have come since.
    """

    def __init__(self, stream: R, obstacles: Callable[[], Iterable[str]] = tuple) -> None:
        """`obstacles`: what keeps its documents from going out, in words."""
        self.stream = stream
        self._obstacles = obstacles
        self._starvation = Starvation(stream.name)
        self._running_since: float | None = None
        self.restarts = 0
        self._error: str | None = None
        self._told_at: dict[str, float] = {}  # by failure, since frames last came
        self._attempts = 0  # in vain, since frames last came
        self._next_attempt: float | None = None  # time.monotonic()
        self._ended = False
        self._paused = False
        self._stopping = asyncio.Event()
        self._received_before = 0

    @property
    def state(self) -> State:
        if self._paused:
            return "paused"
        if self._ended:
            return "stopped" if self._stopping.is_set() else "ended"
        if self._next_attempt is not None:
            return "waiting"
        if self.stream.waits is not None:
            return self.stream.waits
        if not self._brings_frames:
            return "connecting"
        return "starving" if self._starvation.reason else "running"

    @property
    def error(self) -> str | None:
        """Why it starves, or why the last run failed, until the next one brings frames."""
        return self._starvation.reason if self.state in ("running", "starving") else self._error

    @property
    def next_attempt(self) -> float | None:
        """Seconds until the source is tried again; None: it is being tried, or will not be."""
        return None if self._next_attempt is None else max(self._next_attempt - time.monotonic(), 0.0)

    @property
    def _brings_frames(self) -> bool:
        return self.stream.counts.received > self._received_before

    def watch(self, busy: float | None) -> None:
        """Once a second, when all has been sampled: whether it starves. `busy`: the workers' share, 0..1.

        From stop() on nothing is told: what it starved of is not over, and what is dropped then is the stop's.
        """
        if self._stopping.is_set():
            return
        now = time.monotonic()
        if self.state not in ("running", "starving"):
            self._running_since = None
        elif self._running_since is None:
            self._running_since = now
        if self._running_since is None or now - self._running_since < SHORT_S:  # a camera may begin with a burst
            self._starvation.update(None)
            return
        causes = list(self._obstacles()) or [f"the workers are busy {busy or 0:.0%} of the time"]
        starving = self._starvation.reason is not None
        self._starvation.update(reason_to_starve(self.stream.counts, causes, starving=starving))

    async def run(self) -> None:
        delay = FIRST_DELAY_S
        try:
            while not self._stopping.is_set():
                began = time.monotonic()
                self._received_before = self.stream.counts.received
                failure = await self._run_once()
                if failure is None:
                    return
                if isinstance(failure, SourceSpent):
                    self._error = str(failure)
                    log.warning("%s: %s; it is not read again", self.stream.name, failure)
                    return
                if self._brings_frames and time.monotonic() - began >= HEALTHY_S:
                    delay = FIRST_DELAY_S
                self.restarts += 1
                pause = max(delay, REFUSED_DELAY_S) if isinstance(failure, CredentialsRefused) else delay
                self._tell(failure, pause)
                await self._wait(pause)
                delay = min(delay * 2, LONGEST_DELAY_S)
        finally:
            self._ended = True

    def stop(self) -> None:
        """Ends the source and every wait; run() returns when what is under way has gone to the sinks."""
        self._stopping.set()
        self.stream.stop()

    def pause(self) -> None:
        """As stop(), or in the place of a run(), until resume()."""
        self._paused = True
        self.stop()

    def resume(self) -> None:
        """run() may be called once more, if it has been; not while it runs."""
        self._paused = self._ended = False
        self._error = None
        self._starvation = Starvation(self.stream.name)
        self._running_since = None
        self._stopping.clear()

    async def _run_once(self) -> Exception | None:
        """What made it fail; None: it came to its end."""
        try:
            await self.stream.run()
        except Exception as err:  # noqa: BLE001  # told by the one who waits; a bug in one stream must not end the others
            return err
        return None

    def _tell(self, failure: Exception, delay: float) -> None:
        """One line, at DEBUG where it would say again what has been said."""
        if self._brings_frames:
            self._told_at.clear()
            self._attempts = 0
        self._attempts += 1
        expected = isinstance(failure, SourceError)
        self._error = str(failure) if expected else repr(failure)
        level = logging.WARNING if expected else logging.ERROR
        vain = f" ({self._attempts} attempts in vain)" if self._attempts > 1 else ""
        log.log(
            level if self._is_news(self._error) else logging.DEBUG,
            "%s: %s; trying again in %.1f s%s",
            *(self.stream.name, self._error, delay, vain),
            exc_info=None if expected else failure,
        )

    def _is_news(self, failure: str) -> bool:
        """Whether it has not been told in the last hour; it then counts as told."""
        now = time.monotonic()
        self._told_at = {told: at for told, at in self._told_at.items() if now - at < TOLD_AGAIN_S}
        if failure in self._told_at:
            return False
        self._told_at[failure] = now
        return True

    async def _wait(self, delay: float) -> None:
        self._next_attempt = time.monotonic() + delay
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), delay)
        self._next_attempt = None
