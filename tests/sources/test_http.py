"""Video over HTTP: what has an end is a file, what has none is a camera."""

import asyncio
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import av
import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from daemon.errors import DamagedImage, SourceEnded, SourceError
from daemon.sources import video
from daemon.sources.base import ENDED_WAITING, InThread
from daemon.sources.reading import FRAME_RATE
from daemon.sources.settings import SourceSettings
from daemon.sources.video import VideoReader
from processors.types import Frame
from tests.fakes import CollectingFeed
from tests.sources.videos import FPS, HEIGHT, WIDTH, jpeg, make_video, numbers, picture
from tests.waiting import until

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[[dict[str, Handler]], Awaitable[TestServer]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    servers: list[TestServer] = []

    async def start(handlers: dict[str, Handler]) -> TestServer:
        app = web.Application()
        app.add_routes([web.get(path, handler) for path, handler in handlers.items()])
        server = TestServer(app, host="127.0.0.1")
        await server.start_server()
        servers.append(server)
        return server

    yield start
    for server in servers:
        await server.close()


async def read(url: URL, feed: CollectingFeed, read_timeout: float = 2.0) -> None:
    settings = SourceSettings(source=str(url), read_timeout=read_timeout)
    await InThread(VideoReader(settings), "test").run(feed)


def file(path: Path) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.FileResponse(path)

    return handler


def playlist(segments: int, *, end: bool, first: int = 0) -> web.Response:
    lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:1", f"#EXT-X-MEDIA-SEQUENCE:{first}"]
    for number in range(first, first + segments):
        lines += ["#EXTINF:0.4,", f"{number}.ts"]
    return web.Response(text="\n".join(lines + ["#EXT-X-ENDLIST"] * end + [""]), content_type="application/x-mpegurl")


def segments_of(folder: Path, count: int) -> dict[str, Handler]:
    """Of 10 pictures each, that go on from one to the next."""
    with av.open(str(folder / "%d.ts"), "w", format="segment", options={"segment_time": "0.4"}) as out:
        options = {"preset": "ultrafast", "tune": "zerolatency", "forced-idr": "1"}
        stream = out.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = WIDTH, HEIGHT, "yuv420p", 10
        for pts in range(count * 10):
            frame = av.VideoFrame.from_ndarray(picture(pts // 10), format="bgr24")
            frame.pts = pts
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return {f"/{number}.ts": file(folder / f"{number}.ts") for number in range(count)}


@pytest.mark.parametrize("container", ["mp4", "ts"])
async def test_a_finite_file_is_a_file(serve: Serve, tmp_path: Path, container: str) -> None:
    server = await serve({"/a": file(make_video(tmp_path / f"a.{container}"))})
    feed = CollectingFeed()
    await read(server.make_url("/a"), feed)
    assert numbers(feed.put_frames) == list(range(10))
    assert feed.offered == []


async def test_a_finished_hls_list_is_a_file(serve: Serve, tmp_path: Path) -> None:
    async def finished(request: web.Request) -> web.StreamResponse:
        return playlist(2, end=True)

    segment = file(make_video(tmp_path / "a.ts"))
    server = await serve({"/a.m3u8": finished, "/0.ts": segment, "/1.ts": segment})
    feed = CollectingFeed()
    await read(server.make_url("/a.m3u8"), feed)
    assert numbers(feed.put_frames) == [*range(10), *range(10)]
    assert feed.offered == []


async def test_a_growing_hls_list_is_a_camera_whose_frames_come_at_their_pace(serve: Serve, tmp_path: Path) -> None:
    """Three segments are there at once, and more whenever FFmpeg asks."""
    asked = 0

    async def growing(request: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        return playlist(min(asked + 2, 6), end=False)

    server = await serve({"/a.m3u8": growing, **segments_of(tmp_path, 6)})
    came: list[float] = []

    class Timed(CollectingFeed):
        def offer(self, frame: Frame) -> None:
            came.append(time.time())
            super().offer(frame)

    feed = Timed()
    reading = asyncio.create_task(read(server.make_url("/a.m3u8"), feed))
    await until(lambda: len(came) >= 40 or reading.done())
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert feed.put_frames == []
    assert came[39] - came[0] == pytest.approx(39 / FPS, abs=0.4)
    assert max(np.diff(came[:40])) < 0.4
    captured = [frame.captured_at for frame in feed.offered]
    assert np.all(np.diff(captured) > 0)


async def test_a_live_list_that_ended_is_waited_for_and_goes_on(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video, "FIRST_POLL", 0.05)
    monkeypatch.setattr(video, "LONGEST_POLL", 0.05)
    now = playlist(3, end=False, first=2)

    async def current(request: web.Request) -> web.StreamResponse:
        return web.Response(text=now.text, content_type="application/x-mpegurl")

    server = await serve({"/a.m3u8": current, **segments_of(tmp_path, 8)})
    feed = CollectingFeed()
    reading = asyncio.create_task(read(server.make_url("/a.m3u8"), feed))

    async def shown_until_it_waits(count: int) -> list[int]:
        """The segments that were shown since."""
        await until(lambda: feed.waits_for[-1:] == [ENDED_WAITING] or reading.done())
        await asyncio.sleep(0.2)  # polls that bring nothing new
        assert feed.waits_for[-1] == ENDED_WAITING
        shown = sorted(set(numbers(feed.offered)))
        assert len(feed.offered) == count
        feed.offered.clear()
        feed.waits_for.clear()
        return shown

    await until(lambda: len(feed.offered) > 5)
    now = playlist(3, end=True, first=2)
    assert await shown_until_it_waits(30) == [2, 3, 4]
    now = playlist(5, end=False, first=2)
    await until(lambda: len(feed.offered) > 5)
    now = playlist(5, end=True, first=2)
    assert await shown_until_it_waits(20) == [5, 6]
    now = playlist(3, end=True, first=0)  # the encoder began anew
    assert await shown_until_it_waits(30) == [0, 1, 2]
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert np.all(np.diff([frame.captured_at for frame in feed.offered]) > 0)


def motion_jpeg(pictures: int, sent: list[float], interval: float = 0.015) -> Handler:
    """Notes when it sends each picture, to the latest who asks. Their numbers start again after 12."""

    async def handler(request: web.Request) -> web.StreamResponse:
        sent.clear()
        response = web.StreamResponse(headers={"Content-Type": "multipart/x-mixed-replace; boundary=frame"})
        await response.prepare(request)
        for number in range(pictures):
            body = jpeg(number % 12)
            sent.append(time.time())
            head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(body)
            await response.write(head + body + b"\r\n")
            await asyncio.sleep(interval)
        return response

    return handler


async def test_mjpeg_is_a_camera_whose_end_is_a_disconnect(serve: Serve) -> None:
    sent: list[float] = []
    server = await serve({"/": motion_jpeg(36, sent)})
    feed = CollectingFeed()
    with pytest.raises(SourceEnded, match="the connection was closed"):
        await read(server.make_url("/"), feed)
    assert numbers(feed.offered) == [*range(12)] * 3
    assert [frame.index for frame in feed.offered] == list(range(36))
    assert feed.put_frames == []
    # By the wall clock: FFmpeg's own times, 25 a second, would be late by 0.9 s at the end.
    delays = np.array([frame.captured_at for frame in feed.offered]) - sent
    assert delays.min() >= 0
    assert delays.max() < 0.5


async def test_the_rate_of_mjpeg_is_that_of_its_arrival(serve: Serve) -> None:
    """FFmpeg's own times would have it that two seconds of ten pictures each are four fifths of one."""
    server = await serve({"/": motion_jpeg(20, [], 0.1)})
    feed = CollectingFeed()
    with pytest.raises(SourceEnded):
        await InThread(VideoReader(SourceSettings(source=str(server.make_url("/")), fps=5)), "test").run(feed)
    assert len(feed.offered) == pytest.approx(10, abs=1)
    pts = [frame.pts for frame in feed.offered]
    assert pts[-1] - pts[0] == pytest.approx(feed.offered[-1].captured_at - feed.offered[0].captured_at, abs=0.01)
    assert feed.counts.received == 20


def sound_after_video(path: Path, seconds: float) -> list[bytes]:
    """A transport stream, in pieces of 0.1 s of sound: the video ends after the first."""
    with av.open(str(path), "w", format="mpegts") as out:
        stream = out.add_stream("libx264", rate=25, options={"tune": "zerolatency", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        sound = out.add_stream("mp2", rate=48_000)
        for number in range(20):
            frame = av.VideoFrame.from_ndarray(picture(number % 12), format="bgr24")
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
        for number in range(round(seconds * 48_000 / 1152)):
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.int16), format="s16", layout="mono")
            silence.rate, silence.pts = 48_000, number * 1152
            out.mux(sound.encode(silence))
        out.mux(sound.encode())
    content = path.read_bytes()
    size = len(content) // round(seconds * 10)
    return [content[at : at + size] for at in range(0, len(content), size)]


@pytest.fixture
def video_ends(tmp_path: Path) -> Handler:
    pieces = sound_after_video(tmp_path / "a.ts", 40)

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "video/mp2t"})
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
            await asyncio.sleep(0.02)
        return response

    return handler


async def test_sound_alone_does_not_keep_a_camera_alive(serve: Serve, video_ends: Handler) -> None:
    server = await serve({"/": video_ends})
    feed = CollectingFeed()
    with pytest.raises(SourceError, match=r"only other streams in 0.5 s, no video$"):
        await asyncio.wait_for(read(server.make_url("/"), feed, read_timeout=0.5), 8)
    assert len(feed.offered) >= 18  # FFmpeg waits for what follows the last ones


async def test_a_stop_is_heeded_while_only_sound_comes(serve: Serve, video_ends: Handler) -> None:
    server = await serve({"/": video_ends})
    feed = CollectingFeed()
    reading = asyncio.create_task(read(server.make_url("/"), feed, read_timeout=60))
    await until(lambda: len(feed.offered) >= 18)
    reading.cancel()
    began = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert time.monotonic() - began < 2


PART = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n"


@pytest.mark.parametrize(
    ("media_type", "part"),
    [
        ("multipart/x-mixed-replace; boundary=frame", PART),
        ("multipart/mixed; boundary=frame", PART.replace(b"jpeg", b"jpg")),
        ("multipart/x-mixed-replace; boundary=frame", PART.replace(b"Content-Type: image/jpeg\r\n", b"")),
        ("application/octet-stream", PART),
        ("image/jpeg", b"%.0d%b"),
    ],
    ids=["as it should be", "mixed", "no type of the parts", "octets", "one after the other"],
)
async def test_mjpeg_by_any_media_type(serve: Serve, media_type: str, part: bytes) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": media_type})
        await response.prepare(request)
        for number in range(1000):
            body = jpeg(number % 12)
            await response.write(part % (len(body), body))
            await asyncio.sleep(0.05)
        return response

    server = await serve({"/": handler})
    feed = CollectingFeed()
    reading = asyncio.create_task(read(server.make_url("/"), feed))
    await until(lambda: len(feed.offered) > 20 or reading.done())
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert np.all(np.diff(numbers(feed.offered[:10])) % 12 == 1)
    assert np.median(np.diff([frame.pts for frame in feed.offered])) == pytest.approx(0.05, abs=0.02)


@pytest.mark.parametrize("sized", [True, False])
async def test_a_snapshot_is_asked_for_at_the_target_rate(serve: Serve, sized: bool) -> None:
    asked: list[float] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        asked.append(time.monotonic())
        body = jpeg(len(asked) % 12)
        if sized:
            return web.Response(body=body, content_type="image/jpeg")
        response = web.StreamResponse(headers={"Content-Type": "image/jpeg"})
        await response.prepare(request)
        await response.write(body)
        return response

    server = await serve({"/": handler})
    feed = CollectingFeed()
    source = InThread(VideoReader(SourceSettings(source=str(server.make_url("/")), fps=10)), "test")
    reading = asyncio.create_task(source.run(feed))
    await until(lambda: len(feed.offered) >= 10 or reading.done())
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    frames = [*feed.put_frames, *feed.offered]
    assert np.mean(np.diff(asked[2:])) == pytest.approx(0.1, abs=0.03)
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert np.mean(np.diff([frame.pts for frame in frames[1:]])) == pytest.approx(0.1, abs=0.03)
    assert np.all(np.diff([frame.captured_at for frame in frames]) > 0)
    assert np.all(np.diff(numbers(frames[1:])) % 12 == 1)


async def test_a_web_page_is_no_video(serve: Serve) -> None:
    async def page(request: web.Request) -> web.StreamResponse:
        return web.Response(text="<!DOCTYPE html><html><body>Please sign in</body></html>", content_type="text/html")

    server = await serve({"/": page})
    with pytest.raises(SourceError, match=r": a web page, no video: look in the camera's manual"):
        await read(server.make_url("/"), CollectingFeed())


async def test_credentials_are_used_and_not_shown(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str | None] = []

    async def locked(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers.get("Authorization"))
        return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="door"'})

    server = await serve({"/": locked})
    with caplog.at_level("DEBUG"), pytest.raises(SourceError, match="401") as error:
        await read(server.make_url("/").with_user("user").with_password("hunter2"), CollectingFeed())
    assert f"Basic {b64encode(b'user:hunter2').decode()}" in seen
    assert "hunter2" not in str(error.value) + caplog.text


@pytest.mark.parametrize("status", [403, 404, 500])
async def test_a_refusal_is_a_source_error(serve: Serve, status: int) -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status)

    server = await serve({"/": refuse})
    with pytest.raises(SourceError):
        await read(server.make_url("/"), CollectingFeed())


async def test_a_camera_that_falls_silent_is_lost_after_the_read_timeout(serve: Serve) -> None:
    released = asyncio.Event()
    pictures = motion_jpeg(10, [])

    async def silent(request: web.Request) -> web.StreamResponse:
        response = await pictures(request)
        await released.wait()
        return response

    server = await serve({"/": silent})
    feed = CollectingFeed()
    began = time.monotonic()
    with pytest.raises(SourceError):
        await asyncio.wait_for(read(server.make_url("/"), feed, read_timeout=0.5), 10)
    released.set()
    assert 0.5 <= time.monotonic() - began < 5
    assert feed.offered


async def test_a_camera_that_sends_nothing_but_damage_is_lost(serve: Serve) -> None:
    async def damaged(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "multipart/x-mixed-replace; boundary=frame"})
        await response.prepare(request)
        for number in range(1000):
            body = jpeg(1) if number < 5 else b"\xff\xd8" + bytes(50)
            head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(body)
            await response.write(head + body + b"\r\n")
            await asyncio.sleep(0.01)
        return response

    server = await serve({"/": damaged})
    feed = CollectingFeed()
    with pytest.raises(SourceError, match="mjpeg video that cannot be decoded"):
        await asyncio.wait_for(read(server.make_url("/"), feed, read_timeout=0.2), 5)
    assert len(feed.offered) == 5
    assert {type(error) for error in feed.failed} == {DamagedImage}


async def test_what_is_not_wanted_of_mjpeg_is_not_decoded(serve: Serve) -> None:
    """By the times of arrival, as MJPEG brings none."""
    server = await serve({"/": motion_jpeg(36, [])})
    feed = CollectingFeed()
    with pytest.raises(SourceEnded):
        await InThread(VideoReader(SourceSettings(source=str(server.make_url("/")), fps=5)), "test").run(feed)
    assert feed.counts.received == 36
    assert 2 <= len(feed.offered) <= 10
    assert feed.counts.skipped == {FRAME_RATE: 36 - len(feed.offered)}
