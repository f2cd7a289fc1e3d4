"""Server-sent events, against the whole daemon and a camera."""

import ast
import asyncio
import contextlib
import json
import re
import sys
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple

import aiohttp
import pytest

from daemon.flow.receipts import Counts
from daemon.flow.watched import Watched
from daemon.http.streams import events
from daemon.simulator.camera import Camera
from sinks.base import About, Record
from tests.controlled import Client, Serve, camera, clip, door, serve
from tests.http.access.calls import KEYS, bearer, settings_of
from tests.waiting import until
from tests.worked import ROOT

__all__ = ["camera", "clip", "serve"]  # fixtures are found by their names here

KEY, OTHER = KEYS["watch"], KEYS["templates"]
PAGE = ROOT / "docs" / "subscribers.md"
TEMPLATE = {"_face_template_extractor_1000_12": {"blob": "AAAA"}}


class Told(NamedTuple):
    """A server-sent event."""

    id: str
    event: str
    data: Any


class Reader:
    """What a client of server-sent events makes of the bytes, as the standard says."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.last_id = ""
        self.comments = 0

    async def next(self) -> Told | None:
        """None: the answer has ended."""
        event, data = "message", []
        while line := await self._line():
            name, _, value = line.partition(":")
            match name:
                case "":
                    self.comments += 1
                case "id":
                    self.last_id = value.strip()
                case "event":
                    event = value.strip()
                case "data":
                    data.append(value.removeprefix(" "))
        if line is None:
            return None
        return Told(self.last_id, event, json.loads("\n".join(data))) if data else await self.next()

    async def several(self, count: int) -> list[Told]:
        return [told for _ in range(count) if (told := await self.next()) is not None]

    async def opened(self) -> None:
        """Until it has the first id, which comes without an event."""
        while line := await self._line():
            name, _, value = line.partition(":")
            if name == "id":
                self.last_id = value.strip()

    async def _line(self) -> str | None:
        line = await self.response.content.readline()
        return line.decode().rstrip("\n") if line else None


@contextlib.asynccontextmanager
async def reading(call: Client, path: str, headers: Mapping[str, str] | None = None) -> AsyncIterator[Reader]:
    assert call.app.http is not None
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None, sock_read=20)) as session,
        session.get(f"{call.app.http.url}{path}", headers=headers) as response,
    ):
        assert response.status == 200, await response.text()
        assert response.content_type == "text/event-stream"
        yield Reader(response)


def watched(call: Client, stream: str = "filed") -> Watched:
    return call.app._watches.watched(stream)


def tell(watched: Watched, document: object, kind: str = "visaged.frame", smaller: bytes | None = None) -> None:
    record = Record(watched.stream, json.dumps(document).encode(), smaller=smaller, about=About(kind))
    watched.offer(record, Counts().open())


async def test_a_camera_s_documents_are_told_as_the_sinks_have_them(serve: Serve, camera: Camera) -> None:
    async with serve() as call:
        tracking: dict[str, Any] = {"tracking": {"per": {}, "events": {}}}
        assert (await call("PUT", "/streams/door", door(camera, **tracking))).status == 201
        async with reading(call, "/streams/door/events") as reader:
            assert reader.response.headers["X-Accel-Buffering"] == "no"
            assert reader.response.headers["Cache-Control"] == "no-store"
            assert "X-Request-ID" in reader.response.headers
            told = await reader.several(20)
        frames = [one for one in told if one.event == "frame"]
        assert {one.event for one in told} == {"frame", "track"}
        numbers = [int(one.id.rpartition("-")[2]) for one in told]
        assert numbers == list(range(numbers[0], numbers[0] + 20))
        written = [json.loads(line) for line in (await asyncio.to_thread(call.out.read_text)).splitlines()]
        assert all(one.data in written for one in frames[:-3])
        assert (await call("DELETE", "/streams/door")).status == 204


async def test_types_are_chosen_and_others_are_refused(serve: Serve) -> None:
    async with serve() as call:
        for kind in ("track", "place"):
            async with reading(call, f"/streams/filed/events?types={kind}") as reader:
                tell(watched(call), {"frame": 1})
                tell(watched(call), {kind: 1}, f"visaged.{kind}")
                assert (await reader.next())[1:] == (kind, {kind: 1})  # type: ignore[index]
        for wrong in ("", "frames", "frame,places"):
            refused = await call("GET", f"/streams/filed/events?types={wrong}")
            assert (refused.status, refused.body["detail"][0]["loc"]) == (422, ["query", "types"])
        assert (await call("GET", "/streams/nobody/events")).status == 404


async def test_resumed_within_the_window_nothing_is_missing_or_double(serve: Serve) -> None:
    """Also where the connection was cut before its first event."""
    async with serve() as call:
        seen: list[int] = []
        headers: dict[str, str] = {}
        for round_ in range(5):
            async with reading(call, "/streams/filed/events", headers) as reader:
                await reader.opened()
                seen += [one.data["number"] for one in await reader.several(round_)]
                headers = {"Last-Event-ID": reader.last_id}
            for number in range(round_ * 4, round_ * 4 + 4):
                tell(watched(call), {"number": number})
        assert seen == list(range(10))


@pytest.mark.parametrize(
    ("last_id", "reason", "then"),
    [
        ("0" * 32 + "-7", "restart", [2, 3]),
        ("{run}-1", "window", [2, 3]),
        ("{run}-99", "unknown id", [4]),
        ("anything", "unknown id", [4]),
    ],
)
async def test_what_cannot_be_resumed_is_told_first(serve: Serve, last_id: str, reason: str, then: list[int]) -> None:
    async with serve() as call:
        call.app._watches._window = 2, 1_000_000
        for number in range(4):
            tell(watched(call), {"number": number})
        headers = {"Last-Event-ID": last_id.format(run=call.app._watches.run)}
        async with reading(call, "/streams/filed/events", headers) as reader:
            assert (await reader.next())[1:] == ("gap", {"reason": reason, "lost": None})  # type: ignore[index]
            tell(watched(call), {"number": 4})
            assert (await reader.next()).data["number"] == then[0]  # type: ignore[union-attr]
            assert [one.data["number"] for one in await reader.several(len(then) - 1)] == then[1:]


def guarded(**keys: Any) -> dict[str, Any]:
    return {"http": {"port": 0, "keys": keys, "run_time": {"networks": ["127.0.0.0/8"]}}}


async def test_templates_are_for_keys_of_that_role(serve: Serve) -> None:
    watch, both = settings_of(KEY, ["watch"]), settings_of(OTHER, ["watch", "templates"])
    frame = {"objects": [{"id": 1, "template": TEMPLATE}, {"id": 2}], "stream": {"id": "filed"}}
    track = {"event": "left", "object": {"class": "face", "template": TEMPLATE}}
    async with (
        serve(**guarded(wall=watch, gate=both)) as call,
        reading(call, "/streams/filed/events", bearer(KEY)) as without,
        reading(call, "/events", bearer(OTHER)) as with_templates,
    ):
        for document, kind in ((frame, "visaged.frame"), (track, "visaged.track")):
            tell(watched(call), document, kind)
        assert [one.data for one in await with_templates.several(2)] == [frame, track]
        bare = [{"objects": [{"id": 1}, {"id": 2}], "stream": {"id": "filed"}}, track | {"object": {"class": "face"}}]
        assert [one.data for one in await without.several(2)] == bare


async def test_all_events_are_those_of_the_streams_that_a_key_is_for(serve: Serve) -> None:
    async with (
        serve(**guarded(wall=settings_of(KEY, ["watch"], streams=["yard-*"]))) as call,
        reading(call, "/events", bearer(KEY)) as reader,
    ):
        yard = call.app._watches.join("yard-1")
        tell(watched(call), {"number": 0})
        tell(yard, {"number": 1})
        assert (await reader.next()).data["number"] == 1  # type: ignore[union-attr]
        assert (await call("GET", "/streams/filed/events", Authorization=f"Bearer {KEY}")).status == 403
        assert (await call("GET", "/events")).status == 401


async def test_a_key_that_is_removed_ends_what_it_watches(serve: Serve) -> None:
    async with (
        serve(**guarded(wall=settings_of(KEY, ["watch"]))) as call,
        reading(call, "/streams/filed/events", bearer(KEY)) as reader,
    ):
        assert call.app.http is not None
        call.app.http._guard.keys.replace({"gate": settings_of(OTHER, ["watch"])})
        tell(watched(call), {"number": 0})
        assert await reader.next() is None


@pytest.mark.parametrize("others", [{"streams": ["yard"]}, {"roles": ["query"]}])
async def test_a_key_that_may_no_longer_ends_what_it_watches(serve: Serve, others: dict[str, Any]) -> None:
    async with (
        serve(**guarded(wall=settings_of(KEY, ["watch"]))) as call,
        reading(call, "/streams/filed/events", bearer(KEY)) as reader,
    ):
        assert call.app.http is not None
        call.app.http._guard.keys.replace({"wall": settings_of(KEY, **{"roles": ["watch"]} | others)})
        tell(watched(call), {"number": 0})
        assert await reader.next() is None


async def test_what_is_told_with_pictures_is_a_look(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with (
        serve(**guarded(wall=settings_of(KEY, ["watch"]))) as call,
        reading(call, "/streams/filed/events", bearer(KEY)) as reader,
    ):
        for smaller in (None, b"{}", b"{}"):
            tell(watched(call), {"number": 0}, smaller=smaller)
        await reader.several(3)
    assert caplog.text.count("stream filed: key wall looks at its pictures for the first time") == 1


async def test_a_stream_that_is_removed_ends_its_events_and_not_those_of_all(serve: Serve, camera: Camera) -> None:
    async with serve() as call:
        assert (await call("PUT", "/streams/door", door(camera))).status == 201
        async with reading(call, "/streams/door/events") as of_one, reading(call, "/events") as of_all:
            assert await of_one.next() is not None
            assert (await call("DELETE", "/streams/door")).status == 204
            while await of_one.next() is not None:
                pass
            while (told := await of_all.next()) is not None and told.data.get("stream", {}).get("id") == "door":
                tell(watched(call), {"number": 0})
            assert told is not None


async def test_comments_keep_a_silent_connection(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "COMMENT_S", 0.05)
    async with serve() as call, reading(call, "/events") as reader:
        asyncio.get_running_loop().call_later(0.5, tell, watched(call), {"number": 0})
        assert await reader.next() is not None
        assert 3 <= reader.comments <= 10


async def test_beyond_the_limit_it_is_503_and_requests_have_places_of_their_own(serve: Serve) -> None:
    http = {"port": 0, "max_subscribers": 2, "max_concurrent": 1}
    async with serve(http=http) as call, reading(call, "/events"), reading(call, "/events"):
        codes = await asyncio.gather(*(call("GET", "/events") for _ in range(50)))
        assert {(answer.status, answer.body["detail"]) for answer in codes} == {
            (503, "2 watch, the limit (http.max_subscribers, half of http.max_connections)")
        }
        assert (await call("HEAD", "/events")).status == 200  # holds nothing
        assert call.app.status()["http"]["watching"] == {"events": 2}
        assert call.app.status()["http"]["refused"] == 50
        tell(watched(call), {"number": 0})
        assert (await call("GET", "/healthz")).status == 200
    assert call.app._watches.watching["events"] == 0


async def test_half_of_the_connections_are_for_requests(serve: Serve) -> None:
    async with (
        serve(http={"port": 0, "max_connections": 4}) as call,
        reading(call, "/events"),
        reading(call, "/events"),
    ):
        assert (await call("GET", "/events")).status == 503
        assert (await call("GET", "/healthz")).status == 200


async def test_who_leaves_gives_the_place_back(serve: Serve) -> None:
    async with serve(http={"port": 0, "max_subscribers": 1}) as call:
        for _ in range(3):
            async with reading(call, "/events"):
                assert call.app._watches.watching["events"] == 1
            await until(lambda: call.app._watches.watching["events"] == 0)
        assert not watched(call).readers
        assert not call.app._watches.of_all


async def test_a_stop_ends_all_at_once(serve: Serve) -> None:
    """Also where one does not read: neither `http.stop_timeout` nor its deadline is waited for."""
    async with (
        serve(http={"port": 0, "stop_timeout": 8}, stop_timeout=20) as call,
        reading(call, "/events?types=track") as reader,
        stuck(call),
    ):
        await until(lambda: call.app._watches.watching["events"] == 2)
        fill(call)
        await asyncio.sleep(0.1)
        assert call.app._stopping is not None
        began = asyncio.get_running_loop().time()
        call.app._stopping.set()
        await until(lambda: call.app._watches.watching["events"] == 0)
        while await reader.next() is not None:
            pass
        assert asyncio.get_running_loop().time() - began < 2


@contextlib.asynccontextmanager
async def stuck(call: Client, path: str = "/events") -> AsyncIterator[asyncio.StreamWriter]:
    """A client that asks and does not read."""
    assert call.app.http is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", call.app.http.port, limit=1024)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    await reader.readline()
    try:
        yield writer
    finally:
        writer.transport.abort()


def fill(call: Client, megabytes: int = 30) -> None:
    """More than all buffers on the way hold, in a window that has room for it."""
    call.app._watches._window = 10_000, 100_000_000
    for number in range(megabytes * 10):
        tell(watched(call), {"number": number, "filling": "x" * 100_000})


async def test_who_reads_nothing_is_let_go_of(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with serve(http={"port": 0, "deadline": 0.5}) as call, stuck(call):
        await until(lambda: call.app._watches.watching["events"] == 1)
        fill(call)
        await until(lambda: call.app._watches.watching["events"] == 0)
    assert "127.0.0.1 does not read what it watches: the connection is closed" in caplog.text


async def test_who_reads_too_slowly_is_told_what_it_lost(serve: Serve) -> None:
    async with serve() as call, reading(call, "/streams/filed/events") as reader:
        call.app._watches._window = 10, 1_000_000
        rounds = 40
        for number in range(rounds * 50):
            tell(watched(call), {"number": number, "filling": "x" * 10_000})
            if number % 50 == 49:
                await asyncio.sleep(0)
        seen, lost = 0, 0
        while seen + lost < rounds * 50:
            told = await reader.next()
            assert told is not None
            if told.event == "gap":
                assert told.data["reason"] == "slow"
                lost += told.data["lost"]
            else:
                assert told.data["number"] == seen + lost
                seen += 1
        assert lost > 0
        assert watched(call).lost == lost


@contextlib.asynccontextmanager
async def program(*command: str) -> AsyncIterator[asyncio.StreamReader]:
    """Runs it and gives its standard output."""
    running = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert running.stdout is not None
    try:
        async with asyncio.timeout(20):
            yield running.stdout
    finally:
        running.kill()
        await running.wait()


async def test_the_page_s_client_in_python_goes_on_where_it_was(serve: Serve) -> None:
    async with serve(**guarded(wall=settings_of(KEY, ["watch"]))) as call:
        assert call.app.http is not None
        (example,) = re.findall(r"^```\n(import json.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
        example = example.replace("http://127.0.0.1:8080/streams/door", f"{call.app.http.url}/streams/filed")
        async with program(sys.executable, "-uc", f"key = {KEY!r}\n{example}") as out:
            for number in range(0, 6, 2):
                await until(lambda: call.app._watches.watching["events"] == 1)
                tell(watched(call), {"number": number}, "visaged.track")
                assert ast.literal_eval((await out.readline()).decode()) == {"number": number}
                call.app.http.long_answers.close()
                await until(lambda: call.app._watches.watching["events"] == 0)
                call.app.http.long_answers._closed = False
                tell(watched(call), {"number": number + 1}, "visaged.track")
                assert ast.literal_eval((await out.readline()).decode()) == {"number": number + 1}


async def test_a_page_with_a_session_reads_as_browsers_ask(serve: Serve) -> None:
    async with serve(**guarded(wall=settings_of(KEY, ["watch"]))) as call:
        assert call.app.http is not None
        url = call.app.http.url
        own = {"Sec-Fetch-Site": "same-origin", "Origin": url}
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as page:
            async with page.post(f"{url}/session", json={"key": KEY}, headers=own) as begun:
                assert begun.status == 200
            asked = {"Accept": "text/event-stream", "Cache-Control": "no-cache", "Sec-Fetch-Site": "same-origin"}
            async with page.get(f"{url}/streams/filed/events", headers=asked) as response:
                assert response.status == 200
                tell(watched(call), {"number": 0})
                assert (await Reader(response).next()).data == {"number": 0}  # type: ignore[union-attr]
                async with page.delete(f"{url}/session", headers=own) as ended:
                    assert ended.status == 204


async def test_curl_shows_events(serve: Serve) -> None:
    async with serve(**guarded(wall=settings_of(KEY, ["watch"]))) as call:
        assert call.app.http is not None
        url = f"{call.app.http.url}/streams/filed/events"
        async with program("curl", "-sN", "-H", f"Authorization: Bearer {KEY}", url) as out:
            await until(lambda: call.app._watches.watching["events"] == 1)
            tell(watched(call), {"number": 0})
            lines = [(await out.readline()).decode() for _ in range(6)]
    assert lines[:1] == ["retry: 2000\n"]
    assert lines[4:] == ["event: frame\n", 'data: {"number": 0}\n']
