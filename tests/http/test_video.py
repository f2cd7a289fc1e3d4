"""Snapshots and motion JPEG, against the whole daemon and a camera."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple

import aiohttp
import cv2
import numpy as np
import pytest

from daemon.flow.watched import Watched
from daemon.http.streams import pictures, video
from daemon.pictures import shown
from daemon.pictures.hide import GREY, NOTHING, Hiding
from daemon.simulator.camera import Camera
from processors.types import Frame, Image, Object, Sample
from tests.controlled import SCENE, Client, Serve, camera, clip, door, serve
from tests.http.access.calls import KEYS, bearer, settings_of
from tests.http.test_events import guarded, stuck
from tests.waiting import until

__all__ = ["camera", "clip", "serve"]  # fixtures are found by their names here

KEY = KEYS["watch"]
SNAPSHOT, VIDEO = "/streams/filed/snapshot.jpg", "/streams/filed/video"


class Part(NamedTuple):
    headers: Mapping[str, str]
    image: Image

    @property
    def stream(self) -> str:
        return self.headers["Content-Location"].split("/")[2]


class Counted:
    """A frame's picture, grey, and how often it was converted."""

    def __init__(self, grey: int) -> None:
        self.calls = 0
        self._grey = grey

    def __call__(self) -> Image:
        self.calls += 1
        return np.full((180, 320, 3), self._grey, np.uint8)


def show(watched: Watched, load: Counted, *objects: Object) -> None:
    sample = Sample(Frame(load, width=320, height=180, captured_at=1_700_000_000.25), objects)
    sample.put(NOTHING)
    watched.show(sample)


def watched(call: Client, stream: str = "filed") -> Watched:
    return call.app._watches.watched(stream)


def decoded(jpeg: bytes) -> Image:
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image.astype(np.uint8)


@contextlib.asynccontextmanager
async def asked(
    call: Client, path: str, headers: Mapping[str, str] | None = None
) -> AsyncIterator[aiohttp.ClientResponse]:
    assert call.app.http is not None
    timeout = aiohttp.ClientTimeout(total=None, sock_read=20)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.get(f"{call.app.http.url}{path}", headers=headers) as response,
    ):
        yield response


async def jpeg(call: Client, path: str, headers: Mapping[str, str] | None = None) -> bytes:
    async with asked(call, path, headers) as response:
        assert response.status == 200, await response.text()
        return await response.read()


async def part(response: aiohttp.ClientResponse) -> Part | None:
    """The next; None: there is none."""
    headers = {}
    while line := (await response.content.readline()).decode().strip("\r\n"):
        if line != "--frame":
            name, _, value = line.partition(": ")
            headers[name] = value
    if not headers:
        return None
    body = await response.content.readexactly(int(headers["Content-Length"]))
    assert await response.content.readexactly(11) == b"\r\n--frame\r\n"
    return Part(headers, decoded(body))


async def test_a_camera_s_picture_and_video(serve: Serve, camera: Camera) -> None:
    async with serve() as call:
        assert (await call("PUT", "/streams/door", door(camera))).status == 201
        await until(lambda: call.state() == "running" and watched(call, "door").look is not None)
        async with asked(call, "/streams/door/snapshot.jpg?draw=1") as response:
            assert (response.status, response.content_type) == (200, "image/jpeg")
            assert response.headers["Cache-Control"] == "no-store"
            assert decoded(await response.read()).shape == (SCENE.height, SCENE.width, 3)
        async with asked(call, "/streams/door/video?fps=20&width=160") as response:
            assert response.headers["Content-Type"] == "multipart/x-mixed-replace; boundary=frame"
            parts = [await part(response) for _ in range(5)]
        times = [one.headers["X-Captured-At"] for one in parts if one is not None]
        assert times == sorted(set(times))
        assert all(re.fullmatch(r"(face=\d)?", one.headers["X-Found"]) for one in parts if one is not None)
        assert len(times) == 5
        assert {one.image.shape for one in parts if one is not None} == {(90, 160, 3)}


def faces_seen(call: Client, *, hidden: bool = False) -> int:
    """On the last look."""
    look = watched(call, "door").look
    if look is None:
        return 0
    return len(look.sample[Hiding].boxes_xyxy if hidden else look.sample.objects)


