import asyncio

import numpy as np
import pytest

from daemon.errors import SourceError
from daemon.sources.base import Feed
from daemon.sources.probe import KEPT, decoded, expect_video, probe
from daemon.sources.reading import NOT_A_KEYFRAME
from processors.types import Frame
from tests.fakes import ScriptedSource


def keyframe(index: int, pts: float, captured_at: float) -> Frame:
    return Frame.of(np.zeros((180, 320, 3), np.uint8), index=index, pts=pts, captured_at=captured_at)


async def for_ever(feed: Feed) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("pts", "captured_at", "interval"),
    [(2.0, 102.1, 2.0), (0.04, 101.0, 1.0)],  # the second as of snapshots
)
async def test_what_a_camera_sends(pts: float, captured_at: float, interval: float) -> None:
    async def script(feed: Feed) -> None:
        feed.opened("h264")
        feed.skip(NOT_A_KEYFRAME)
        feed.offer(keyframe(0, 0.0, 100.0))
        for _ in range(48):
            feed.skip(NOT_A_KEYFRAME)
        feed.drop()
        feed.offer(keyframe(1, pts, captured_at))
        await for_ever(feed)

    found = await probe(ScriptedSource(script), "rtsp://door/1", 5, further=5)
    assert (found.codec, found.size) == ("h264", (320, 180))
    assert found.keyframe_interval == pytest.approx(interval)
    assert found.fps == pytest.approx(50 / interval)


async def test_without_a_second_keyframe_the_rate_is_not_known() -> None:
    async def script(feed: Feed) -> None:
        feed.offer(keyframe(0, 0.0, 100.0))
        await for_ever(feed)

    found = await probe(ScriptedSource(script), "rtsp://door/1", 5, further=0.05)
    assert (found.size, found.fps, found.keyframe_interval) == ((320, 180), None, None)


async def test_what_brings_no_picture_says_why_and_is_let_go_of() -> None:
    ended: list[bool] = []

    async def silent(feed: Feed) -> None:
        try:
            feed.skip(NOT_A_KEYFRAME)
            await for_ever(feed)
        finally:
            ended.append(True)

    async def refuse(feed: Feed) -> None:
        raise SourceError("rtsp://door/1: nobody listens")

    with pytest.raises(SourceError, match=r"rtsp://\*\*\*@door/1: no picture in 0\.05 s"):
        await probe(ScriptedSource(silent), "rtsp://u:p@door/1", 0.05)
    assert ended == [True]
    with pytest.raises(SourceError, match="nobody listens"):
        await probe(ScriptedSource(refuse), "rtsp://door/1", 5)


async def test_video_without_a_keyframe_yet_is_video() -> None:
    async def script(feed: Feed) -> None:
        feed.skip(NOT_A_KEYFRAME)
        await for_ever(feed)

    await expect_video(ScriptedSource(script), "rtsp://door/1", 5)
    with pytest.raises(SourceError, match="no picture"):
        await expect_video(ScriptedSource(for_ever), "rtsp://door/1", 0.05)


async def test_what_a_frame_takes_without_what_opening_took() -> None:
    async def script(feed: Feed) -> None:
        for index in range(10):
            feed.offer(keyframe(index, index / 25, 100.0))
        feed.spent(5.0)  # of which nearly all was opening
        for index in range(10, 30):
            await feed.put(keyframe(index, index / 25, 100.0))
        feed.spent(0.1)

    found = await decoded(ScriptedSource(script), "rtsp://door/1", 5, 5)
    assert found.cpu_seconds == pytest.approx(0.1 / 20)
    assert found.fps == pytest.approx(25)
    assert [frame.index for frame in found.frames] == list(range(30))[-KEPT:]


async def test_of_a_short_video_all_is_taken_for_decoding() -> None:
    async def script(feed: Feed) -> None:
        await feed.put(keyframe(0, 0.0, 100.0))
        feed.spent(0.2)

    found = await decoded(ScriptedSource(script), "clip.mp4", 5, 5)
    assert found.cpu_seconds == pytest.approx(0.2)
    assert found.fps is None


async def test_what_brings_no_frame_has_no_cost() -> None:
    with pytest.raises(SourceError, match=r"no picture in 0\.05 s"):
        await decoded(ScriptedSource(for_ever), "rtsp://door/1", 0.05, 5)
