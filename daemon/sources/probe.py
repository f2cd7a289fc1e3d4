"""What a camera sends, found out by reading it for a while."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from daemon.errors import SourceError
from daemon.sources.base import Source, Waits
from daemon.sources.settings import SourceSettings
from daemon.sources.url import redacted
from processors.types import Frame

S = TypeVar("S", bound=SourceSettings)

KEPT = 5  # frames whose pictures may be asked for: of 4K they have 12 MB each


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

    def figures(self) -> dict[str, Any]:
        """As they are told: rounded to a thousandth."""
        width, height = self.size or (None, None)
        return {
            "codec": self.codec,
            "width": width,
            "height": height,
            "fps": _rounded(self.fps),
            "keyframe_interval": _rounded(self.keyframe_interval),
        }


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a source brought while all of its frames were decoded."""

    frames: Sequence[Frame]
    """The last few, whose pictures have not been made."""
    fps: float | None
    """By the source's own clock; None: it brought too few to tell."""
    cpu_seconds: float
    """What reading and decoding one frame took."""


def by_keyframes(settings: S) -> S:
    """With these a source tells probe() the rates of all that it sends."""
    return settings.model_copy(update={"keyframes_only": True, "fps": None, "motion": None})


def of_all_frames(settings: S) -> S:
    """With these a source tells decoded() what all of its frames cost."""
    return settings.model_copy(update={"keyframes_only": False, "fps": None, "motion": None, "isolate": False})


async def probe(source: Source, shown: str, within: float, further: float = 0.0) -> Probed:
    """Reads a first frame, for `within` seconds at most, and then for up to `further` seconds until another.

    Its rates are right for a source of by_keyframes(): all that is no keyframe is told as skipped. Raises SourceError,
    and what a source with a fault raises.
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


async def decoded(source: Source, shown: str, within: float, seconds: float) -> Decoded:
    """Reads for `seconds` from the first frame on, which must come `within` seconds. Raises as probe() does.

    The source is one of of_all_frames().
    """
    feed = _DecodedFeed()
    reading = asyncio.create_task(source.run(feed))
    try:
        await _either(reading, feed.first, within)
        _expect(feed.first, reading, shown, within)
        await asyncio.wait([reading], timeout=seconds)
    finally:
        await _end(reading)
    return feed.decoded


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


class _DecodedFeed(_Feed):
    """Keeps the last frames, and counts all."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: deque[Frame] = deque(maxlen=KEPT)
        self._began = 0.0
        self._count = 0
        self._spent = 0.0
        self._marks: list[tuple[int, float]] = []

    @property
    def decoded(self) -> Decoded:
        """What opening took, before the first mark, is no part of a frame's cost."""
        (count, spent), (last_count, last_spent) = self._marks[0], self._marks[-1]
        if last_count == count:  # too short: all is taken for decoding
            count, spent = 0, 0.0
        took = self._kept[-1].pts - self._began
        fps = (self._count - 1) / took if took > 0 else None
        return Decoded(tuple(self._kept), fps, (last_spent - spent) / (last_count - count))

    def spent(self, cpu_seconds: float) -> None:
        self._spent += cpu_seconds
        self._marks.append((self._count, self._spent))

    def _see(self, frame: Frame) -> None:
        if not self._count:
            self._began = frame.pts
            self.first.set()
        self._count += 1
        self._kept.append(frame)


def _rounded(figure: float | None) -> float | None:
    return None if figure is None else round(figure, 3)