async def test_whom_a_stream_hides_nobody_sees_and_what_was_seen_before_is_forgotten(
    serve: Serve, camera: Camera
) -> None:
    def grey(image: Image) -> float:
        return float((abs(image.astype(int) - GREY).max(axis=2) < 12).mean())

    async with serve() as call:
        path = "/streams/door/snapshot.jpg"
        await call("PUT", "/streams/door", door(camera))
        await until(lambda: call.state() == "running" and faces_seen(call) > 0)
        plain = decoded(await jpeg(call, path))
        await call("PUT", "/streams/door", door(camera, privacy={"hide": "faces"}))
        await until(lambda: faces_seen(call, hidden=True) > 0)
        for form in ("", "?width=160", "?draw=1"):
            assert grey(decoded(await jpeg(call, path + form))) > grey(plain) + 0.01
        async with asked(call, "/streams/door/video?fps=20&width=160") as response:
            one = await part(response)
            assert one is not None and grey(one.image) > grey(plain) + 0.01
        only_bodies = door(camera, privacy={"hide": "faces"}, chain=["body-detector"])
        await call("PUT", "/streams/door", only_bodies | {"masks": [[[0, 0], [1, 0], [1, 1]]]})
        await until(lambda: watched(call, "door").withheld is not None)
        answer = await call("GET", path)
        assert answer.status == 503
        assert answer.body["detail"].endswith(": not looked at for face")
        assert sum((await call("GET", "/status")).body["streams"]["door"]["pictures_withheld"].values()) >= 1


