"""What a source is, and how one that blocks gets a thread of its own.

docs/extending.md says what a source must do, and shows one from nothing.
"""

import asyncio
import contextvars
import threading
import time
from collections import Counter
from typing import Literal, Protocol

from processors.types import Frame

TELL_INTERVAL_S = 1.0

Waits = Literal["waiting for a keyframe", "ended, waiting"]
"""What a source that can be reached may wait for."""
WAITING_FOR_KEYFRAME: Waits = "waiting for a keyframe"
ENDED_WAITING: Waits = "ended, waiting"


class Feed(Protocol):
    """Where frames go; belongs to the event loop's thread."""

    def offer(self, frame: Frame) -> None:
        """Never waits; an older frame may be dropped for it, and counted."""

    async def put(self, frame: Frame) -> None:
        """Waits for room."""

    def fail(self, error: Exception) -> None:
        """Counts a frame that came and cannot be read, by the error's class."""

    def skip(self, reason: str) -> None:
        """Counts a frame that came and is passed over as configured."""

    def drop(self) -> None:
        """Counts a frame that came and for which there was no room before it could be offered."""

    def opened(self, codec: str) -> None:
        """Tells how the video is coded, in FFmpeg's words, before its first frame."""

    def spent(self, cpu_seconds: float) -> None:
        """Tells what reading and decoding have taken since it was last told."""

    def waits(self, what: Waits | None) -> None:
        """Tells what a source that can be reached waits for; None: for nothing any more."""


class Source(Protocol):
    async def run(self, feed: Feed) -> None:
        """Until the source's end, or until it is cancelled. Raises SourceError when it cannot go on."""


class Stopped(Exception):
    """The reader was asked to stop while it waited."""


class Out(Protocol):
    """The feed as a reader sees it: blocking."""

    @property
    def stopped(self) -> bool:
        """Looked at between frames by every reader."""

    def offer(self, frame: Frame) -> None: ...
    def put(self, frame: Frame) -> None:
        """Blocks until there is room; raises Stopped."""

    def fail(self, error: Exception) -> None: ...
    def skip(self, reason: str) -> None:
        """Cheap: most packets of a camera may be skipped."""

    def opened(self, codec: str) -> None: ...

    def waits(self, what: Waits | None) -> None:
        """Cheap where it says the same again."""


class Outlet:
    """A feed of the event loop, for a reader in another thread.

    Skipped frames are told of with the next that is not, or once a second, and what the thread has taken of the CPU
    once a second: each call wakes the loop.
    """

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._loop = asyncio.get_running_loop()
        self._stop = threading.Event()
        self._taken = threading.Semaphore(0)
        self._putting: asyncio.Task[None] | None = None
        self._put_error: BaseException | None = None
        self._skipped: Counter[str] = Counter()
        self._told_at = self._spent_told_at = time.monotonic()
        self._spent = 0.0  # that has been told
        self._waits: Waits | None = None

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()

    def stop(self) -> None:
        self._stop.set()

    def offer(self, frame: Frame) -> None:
        self.tell_skipped()
        self._loop.call_soon_threadsafe(self._feed.offer, frame)

    def put(self, frame: Frame) -> None:
        self.tell_skipped()
        # run_coroutine_threadsafe() would do, at several times the cost
        self._loop.call_soon_threadsafe(self._begin_put, frame)
        while not self._taken.acquire(timeout=0.1):
            if self.stopped:
                self._loop.call_soon_threadsafe(self._cancel_put)
                raise Stopped
        if self._put_error is not None:
            raise self._put_error

    def fail(self, error: Exception) -> None:
        self._loop.call_soon_threadsafe(self._feed.fail, error)

    def skip(self, reason: str) -> None:
        self._skipped[reason] += 1
        if time.monotonic() - self._told_at >= TELL_INTERVAL_S:
            self.tell_skipped()

    def opened(self, codec: str) -> None:
        self._loop.call_soon_threadsafe(self._feed.opened, codec)

    def waits(self, what: Waits | None) -> None:
        if what != self._waits:
            self._waits = what
            self._loop.call_soon_threadsafe(self._feed.waits, what)

    def tell_skipped(self) -> None:
        """Also called when the reader has ended."""
        if self._skipped:
            self._loop.call_soon_threadsafe(self._skip, self._skipped)
            self._skipped = Counter()
        self._told_at = time.monotonic()
        if self._told_at - self._spent_told_at >= TELL_INTERVAL_S:
            self.tell_spent()

    def tell_spent(self) -> None:
        """In the reader's thread; also when it has ended."""
        spent = time.thread_time()
        self._loop.call_soon_threadsafe(self._feed.spent, spent - self._spent)
        self._spent, self._spent_told_at = spent, time.monotonic()

    def _skip(self, skipped: Counter[str]) -> None:
        for reason in skipped.elements():
            self._feed.skip(reason)

    def _begin_put(self, frame: Frame) -> None:
        self._putting = self._loop.create_task(self._put(frame))

    async def _put(self, frame: Frame) -> None:
        try:
            await self._feed.put(frame)
        except BaseException as err:  # noqa: BLE001  # the reader's, who waits for it
            self._put_error = err
        self._taken.release()

    def _cancel_put(self) -> None:
        if self._putting is not None:
            self._putting.cancel()


class Reader(Protocol):
    """A source that blocks: looks at `out.stopped` between frames and bounds every other wait."""

    def read(self, out: Out) -> None: ...


class InThread:
    """Runs a reader in a thread of its own; cancelled, it waits for the thread to end.

    >>> import numpy as np
    >>> class Grey:
    ...     def read(self, out: Out) -> None:
    ...         for index in range(3):
    ...             out.put(Frame.of(np.full((4, 4, 3), 128, np.uint8), index=index, pts=float(index)))
    >>> class Indices(list[int]):  # a feed, as far as this reader goes
    ...     async def put(self, frame: Frame) -> None:
    ...         self.append(frame.index)
    ...     def spent(self, cpu_seconds: float) -> None: ...
    >>> feed = Indices()
    >>> asyncio.run(InThread(Grey(), "grey").run(feed))
    >>> feed
    [0, 1, 2]
    """

    def __init__(self, reader: Reader, name: str) -> None:
        self._reader = reader
        self._name = name

    async def run(self, feed: Feed) -> None:
        out = Outlet(feed)
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[BaseException | None] = loop.create_future()

        def read() -> None:
            error = None
            try:
                self._reader.read(out)
            except Stopped:
                pass
            except BaseException as err:  # noqa: BLE001  # raised again in the loop's thread
                error = err
            out.tell_skipped()
            out.tell_spent()
            loop.call_soon_threadsafe(ended.set_result, error)

        context = contextvars.copy_context()  # so that lines of the thread, and of its frames, are about the stream
        thread = threading.Thread(target=context.run, args=(read,), name=self._name, daemon=True)
        thread.start()
        try:
            error = await asyncio.shield(ended)
        except asyncio.CancelledError:
            out.stop()
            await asyncio.shield(ended)
            raise
        finally:
            # Nothing is left in the thread but its last call into the loop; cancelled twice, it is left behind.
            if ended.done():
                thread.join()
        if error is not None:
            raise error
