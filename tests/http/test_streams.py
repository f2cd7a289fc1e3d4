"""Streams over HTTP, against the whole daemon and a camera."""

import asyncio
import contextlib
import ipaddress
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from daemon.commands.run import REGISTRY
from daemon.control import checks
from daemon.control.registry import FileRegistry
from daemon.http.access.keys import new_key
from daemon.simulator.camera import Camera
from tests.controlled import CHAIN, GOP, SCENE, Serve, camera, clip, door, serve
from tests.http.access.calls import settings_of
from tests.waiting import until

__all__ = ["camera", "clip", "serve"]  # fixtures are found by their names here


async def test_a_stream_is_added_seen_changed_and_removed(serve: Serve, camera: Camera) -> None:
    async with serve() as call:
        added = await call("PUT", "/streams/door", door(camera, labels={"site": "depot"}))
        assert (added.status, added.body["origin"]) == (201, "run-time")
        await until(lambda: call.state() == "running")
        assert (await call("GET", "/streams/door")).etag == added.etag

        run = call.app.overview.streams["door"].stream
        changed = await call("PATCH", "/streams/door", {"name": "Tür", "emit": "objects"}, If_Match=added.etag or "")
        assert (changed.status, changed.body["settings"]["name"]) == (200, "Tür")
        assert changed.etag != added.etag
        assert call.app.overview.streams["door"].stream is run
        paused = await call("POST", "/streams/door/pause")
        assert (paused.status, paused.body["settings"]["paused"]) == (200, True)
        await until(lambda: call.state() == "paused")
        resumed = await call("POST", "/streams/door/resume")
        assert resumed.status == 200
        await until(lambda: call.state() == "running")
        assert (await call("POST", "/streams/door/restart")).status == 202
        assert (await call("DELETE", "/streams/door")).status == 204
        assert (await call("GET", "/streams/door")).status == 404
        await until(lambda: "door" not in call.app.status()["streams"])


async def test_streams_are_listed_by_state_and_label_page_by_page(serve: Serve) -> None:
    async with serve() as call:
        for name, site in (("a", "depot"), ("b", "depot"), ("c", "yard")):
            sent = {"source": "rtsp://127.0.0.1:9/1", "chain": CHAIN, "paused": True, "labels": {"site": site}}
            assert (await call("PUT", f"/streams/{name}", sent)).status == 201
        await until(lambda: call.state("c") == "paused")

        async def ids(query: str) -> tuple[list[str], str | None]:
            body = (await call("GET", f"/streams{query}")).body
            return [one["id"] for one in body["streams"]], body["next"]

        assert await ids("") == (["a", "b", "c", "filed"], None)
        assert await ids("?label=site=depot") == (["a", "b"], None)
        assert await ids("?label=site") == (["a", "b", "c"], None)
        assert await ids("?state=paused&limit=2") == (["a", "b"], "b")
        assert await ids("?state=paused&limit=2&after=b") == (["c"], None)
        refused = await call("GET", "/streams?limit=0")
        assert (refused.status, refused.body["detail"][0]["loc"]) == (422, ["query", "limit"])


async def test_what_was_answered_outlives_the_daemon(serve: Serve, camera: Camera) -> None:
    async with serve() as call:
        added = await call("PUT", "/streams/door", door(camera, username="u", password="p"))  # noqa: S106
    async with serve() as call:
        found = await call("GET", "/streams/door")
        assert (found.status, found.etag) == (200, added.etag)
        await until(lambda: call.state() == "running")


async def test_the_file_s_streams_are_read_only(serve: Serve, camera: Camera) -> None:
    async with serve() as call:
        for method, path, body in (
            ("PUT", "", door(camera)),
            ("PATCH", "", {"fps": 1}),
            ("DELETE", "", None),
            ("POST", "/pause", None),
        ):
            refused = await call(method, f"/streams/filed{path}", body)
            assert refused.status == 409
            assert "change it there, then send SIGHUP" in refused.body["detail"]
        assert (await call("POST", "/streams/filed/restart")).status == 202


async def test_without_a_state_dir_it_is_refused_with_the_remedy(serve: Serve, camera: Camera) -> None:
    async with serve(state_dir=None) as call:
        refused = await call("PUT", "/streams/door", door(camera))
        assert refused.status == 409
        assert "`state_dir`" in refused.body["detail"]


