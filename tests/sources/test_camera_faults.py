"""What cameras and networks do to a reader, on the camera simulator."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest

from daemon.errors import DamagedImage, SourceEnded, SourceError
from daemon.simulator.camera import Camera
from daemon.simulator.clip import Scene, make_clip
from daemon.simulator.mount import Mount
from daemon.simulator.rtp import CLOCK_HZ, Clip
from daemon.simulator.rtsp import Credentials
from daemon.sources.base import WAITING_FOR_KEYFRAME, InThread
from daemon.sources.reading import FRAME_RATE, NO_MOTION, NO_PICTURE, NOT_A_KEYFRAME
from daemon.sources.settings import SourceSettings
from daemon.sources.video import VideoReader
from tests.benchmarks.reconnects import reconnect
from tests.fakes import CollectingFeed
from tests.sources.videos import encode, picture
from tests.waiting import until

FPS = 50
GOP = 10
QUICK = {"analyzeduration": "20000"}
SCENE = Scene(width=320, height=180, fps=FPS, seconds=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="module")
def clip(folder: Path) -> Clip:
    make_clip(folder / "h264.mp4", SCENE, gop=GOP)
    return Clip.read(folder / "h264.mp4")


@dataclass
class Watched:
    mount: Mount
    feed: CollectingFeed
    reading: asyncio.Task[None]

    async def frames(self, count: int) -> None:
        """Waits for so many more."""
        wanted = len(self.feed.offered) + count
        await until(lambda: len(self.feed.offered) >= wanted or self.reading.done())
        assert len(self.feed.offered) >= wanted

    async def error(self, within_s: float = 10) -> str:
        with pytest.raises(SourceError) as error:
            await asyncio.wait_for(asyncio.shield(self.reading), within_s)
        return str(error.value)


@contextlib.asynccontextmanager
async def watched(clip: Clip, **settings: object) -> AsyncIterator[Watched]:
    async with Camera({"cam": clip}) as camera:
        values = {"source": camera.url("cam"), "read_timeout": 1.0, "ffmpeg_options": QUICK, **settings}
        feed = CollectingFeed()
        source = InThread(VideoReader(SourceSettings.model_validate(values)), "camera")
        reading = asyncio.create_task(source.run(feed))
        try:
            yield Watched(camera.mounts["cam"], feed, reading)
        finally:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError, SourceError):
                await reading
    assert feed.counts.pending == 0


def delays(feed: CollectingFeed) -> npt.NDArray[np.float64]:
    """Of each frame, against the one that was fastest: when its packet came, less when the camera sent it."""
    seconds = np.array([frame.captured_at - frame.pts for frame in feed.offered[1:]])  # FFmpeg gives the first no pts
    return np.asarray(seconds - seconds.min())


def assert_in_time(feed: CollectingFeed) -> None:
    """No backlog builds up; a busy machine may hold up a few."""
    assert np.median(delays(feed)) < 0.5
    assert delays(feed).max() < 1.5


# --- what is skipped of a live stream


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("fps", [10, FPS / GOP], ids=["between keyframes", "keyframes"])
async def test_a_target_rate(clip: Clip, transport: str, fps: float) -> None:
    async with watched(clip, fps=fps, transport=transport) as camera:
        began = time.monotonic()
        await camera.frames(15)
        seconds = time.monotonic() - began
    assert 12 / fps < seconds < 30 / fps
    assert set(camera.feed.counts.skipped) == {FRAME_RATE}
    assert camera.feed.counts.skipped.total() >= (FPS / fps - 1) * 13
    steps = np.diff([frame.pts for frame in camera.feed.offered[1:]])
    assert np.median(steps) == pytest.approx(1 / fps, abs=1.5 / FPS)
    assert_in_time(camera.feed)


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
async def test_keyframes_only(folder: Path, codec: Literal["libx264", "libx265"]) -> None:
    path = folder / f"{codec}.mp4"
    await asyncio.to_thread(make_clip, path, SCENE, gop=GOP, codec=codec)
    async with watched(Clip.read(path), keyframes_only=True) as camera:
        await camera.frames(8)
    pts = [frame.pts for frame in camera.feed.offered[1:8]]
    np.testing.assert_allclose(np.diff(pts), GOP / FPS, atol=1e-3)
    assert set(camera.feed.counts.skipped) == {NOT_A_KEYFRAME}
    assert camera.feed.counts.skipped.total() >= 6 * (GOP - 1)
    assert_in_time(camera.feed)


async def test_what_is_skipped_is_counted_while_it_is(clip: Clip) -> None:
    async with watched(clip, fps=0.1) as camera:
        await until(lambda: camera.feed.counts.skipped.total() > 2 * FPS)
        assert len(camera.feed.offered) == 1


# --- the first picture


@pytest.fixture(scope="module")
def long_clip(folder: Path) -> Clip:
    """One keyframe, and 20 seconds until the next."""
    make_clip(folder / "long.mp4", replace(SCENE, fps=10, seconds=20), gop=1000)
    return Clip.read(folder / "long.mp4")


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_the_first_keyframe_is_shown_as_captured_when_it_came(long_clip: Clip, transport: str) -> None:
    async with watched(long_clip, transport=transport, ffmpeg_options={}) as camera:
        await until(lambda: camera.mount.clients == 1)
        sent_at = time.time()
        camera.mount.switch(replace(long_clip))  # begins anew
        await camera.frames(10)
    first, *_, last = camera.feed.offered[:10]
    assert first.captured_at - sent_at < 0.3
    assert last.pts - first.pts == pytest.approx(0.9, abs=0.01)
    assert last.captured_at - first.captured_at == pytest.approx(0.9, abs=0.1)
    assert camera.feed.counts.skipped == {}


async def test_a_keyframe_is_waited_for_and_what_came_before_is_counted(long_clip: Clip) -> None:
    async with watched(long_clip) as camera:
        camera.mount.join_at_keyframe = False
        await until(lambda: camera.feed.waits_for == [WAITING_FOR_KEYFRAME])
        assert camera.feed.offered == []
        camera.mount.switch(replace(long_clip))
        await camera.frames(5)
        assert camera.feed.waits_for == [WAITING_FOR_KEYFRAME, None]
        await until(lambda: camera.feed.counts.skipped[NO_PICTURE] >= 10, timeout_s=15)


async def test_a_first_picture_that_never_comes_is_an_error(long_clip: Clip) -> None:
    async with watched(long_clip, first_picture_timeout=1.2) as camera:
        camera.mount.join_at_keyframe = False
        assert "no picture in 1.2 s of video, as no keyframe came" in await camera.error()
        assert camera.feed.counts.skipped[NO_PICTURE] >= 10


async def test_pictures_that_are_renewed_bit_by_bit_are_shown(folder: Path) -> None:
    """Intra refresh: what is marked as a keyframe is none, and the picture is whole some frames later."""
    scene = [picture(number % 12) for number in range(100)]
    path = encode(
        folder / "refresh.mp4", scene, gop=10, options={"preset": "veryfast", "intra-refresh": "1", "bf": "0"}
    )
    async with watched(Clip.read(path), fps=2.5) as camera:
        await until(lambda: len(camera.feed.offered) > 8)
        steps = np.diff([frame.pts for frame in camera.feed.offered[4:]])
    np.testing.assert_allclose(steps, 0.4, atol=0.05)


async def test_frames_in_another_order_than_they_came_in_go_on_in_time(folder: Path) -> None:
    options = {"preset": "veryfast", "bf": "3", "b-pyramid": "none", "sc_threshold": "0"}
    path = encode(folder / "b.mp4", [picture(number % 12) for number in range(50)], gop=50, options=options)
    async with watched(Clip.read(path)) as camera:
        await camera.frames(40)
    frames = camera.feed.offered
    assert np.all(np.diff([frame.captured_at for frame in frames]) >= 0)
    assert np.all(np.diff([frame.pts for frame in frames]) > 0)
    assert np.median(delays(camera.feed)) < 0.05


async def test_a_camera_that_refuses_its_sound_shows_its_pictures(clip: Clip) -> None:
    async with watched(clip) as camera:
        camera.mount.refuses_sound = True
        await camera.frames(3)


# --- faults


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("settings", [{}, {"fps": 5.0}, {"keyframes_only": True}], ids=["all", "fps", "keyframes"])
async def test_a_camera_that_stalls_is_lost_after_the_read_timeout(
    clip: Clip, transport: str, settings: dict[str, object]
) -> None:
    async with watched(clip, transport=transport, **settings) as camera:
        await camera.frames(3)
        camera.mount.stall()
        began = time.monotonic()
        await camera.error()
        assert 0.5 < time.monotonic() - began < 4


async def test_a_short_stall_is_none(clip: Clip) -> None:
    async with watched(clip, fps=10, read_timeout=3) as camera:
        await camera.frames(3)
        camera.mount.stall()
        await asyncio.sleep(0.5)
        camera.mount.resume()
        await camera.frames(5)
        assert not camera.reading.done()


@pytest.mark.parametrize(
    "settings", [{}, {"fps": 20.0, "motion": {}}, {"keyframes_only": True}], ids=["all", "fps and motion", "keyframes"]
)
async def test_another_resolution_in_mid_stream(clip: Clip, folder: Path, settings: dict[str, object]) -> None:
    path = folder / "larger.mp4"
    await asyncio.to_thread(make_clip, path, replace(SCENE, width=640, height=360), gop=GOP)
    async with watched(clip, **settings) as camera:
        await camera.frames(5)
        camera.mount.switch(Clip.read(path))
        await until(lambda: any(frame.width == 640 for frame in camera.feed.offered))
        await camera.frames(5)
    shapes = {(frame.width, frame.height, frame.image.shape) for frame in camera.feed.offered}
    assert shapes == {(320, 180, (180, 320, 3)), (640, 360, (360, 640, 3))}
    assert camera.feed.failed == []


async def test_another_codec_in_mid_stream_is_an_error_and_the_next_connection_reads_it(
    clip: Clip, folder: Path
) -> None:
    path = folder / "h265.mp4"
    await asyncio.to_thread(make_clip, path, SCENE, gop=GOP, codec="libx265")
    async with watched(clip, read_timeout=0.5) as camera:
        await camera.frames(5)
        camera.mount.switch(Clip.read(path))
        await camera.error()
        before = len(camera.feed.offered)
        async with Camera({"cam": Clip.read(path)}) as again:
            feed = CollectingFeed()
            source = InThread(VideoReader(SourceSettings(source=again.url("cam"))), "camera")
            reading = asyncio.create_task(source.run(feed))
            await until(lambda: len(feed.offered) > 5)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
    assert before < 30


@pytest.mark.parametrize("settings", [{"fps": 25.0}, {"keyframes_only": True}], ids=["fps", "keyframes"])
async def test_corrupt_packets_are_survived_and_what_cannot_be_decoded_is_counted(
    clip: Clip, settings: dict[str, object]
) -> None:
    async with watched(clip, **settings) as camera:
        await camera.frames(3)
        camera.mount.corrupt(0.5)
        await until(lambda: len(camera.feed.failed) + len(camera.feed.offered) > 15)
        camera.mount.corrupt(0)
        await camera.frames(5)
        assert not camera.reading.done()
    assert {type(error) for error in camera.feed.failed} <= {DamagedImage}


def stamped(clip: Clip, pts: Callable[[int], int]) -> Clip:
    """The clip with other RTP timestamps, sent at the same times; `pts` in frames, of the frame's number."""
    units = tuple(replace(unit, pts=pts(number) * CLOCK_HZ // FPS) for number, unit in enumerate(clip.units))
    return replace(clip, units=units)


@pytest.mark.parametrize(
    "pts",
    [
        lambda number: 0,
        lambda number: -number,
        lambda number: number // 5 * 5,
        lambda number: number + (number % 10 == 5) * 4_000,
        lambda number: number - (number > 25) * 100_000,
    ],
    ids=["stuck", "backwards", "five alike", "leaps", "a leap back"],
)
async def test_broken_timestamps_change_neither_flow_nor_rate(clip: Clip, pts: Callable[[int], int]) -> None:
    async with watched(stamped(clip, pts), fps=10, motion={"every": 0.5}) as camera:
        began = time.monotonic()
        await until(lambda: camera.feed.counts.received > 2 * FPS)
        seconds = time.monotonic() - began
        assert not camera.reading.done()
    looked_at = camera.feed.counts.acknowledged + camera.feed.counts.skipped[NO_MOTION]
    assert 0.4 * 10 * seconds < looked_at < 3 * 10 * seconds
    assert camera.feed.offered
    captured = np.array([frame.captured_at for frame in camera.feed.offered])
    assert np.all(np.diff(captured) > 0)


async def test_a_wrong_password(clip: Clip) -> None:
    async with Camera({"cam": clip}, credentials=Credentials("me", "s3cret")) as camera:
        for password in ("", "me:hunter2@"):
            source = camera.url("cam").replace("rtsp://", f"rtsp://{password}")
            with pytest.raises(SourceError, match="401") as error:
                await InThread(VideoReader(SourceSettings(source=source)), "camera").run(CollectingFeed())
            assert "hunter2" not in str(error.value)


async def test_a_name_that_is_not_known() -> None:
    source = "rtsp://me:hunter2@camera.invalid/stream"  # RFC 2606: never to be resolved
    with pytest.raises(SourceError, match=r"^rtsp://\*\*\*@camera.invalid/stream: ") as error:
        await asyncio.wait_for(InThread(VideoReader(SourceSettings(source=source)), "c").run(CollectingFeed()), 15)
    assert not isinstance(error.value, SourceEnded)


async def test_twenty_reconnects_leave_nothing_behind(clip: Clip) -> None:
    left = await reconnect(clip, 20, {"fps": 10.0, "motion": {}})
    assert (left.threads, left.descriptors) == (0, 0)
    assert left.megabytes < 8
