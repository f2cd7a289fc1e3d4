"""What a camera sends, found out by reading it for a while."""

import asyncio
from dataclasses import dataclass

from daemon.errors import SourceError
from daemon.sources.base import Source, Waits
from daemon.sources.url import redacted
from processors.types import Frame


@dataclass(slots=True)
class Probed:
    """What was told in the meantime; None: nothing was."""

    codec: str | None = None
    """In FFmpeg's words."""
    size: tuple[int, int] | None = None
    """Width and height in pixels as it is shown."""
    fps: float | None = None
    keyframe_interval: float | None = None
    """Seconds from one to the next, of a source that reads keyframes alone."""


async def probe(source: Source, shown: str, within: float, further: float = 0.0) -> Probed:
    """Reads a first frame, for `within` seconds at most, and then for up to `further` seconds until another.

    Its rates are right for a source with `keyframes_only`: all that is no keyframe is told as skipped. Raises
    SourceError, and what a source with a fault raises.
    """
    feed = _Feed()
    reading = asyncio.create_task(source.run(feed))
    try:
        await _either(reading, feed.first, within)
        _expect(feed.first, reading, shown, within)
        if further:
            await _either(reading, feed.second, further)
        return feed.probed
    finally:
        await _end(reading)


async def expect_video(source: Source, shown: str, within: float) -> None:
    """Waits for a first frame, or for one that is passed over. Raises as probe() does."""
    feed = _Feed()
    reading = asyncio.create_task(source.run(feed))
    try:
        await _either(reading, feed.came, within)
        _expect(feed.came, reading, shown, within)
    finally:
        await _end(reading)


async def _either(reading: "asyncio.Task[None]", event: asyncio.Event, timeout: float) -> None:
    coming = asyncio.create_task(event.wait())
    await asyncio.wait([reading, coming], timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    coming.cancel()


def _expect(event: asyncio.Event, reading: "asyncio.Task[None]", shown: str, within: float) -> None:
    if event.is_set():
        return
    if reading.done() and (error := reading.exception()) is not None:
        raise error
    raise SourceError(f"{redacted(shown)}: no picture in {within:g} s")


async def _end(reading: "asyncio.Task[None]") -> None:
    reading.cancel()
    await asyncio.wait([reading])
    if not reading.cancelled():
        reading.exception()  # it has been told, or came after what was asked


def _interval(first: Frame, second: Frame) -> float:
    """By the camera's own clock, which is steadier than the network; snapshots have none, and come when asked for."""
    stamped, came = second.pts - first.pts, second.captured_at - first.captured_at
    return came if came > 2 * stamped else stamped


class _Feed:
    """Keeps the first frame, whose picture is not made."""

    def __init__(self) -> None:
        self.came, self.first, self.second = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.probed = Probed()
        self._first: Frame | None = None
        self._between = 0

    def offer(self, frame: Frame) -> None:
        self._see(frame)

    async def put(self, frame: Frame) -> None:
        self._see(frame)

    def _see(self, frame: Frame) -> None:
        self.came.set()
        if self._first is None:
            self._first, self._between = frame, 0
            self.probed.size = frame.width, frame.height
            self.first.set()
        elif not self.second.is_set() and frame.pts > self._first.pts:
            self.probed.keyframe_interval = interval = _interval(self._first, frame)
            self.probed.fps = (self._between + 1) / interval
            self.second.set()

    def fail(self, error: Exception) -> None: ...

    def skip(self, reason: str) -> None:
        self.came.set()
        self._between += 1

    def drop(self) -> None:
        self.skip("")

    def opened(self, codec: str) -> None:
        self.probed.codec = codec

    def spent(self, cpu_seconds: float) -> None: ...

    def waits(self, what: Waits | None) -> None: ...