async def test_no_password_is_read_back(serve: Serve, camera: Camera, tmp_path: Path) -> None:
    source = camera.url("door").replace("//", "//viewer:hunter2@")
    async with serve() as call:
        answers = [await call("PUT", "/streams/door", door(camera, source=source))]
        answers += [await call("GET", path) for path in ("/streams", "/streams/door", "/streams/filed", "/status")]
        assert "hunter2" not in str(answers)
        settings = answers[0].body["settings"]
        assert (settings["username"], settings["password"]) == ("viewer", "***")
        again = await call("PUT", "/streams/door", settings)
        assert again.status == 200
    kept = await asyncio.to_thread(FileRegistry(tmp_path / "state" / REGISTRY).load)
    assert kept["door"]["settings"]["password"] == "hunter2"  # noqa: S105
    assert (tmp_path / "state" / REGISTRY).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("change", "loc"),
    [
        ({"source": "rtsp://viewer:***@127.0.0.2/1", "username": None, "password": None}, ["body", "password"]),
        ({"source": "rtsp://127.0.0.2/1"}, ["body", "password"]),
        ({"username": "admin"}, ["body", "password"]),
        ({"source": "rtsp://***@127.0.0.2/1"}, ["body", "source"]),
    ],
)
async def test_a_password_does_not_go_to_another(serve: Serve, change: dict[str, Any], loc: list[str]) -> None:
    sent = {"source": "rtsp://127.0.0.1:9/1", "username": "viewer", "password": "hunter2", "paused": True}
    async with serve() as call:
        assert (await call("PUT", "/streams/door", sent | {"chain": CHAIN})).status == 201
        shown = {key: value for key, value in (sent | {"password": "***"} | change).items() if value is not None}
        put = await call("PUT", "/streams/door", shown)
        patched = await call("PATCH", "/streams/door", {key: value for key, value in change.items() if value})
        assert [put.status, patched.status] == [422, 422]
        assert [one["loc"] for one in put.body["detail"]] == [loc]
        assert "hunter2" not in str((put, patched))


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"source": "/etc/passwd"}, "scheme_refused"),
    ({"source": "file:///etc/passwd"}, "scheme_refused"),
    ({"source": "concat:/etc/passwd"}, "scheme_refused"),
    ({"source": "rtsp://169.254.169.254/latest"}, "address_refused"),
    ({"source": "http://2852039166/latest"}, "address_refused"),
    ({"source": "http://0xa9fea9fe/latest"}, "address_refused"),
    ({"source": "http://[::ffff:169.254.169.254]/latest"}, "address_refused"),
    ({"source": "rtsp://10.0.0.5/1"}, "address_refused"),
    ({"source": "http://127.0.0.1/a b\r\nX: y"}, "source_refused"),
    ({"ffmpeg_options": {"headers": "X: y"}}, "option_refused"),
    ({"ffmpeg_options": {"protocol_whitelist": "file"}}, "option_refused"),
    ({"ffmpeg_options": {"probesize": "1\r\n"}}, "option_refused"),
    ({"password": "${file:/etc/passwd}", "username": "u"}, "secret_refused"),
    ({"password": "${HOME}", "username": "u"}, "secret_refused"),
    ({"password": "${secret:../../etc/passwd}", "username": "u"}, "secret_refused"),
    ({"password_file": "/etc/passwd", "username": "u"}, "extra_forbidden"),
    ({"sinks": ["out"]}, "sink_refused"),
    ({"topic": "anybody-s"}, "topic_refused"),
    ({"tracking": {"events": {"topic": "anybody-s"}}}, "topic_refused"),
    ({"window": 100_000}, "less_than_equal"),
    ({"open_timeout": 1e9}, "less_than_equal"),
    ({"chain": ["no-such"]}, "value_error"),
    ({"tracking": {"per": {"age-estimator": "frame"}}}, "value_error"),
    ({"labels": {"a b": "c"}}, "string_pattern_mismatch"),
    ({"fps": "many"}, "float_parsing"),
    ({"x-mine": 1}, "extra_forbidden"),
    ({"password": "***", "username": "u"}, "hidden"),
]


async def test_what_may_not_be_is_refused_with_its_word_and_leaves_nothing(serve: Serve, tmp_path: Path) -> None:
    sent = {"source": "rtsp://127.0.0.1:9/1", "chain": CHAIN}
    async with serve() as call:
        for change, word in REFUSED:
            refused = await call("PUT", "/streams/door", sent | change)
            assert (refused.status, refused.body["detail"][0]["type"]) == (422, word), change
            assert refused.body["detail"][0]["loc"][:2] == ["body", next(iter(change))]
        for name in ("-a", ".", "%2e%2e", "a%2Fb", "a%00", "a" * 65, "T%C3%BCr", "a%20b"):
            refused = await call("PUT", f"/streams/{name}", sent)
            assert refused.status in (404, 405, 422), name
        assert (await call("PUT", "/streams/..%2F..%2Fetc", sent)).status == 422
        large = json.dumps(sent | {"name": "x" * 10_000_000}).encode()
        with contextlib.suppress(aiohttp.ClientError):  # it may be refused before it has been sent
            assert (await call("PUT", "/streams/door", large)).status == 413
        assert (await call("PUT", "/streams/door", b"{")).status == 422
        assert (await call("PUT", "/streams/door", [])).status == 422
        assert (await call("PUT", "/streams/door", sent, Content_Type="text/plain")).status == 415
        assert set(call.app.status()["streams"]) == {"filed"}
        assert not (tmp_path / "state" / REGISTRY).exists()


