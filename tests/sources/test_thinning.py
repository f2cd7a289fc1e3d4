"""Target rates, keyframes alone and the motion gate, on video files."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import av
import numpy as np
import pytest
from av.codec.hwaccel import HWDeviceType

from daemon.errors import SourceError
from daemon.sources.base import InThread, Waits
from daemon.sources.reading import FRAME_RATE, NO_MOTION, NOT_A_KEYFRAME
from daemon.sources.settings import Hardware, SourceSettings
from daemon.sources.video import VideoReader
from processors.types import Frame, Image
from tests.fakes import CollectingFeed
from tests.sources.videos import FPS, encode, numbers, picture

B_FRAMES = {"preset": "veryfast", "bf": "3", "b-pyramid": "none", "sc_threshold": "0"}
NO_B_FRAMES = {"preset": "veryfast", "bf": "0", "sc_threshold": "0"}


async def read(source: Path, **settings: object) -> CollectingFeed:
    feed = CollectingFeed()
    reader = VideoReader(SourceSettings.model_validate({"source": str(source), **settings}))
    await InThread(reader, "test").run(feed)
    return feed


def places(frames: list[Frame]) -> list[int]:
    """Which pictures of the file they are."""
    return [round(frame.pts * FPS) for frame in frames]


def counting(count: int) -> list[Image]:
    return [picture(number % 12) for number in range(count)]


def check(feed: CollectingFeed, count: int, expected: list[int], skipped: Mapping[str, int]) -> None:
    """The frames of `expected` came, as themselves, and the others were counted."""
    assert places(feed.put_frames) == expected
    assert numbers(feed.put_frames) == [place % 12 for place in expected]
    assert [frame.index for frame in feed.put_frames] == list(range(len(expected)))
    start = np.array([frame.captured_at - frame.pts for frame in feed.put_frames])
    np.testing.assert_allclose(start, start[0], atol=1e-6)
    assert feed.counts.skipped == skipped
    assert (feed.counts.received, feed.counts.pending, feed.failed) == (count, 0, [])


@pytest.mark.parametrize("options", [B_FRAMES, NO_B_FRAMES], ids=["B-frames", "no B-frames"])
@pytest.mark.parametrize("codec", ["libx264", "libx265", "mjpeg"])
@pytest.mark.parametrize("gop", [1, 4, 100])
@pytest.mark.parametrize("fps", [25.0, 5.0, 4.0, 0.5])
async def test_the_rate_is_kept_evenly_and_what_was_skipped_is_counted(
    tmp_path: Path, codec: str, options: dict[str, str], gop: int, fps: float
) -> None:
    if codec == "libx265":
        options = {
            "preset": "ultrafast",
            "x265-params": f"log-level=error:bframes={options['bf']}:scenecut=0:pools=none",
        }
    path = encode(tmp_path / "a.mkv", counting(100), codec, gop, options)  # type: ignore[arg-type]
    feed = await read(path, fps=fps)
    taken = places(feed.put_frames)
    assert len(taken) == pytest.approx(100 * fps / FPS, abs=1)
    period = FPS / fps
    nearest = gop if gop <= period and codec != "mjpeg" else 1  # keyframes alone, where they come often enough
    gaps = np.diff(taken[1:])  # the first finds the phase
    assert np.all(np.abs(gaps - period) < nearest)
    check(feed, 100, taken, {FRAME_RATE: 100 - len(taken)} if len(taken) < 100 else {})


@pytest.mark.parametrize("options", [B_FRAMES, NO_B_FRAMES], ids=["B-frames", "no B-frames"])
async def test_keyframes_only(tmp_path: Path, options: dict[str, str]) -> None:
    path = encode(tmp_path / "a.mp4", counting(50), gop=10, options=options)
    check(await read(path, keyframes_only=True), 50, [0, 10, 20, 30, 40], {NOT_A_KEYFRAME: 45})
    check(await read(path, keyframes_only=True, fps=1.25), 50, [0, 20, 40], {NOT_A_KEYFRAME: 45, FRAME_RATE: 2})


async def test_each_frame_of_mjpeg_is_a_keyframe(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.avi", counting(20), "mjpeg")
    check(await read(path, keyframes_only=True), 20, list(range(20)), {})


async def test_what_is_skipped_before_it_is_decoded_cannot_fail(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.avi", counting(50), "mjpeg")
    damaged = tmp_path / "damaged.avi"
    with av.open(str(path)) as whole, av.open(str(damaged), "w") as out:
        copy = out.add_stream_from_template(whole.streams.video[0])
        for packet in whole.demux(video=0):
            if packet.size == 0:
                continue
            assert packet.pts is not None
            broken = av.Packet(bytes(packet) if packet.pts % 5 == 0 else b"\xff\xd8" + bytes(50))
            broken.pts, broken.dts, broken.time_base = packet.pts, packet.dts, packet.time_base
            broken.is_keyframe, broken.stream = True, copy
            out.mux(broken)
    assert len((await read(damaged)).failed) == 40
    check(await read(damaged, fps=5), 50, list(range(0, 50, 5)), {FRAME_RATE: 40})


def cpu_s(path: Path, **settings: object) -> float:
    class Nowhere:
        stopped = False

        def put(self, frame: Frame) -> None: ...
        def offer(self, frame: Frame) -> None: ...
        def fail(self, error: Exception) -> None: ...
        def skip(self, reason: str) -> None: ...
        def opened(self, codec: str) -> None: ...
        def waits(self, what: Waits | None) -> None: ...

    reader = VideoReader(SourceSettings.model_validate({"source": str(path), **settings}))
    began = time.thread_time()
    reader.read(Nowhere())
    return time.thread_time() - began


def test_what_no_frame_needs_is_not_decoded(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    pictures = [noise.integers(0, 256, (240, 320, 3), np.uint8) for _ in range(60)]
    frequent = encode(tmp_path / "frequent.mp4", pictures, gop=4, options=NO_B_FRAMES)
    with_b = encode(tmp_path / "b.mp4", pictures, options=B_FRAMES)
    assert cpu_s(frequent, fps=1) < 0.6 * cpu_s(frequent)  # of 60 frames the first 12, and then every 25th
    assert cpu_s(frequent, keyframes_only=True) < 0.5 * cpu_s(frequent)
    assert cpu_s(with_b, fps=1) < 0.7 * cpu_s(with_b)  # three of four frames are of no use to others


async def test_keyframes_that_become_rare_end_the_skipping(tmp_path: Path) -> None:
    """Cameras lengthen their groups of pictures when little happens."""
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=FPS, options=NO_B_FRAMES)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 64, 48, "yuv420p", 1000
        for index, image in enumerate(counting(300)):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts = index
            if index in (*range(0, 100, 5), 150, 200, 250):
                frame.pict_type = av.video.frame.PictureType.I
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    feed = await read(path, fps=5)
    taken = places(feed.put_frames)
    check(feed, 300, taken, {FRAME_RATE: 300 - len(taken)})
    assert [place for place in taken if 20 <= place < 100] == list(range(20, 100, 5))
    # One long group is lost before it is known to be one.
    assert [place for place in taken if 95 < place < 150] == []
    assert len([place for place in taken if place >= 150]) == pytest.approx(30, abs=1)


async def test_a_still_scene_is_looked_at_now_and_then_and_motion_at_once(tmp_path: Path) -> None:
    room = np.random.default_rng(0).integers(60, 190, (9, 16, 3), np.uint8).repeat(40, 0).repeat(40, 1)
    pictures = []
    for index in range(200):
        image = room.copy()
        if index >= 110:
            image[150:200, 300:330] = 255 - image[150:200, 300:330]  # it comes and stays
        pictures.append(image)
    path = encode(tmp_path / "a.mp4", pictures, gop=25, options=NO_B_FRAMES)
    feed = await read(path, motion={"every": 2})
    assert places(feed.put_frames) == [0, 50, 100, 110, 160]
    assert feed.counts.skipped == {NO_MOTION: 195}
    feed = await read(path, motion={"every": 2}, fps=5)
    taken = places(feed.put_frames)
    assert len(taken) == 5
    assert any(110 <= place < 115 for place in taken)
    assert feed.counts.skipped.total() == 195
    assert set(feed.counts.skipped) == {FRAME_RATE, NO_MOTION}


async def test_without_timestamps_the_usual_rate_is_taken_for_granted(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.h264", counting(50), options=NO_B_FRAMES)
    feed = await read(path, fps=5)
    assert len(feed.put_frames) == pytest.approx(10, abs=1)
    assert feed.counts.received == 50


@pytest.mark.parametrize(
    ("hardware", "message"),
    [
        ("videotoolbox", r"expected hardware that this FFmpeg knows \(.*\), got videotoolbox"),
        ("drm", "expected hardware of the type drm, found none that decodes"),
    ],
)
async def test_hardware_that_cannot_be_had_is_refused(tmp_path: Path, hardware: str, message: str) -> None:
    path = encode(tmp_path / "a.mp4", counting(3))
    for _ in range(2):
        with pytest.raises(SourceError, match=message):
            await read(path, hardware=hardware)


def test_the_configuration_takes_every_hardware_that_this_ffmpeg_knows() -> None:
    assert {kind.name for kind in HWDeviceType} - {"none"} <= set(get_args(Hardware))