async def test_nothing_is_made_until_it_is_asked_for_and_then_once(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[bool] = []
    real = shown.shown

    def counted(sample: Sample, image: Image, *, draw: bool, display_width: int | None) -> bytes:
        made.append(draw)
        return real(sample, image, draw=draw, display_width=display_width)

    monkeypatch.setattr(pictures, "shown", counted)
    async with serve() as call:
        load, unseen = Counted(200), Counted(0)
        show(watched(call), unseen)
        show(watched(call), load, Object("face", np.array([40.0, 40, 120, 120])))
        assert (load.calls, made) == (0, [])
        plain = await asyncio.gather(*(jpeg(call, SNAPSHOT) for _ in range(8)))
        assert len(set(plain)) == 1
        assert len(made) == 1
        drawn, small = await asyncio.gather(jpeg(call, f"{SNAPSHOT}?draw=1"), jpeg(call, f"{SNAPSHOT}?width=80"))
        assert (load.calls, unseen.calls, sorted(made)) == (1, 0, [False, False, True])
        assert decoded(small).shape == (45, 80, 3)
        assert decoded(plain[0])[40, 80].tolist() == pytest.approx([200] * 3, abs=3)
        assert decoded(drawn)[40, 80].tolist() != pytest.approx([200] * 3, abs=40)  # a side of the box
        for width in range(16, 16 + 2 * pictures.MOST_FORMS):
            await jpeg(call, f"{SNAPSHOT}?width={width}")
        look = watched(call).look
        assert look is not None
        assert len(look.pictures) == pictures.MOST_FORMS


@pytest.mark.parametrize(
    ("query", "loc"),
    [
        ("width=0", "width"),
        ("width=9000", "width"),
        ("width=x", "width"),
        ("display_width=15", "display_width"),
        ("draw=yes", "draw"),
        ("fps=0", "fps"),
        ("fps=61", "fps"),
        ("fps=nan", "fps"),
        ("fps=x", "fps"),
    ],
)
async def test_what_is_asked_for_wrongly_is_422(serve: Serve, query: str, loc: str) -> None:
    async with serve() as call:
        for path in [VIDEO] if loc == "fps" else [VIDEO, SNAPSHOT]:
            refused = await call("GET", f"{path}?{query}")
            assert (refused.status, refused.body["detail"][0]["loc"]) == (422, ["query", loc])


async def test_where_there_is_no_picture(serve: Serve) -> None:
    async with serve() as call:
        assert (await call("GET", SNAPSHOT)).status == 503
        for path in ("/streams/nobody/snapshot.jpg", "/streams/nobody/video", "/video?streams=filed,nobody"):
            assert (await call("GET", path)).status == 404
        for path in ("/video", "/video?streams=", "/video?streams=" + ",".join(map(str, range(65)))):
            assert (await call("GET", path)).status == 422


async def test_the_rate_is_that_which_was_asked_for_and_the_picture_the_latest(serve: Serve) -> None:
    async with serve() as call, asked(call, f"{VIDEO}?fps=5") as response:
        loads = [Counted(10 * index) for index in range(25)]
        began = asyncio.get_running_loop().time()
        for load in loads:
            show(watched(call), load)
            await asyncio.sleep(0.02)
        took = asyncio.get_running_loop().time() - began
        await until(lambda: loads[-1].calls == 1)
        made = sum(load.calls for load in loads)
        assert 2 <= made <= took * 5 + 2
        greys = [one.image[90, 160, 0] for _ in range(made) if (one := await part(response)) is not None]
        assert greys == sorted(greys)
        assert greys[-1] == pytest.approx(240, abs=3)


async def test_many_streams_over_one_connection_each_part_named(serve: Serve) -> None:
    streams = {name: {"source": "rtsp://127.0.0.1:9/1"} for name in ("a", "b ü", "c")}
    async with serve(streams=streams) as call, asked(call, "/video?streams=a,b%20%C3%BC&fps=50") as response:
        for name, grey in (("a", 10), ("b ü", 200), ("c", 90), ("a", 20)):
            show(watched(call, name), Counted(grey))
            await asyncio.sleep(0.1)
        parts = [await part(response) for _ in range(3)]
        found = [(one.stream, round(int(one.image[0, 0, 0]), -1)) for one in parts if one is not None]
        assert found == [("a", 10), ("b%20%C3%BC", 200), ("a", 20)]
        watched(call, "a").leave()
        show(watched(call, "b ü"), Counted(50))
        assert (one := await part(response)) is not None
        assert one.stream == "b%20%C3%BC"
        watched(call, "b ü").leave()
        assert await part(response) is None


async def test_a_key_sees_its_streams_and_its_first_look_is_told(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with serve(**guarded(wall=settings_of(KEY, ["watch"], streams=["filed"]))) as call:
        call.app._watches.join("yard")
        refused = await call("GET", "/video?streams=filed,yard", Authorization=f"Bearer {KEY}")
        assert (refused.status, refused.body["detail"]) == (403, "The key is not for the stream yard")
        show(watched(call), Counted(1))
        async with asked(call, VIDEO, bearer(KEY)) as response:
            assert await part(response) is not None
            assert await jpeg(call, SNAPSHOT, bearer(KEY))
            assert call.app.http is not None
            call.app.http._guard.keys.replace({"gate": settings_of(KEYS["templates"], ["watch"])})
            show(watched(call), Counted(2))
            assert await part(response) is None
    assert caplog.text.count("stream filed: key wall looks at its pictures for the first time") == 1


async def test_a_picture_is_repeated_where_none_comes(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "REPEAT_S", 0.05)
    async with serve() as call, asked(call, VIDEO) as response:
        load = Counted(100)
        show(watched(call), load)
        for _ in range(3):
            assert await part(response) is not None
        assert load.calls == 1


async def test_a_picture_that_cannot_be_made_is_passed_over(serve: Serve) -> None:
    class Broken(Counted):
        def __call__(self) -> Image:
            super().__call__()
            raise ValueError("damaged")

    async with serve() as call, asked(call, f"{VIDEO}?fps=60") as response:
        broken = Broken(0)
        show(watched(call), broken)
        await until(lambda: broken.calls > 0)
        show(watched(call), Counted(100))
        assert await part(response) is not None


async def test_a_viewer_that_reads_nothing_costs_no_conversions(serve: Serve) -> None:
    async with serve() as call, stuck(call, f"{VIDEO}?fps=60"):
        await until(lambda: call.app._watches.watching["video"] == 1)
        noise = np.random.default_rng(1).integers(0, 255, (720, 1280, 3), np.uint8)

        class Noise(Counted):
            def __call__(self) -> Image:
                super().__call__()
                return noise

        loads = [Noise(0) for _ in range(40)]
        for load in loads:
            show(watched(call), load)
            await asyncio.sleep(0.03)
        assert 1 <= sum(load.calls for load in loads) <= 10  # what the buffers on the way hold