async def test_what_is_configured_may_be(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "door").write_text("hunter2\n")
    run_time = {"topics": {"out": ["faces"]}, "secrets_dir": str(tmp_path / "secrets")}
    sent = {"source": "rtsp://127.0.0.1:9/1", "chain": CHAIN, "paused": True, "username": "u"}
    async with serve(run_time) as call:
        own = {"sinks": ["out"], "topic": "faces", "password": "${secret:door}", "ffmpeg_options": {"probesize": "32"}}
        added = await call("PUT", "/streams/door", sent | own)
        assert added.status == 201
        assert added.body["settings"]["password"] == "${secret:door}"  # noqa: S105
        settings = call.app._wanted.entry("door").built.settings
        assert settings is not None and settings.password is not None
        assert settings.password.get_secret_value() == "hunter2"
        missing = await call("PUT", "/streams/yard", sent | {"password": "${secret:none}"})
        assert missing.body["detail"][0]["type"] == "secret_missing"


async def test_conditions_and_the_limit(serve: Serve) -> None:
    sent = {"source": "rtsp://127.0.0.1:9/1", "chain": CHAIN}
    async with serve({"max_streams": 2}) as call:
        created = await asyncio.gather(*(call("PUT", "/streams/door", sent, If_None_Match="*") for _ in range(2)))
        assert sorted(answer.status for answer in created) == [201, 412]
        etag = next(answer.etag for answer in created if answer.etag) or ""
        both = await asyncio.gather(
            *(call("PUT", "/streams/door", sent | {"name": name}, If_Match=etag) for name in ("a", "b"))
        )
        assert sorted(answer.status for answer in both) == [200, 412]
        assert (await call("DELETE", "/streams/door", If_Match=etag)).status == 412
        assert (await call("PUT", "/streams/none", sent, If_Match="*")).status == 412
        assert (await call("PUT", "/streams/door", sent, If_None_Match='"x"')).status == 422
        full = await call("PUT", "/streams/yard", sent)
        assert (full.status, "max_streams" in full.body["detail"]) == (409, True)
        assert (await call("PUT", "/streams/yard", sent | {"paused": True})).status == 201
        assert (await call("POST", "/streams/yard/resume")).status == 409
        assert (await call("PATCH", "/streams/none", {"fps": 1})).status == 404


async def test_a_key_changes_the_streams_that_it_is_for_and_is_named(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    door, watcher = new_key(), new_key()
    keys = {
        "reception": settings_of(door, ["control"], streams=["door*"]),
        "watcher": settings_of(watcher, ["watch", "metrics"]),
    }
    sent = {"source": "rtsp://127.0.0.1:9/1", "chain": CHAIN, "paused": True}
    async with serve(keys=keys) as call:

        async def status(key: str | None, method: str, path: str, body: Any = None) -> int:
            headers = {} if key is None else {"Authorization": f"Bearer {key}"}
            return (await call(method, path, body, **headers)).status

        assert await status(None, "PUT", "/streams/door", sent) == 401
        assert await status(watcher, "PUT", "/streams/door", sent) == 403
        assert await status(watcher, "GET", "/streams") == 403
        assert await status(door, "PUT", "/streams/yard", sent) == 403
        assert await status(door, "GET", "/streams/filed") == 403
        assert await status(door, "PUT", "/streams/door-1", sent) == 201
        listed = await call("GET", "/streams", Authorization=f"Bearer {door}")
        assert [one["id"] for one in listed.body["streams"]] == ["door-1"]
        assert await status(door, "DELETE", "/streams/door-1") == 204
    told = [record.message for record in caplog.records if record.name == "daemon.http.access.caller"]
    assert told == ["stream door-1: added, by key reception", "stream door-1: removed, by key reception"]


async def test_a_camera_is_checked_before_and_beside_its_stream(serve: Serve, camera: Camera) -> None:
    async with serve() as call:
        found = (await call("POST", "/check", door(camera))).body
        assert (found["ok"], found["codec"], found["width"], found["height"]) == (True, "h264", 320, 180)
        assert found["fps"] == pytest.approx(SCENE.fps, rel=0.1)
        assert found["keyframe_interval"] == pytest.approx(GOP / SCENE.fps, rel=0.1)
        for other in ({"isolate": True}, {"transport": "udp"}):
            assert (await call("POST", "/check", door(camera, **other))).body["ok"], other
        nobody = (await call("POST", "/streams/filed/check")).body
        assert not nobody["ok"]
        assert "nobody listens at 127.0.0.1:9" in nobody["reason"]
        assert (await call("PUT", "/streams/door", door(camera))).status == 201
        await until(lambda: call.state() == "running")
        beside = (await call("POST", "/streams/door/check")).body
        assert (beside["from"], beside["codec"], beside["width"]) == ("stream", "h264", 320)
        assert (await call("POST", "/check", {"source": "rtsp://8.8.8.8/1"})).status == 422


async def test_checks_are_few(serve: Serve, camera: Camera) -> None:
    camera.mounts["door"].stall()
    async with serve() as call:
        slow = asyncio.create_task(call("POST", "/check", door(camera, open_timeout=1)))
        await until(lambda: bool(camera.connections))
        busy = await call("POST", "/check", door(camera))
        assert (busy.status, "is being checked" in busy.body["detail"]) == (429, True)
        assert not (await slow).body["ok"]
        statuses = [(await call("POST", "/streams/filed/check")).status for _ in range(checks.MOST)]
        assert statuses == [200] * (checks.MOST - 1) + [429]


@contextlib.asynccontextmanager
async def serving(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[TestServer]:
    app = web.Application()
    app.router.add_get("/{path:.*}", handler)
    server = TestServer(app, host="127.0.0.1")
    async with server:
        yield server


async def test_no_redirect_is_followed(serve: Serve) -> None:
    seen: list[str] = []

    async def secrets(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.Response(text="secret")

    async def redirect(request: web.Request) -> web.Response:
        raise web.HTTPFound(target.make_url("/latest/meta-data"))

    async with serving(secrets) as target, serving(redirect) as server, serve() as call:
        found = (await call("POST", "/check", {"source": str(server.make_url("/video"))})).body
        assert not found["ok"] and "it sends us elsewhere (status 302" in found["reason"]
    assert seen == []


async def test_no_redirect_of_rtsp_is_followed(serve: Serve) -> None:
    seen: list[bytes] = []

    async def target(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.read(1000))
        writer.close()

    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        port = elsewhere.sockets[0].getsockname()[1]
        writer.write(b"RTSP/1.0 302 Moved\r\nCSeq: 1\r\nLocation: rtsp://127.0.0.1:%d/x\r\n\r\n" % port)
        writer.close()

    elsewhere = await asyncio.start_server(target, "127.0.0.1")
    async with elsewhere, await asyncio.start_server(redirect, "127.0.0.1") as server, serve() as call:
        port = server.sockets[0].getsockname()[1]
        for transport in ("tcp", "udp"):
            sent = {"source": f"rtsp://127.0.0.1:{port}/1", "transport": transport}
            found = (await call("POST", "/check", sent)).body
            assert not found["ok"] and "it sends us elsewhere (status 302" in found["reason"]
    assert seen == []


@pytest.mark.parametrize("hls", [False, True])
async def test_a_playlist_reads_no_file(serve: Serve, hls: bool, tmp_path: Path) -> None:
    (tmp_path / "secret.ts").write_bytes(b"\x47" + bytes(187))
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{tmp_path}/secret.ts\n#EXT-X-ENDLIST\n"

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=playlist, content_type="application/vnd.apple.mpegurl")

    async with serving(answer) as server, serve({"hls": hls}) as call:
        found = (await call("POST", "/check", {"source": str(server.make_url("/a.m3u8"))})).body
        assert not found["ok"]
        assert ("a playlist (HLS)" in found["reason"]) != hls


async def test_names_are_called_by_the_judged_address_under_their_own_name(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def resolve(host: str) -> list[Any]:
        asked.append(host)
        return [ipaddress.ip_address("127.0.0.1" if len(asked) < 3 else "169.254.169.254")]

    monkeypatch.setattr("daemon.control.networks._addresses", resolve)
    hosts: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        hosts.append(request.headers["Host"])
        return web.Response(text="no video")

    async with serving(answer) as server, serve() as call:
        sent = {"source": f"http://camera.example:{server.port}/1"}
        assert not (await call("POST", "/check", sent)).body["ok"]
        assert hosts[0] == f"camera.example:{server.port}"  # further ones ask why it is no video
        rebound = await call("POST", "/check", sent)
        assert (rebound.status, rebound.body["detail"][0]["type"]) == (422, "address_refused")
    assert len(asked) == 3
