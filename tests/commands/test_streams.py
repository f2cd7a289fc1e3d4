"""`visaged streams` against a daemon."""

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from daemon.cli import main
from daemon.flow.receipts import Counts
from daemon.http.streams import events
from daemon.simulator.camera import Camera
from sinks.base import About, Record
from tests.controlled import CHAIN, Serve, Visaged, beside, camera, clip, door, serve
from tests.waiting import until

__all__ = ["camera", "clip", "serve"]  # fixtures are found by their names here


@pytest.fixture
def visaged(capsys: pytest.CaptureFixture[str]) -> Visaged:
    return beside(capsys, "streams")


async def test_a_stream_is_added_shown_changed_and_removed(serve: Serve, camera: Camera, visaged: Visaged) -> None:
    async with serve() as client:
        sent = [f"source={camera.url('door')}", f"chain={json.dumps(CHAIN)}", "labels.site=depot", "fps=5"]
        status, out, _ = await visaged(client, "add", "door", *sent)
        assert (status, json.loads(out)["labels"]) == (0, {"site": "depot"})
        status, out, err = await visaged(client, "add", "door", *sent)
        assert (status, out, "Expected no such stream" in err) == (1, "", True)
        await until(lambda: client.state() == "running")
        assert (await visaged(client, "list", "--label", "site=depot"))[1] == "door\trunning\trun-time\t\t\n"
        assert len(json.loads((await visaged(client, "list", "--json"))[1])) == 2
        status, out, _ = await visaged(client, "set", "door", "fps=null", "name=Tür", "labels.floor=2x")
        assert json.loads(out)["name"] == "Tür"
        assert "fps" not in json.loads(out)
        assert json.loads(out)["labels"] == {"site": "depot", "floor": "2x"}
        assert (await visaged(client, "check", "door"))[0] == 0
        assert (await visaged(client, "check", "filed"))[0] == 1
        for action, state in (("pause", "paused"), ("resume", "running"), ("restart", "running")):
            assert (await visaged(client, action, "door"))[0] == 0
            await until(lambda state=state: client.state() == state)  # type: ignore[misc]
        assert json.loads((await visaged(client, "show", "door"))[1])["settings"]["name"] == "Tür"
        assert (await visaged(client, "remove", "door"))[0] == 0
        assert (await visaged(client, "show", "door"))[:2] == (1, "")


async def test_a_file_is_applied_exported_and_applied_again(
    serve: Serve, camera: Camera, visaged: Visaged, tmp_path: Path
) -> None:
    path, exported = tmp_path / "streams.yaml", tmp_path / "exported.json"
    plain = door(camera, paused=True)
    login = plain | {"source": plain["source"].replace("//", "//viewer:hunter2@")}
    path.write_text(json.dumps({"streams": {"a": plain, "b": login}}))
    async with serve() as client:
        assert (await visaged(client, "apply", str(path)))[:2] == (0, "a: added\nb: added\n")
        assert (await visaged(client, "apply", str(path)))[1].splitlines()[0] == "a: as it was"
        _, out, _ = await visaged(client, "export")
        assert set(json.loads(out)["streams"]) == {"a", "b"}
        assert "hunter2" not in out
        exported.write_text(out)
        assert (await visaged(client, "apply", str(exported)))[0] == 0
        settings = client.app._wanted.entry("b").built.settings
        assert settings is not None and settings.password is not None
        assert settings.password.get_secret_value() == "hunter2"
        path.write_text(json.dumps({"streams": {"a": plain}}))
        assert (await visaged(client, "apply", str(path)))[1] == "a: as it was\n"
        assert (await visaged(client, "apply", str(path), "--prune"))[1] == "a: as it was\nb: removed\n"
        assert set(client.app._wanted.entries) == {"a", "filed"}


async def test_a_password_comes_from_a_file(serve: Serve, camera: Camera, visaged: Visaged, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hunter2\n")
    async with serve() as client:
        sent = [
            f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in door(camera).items()
        ]
        status, out, _ = await visaged(client, "set", "door", *sent, "username=u", f"password=@{tmp_path / 'password'}")
        assert (status, json.loads(out)["password"]) == (0, "***")
        settings = client.app._wanted.entry("door").built.settings
        assert settings is not None and settings.password is not None
        assert settings.password.get_secret_value() == "hunter2"


async def test_a_refusal_is_told_with_its_place(serve: Serve, visaged: Visaged, tmp_path: Path) -> None:
    async with serve() as client:
        status, _, err = await visaged(client, "set", "door", "source=rtsp://169.254.169.254/1")
        assert status == 1
        assert "source: streams that are added at run time may not call 169.254.169.254: " in err
        status, _, err = await visaged(client, "pause", "filed")
        assert (status, "change it there" in err) == (1, True)
        assert (await visaged(client, "apply", str(tmp_path / "none.yaml")))[0] == 2


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--url", "ftp://a", "list"], 2, "expected http://HOST:PORT"),
        (["--url", "http://u:p@a", "list"], 2, "without a key or password"),
        (["--key-file", "/no/such/file", "list"], 2, "--key-file: cannot read"),
        (["set", "door", "fps"], 2, "expected KEY=VALUE, got fps"),
        (["set", "door", "labels=1", "labels.a=1"], 2, "labels was given a value before"),
    ],
)
def test_mistakes(arguments: list[str], status: int, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["streams", *arguments]) == status
    assert words in capsys.readouterr().err


def test_nobody_there(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: Any = server.getsockname()[1]
    assert main(["streams", "--url", f"http://127.0.0.1:{port}", "list"]) == 1
    assert "does visaged listen there?" in capsys.readouterr().err


async def test_what_a_stream_sees_is_printed_a_line_each_until_it_is_removed(
    serve: Serve, visaged: Visaged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "RETRY_MS", 20)
    async with serve() as client:
        watched = client.app._watches.watched("filed")
        printing = asyncio.ensure_future(visaged(client, "watch", "filed", "--types", "track"))
        await until(lambda: client.app._watches.watching["events"] == 1)
        for number in range(2):
            watched.offer(Record("filed", b'{"number": %d}' % number, about=About("visaged.track")), Counts().open())
        client.app._wanted._of_file.clear()
        watched.leave()
        status, out, err = await printing
        assert (status, out) == (1, '{"number": 0}\n{"number": 1}\n')
        assert "404: No stream has the id filed" in err


async def test_a_watch_that_never_begins_says_why(serve: Serve, visaged: Visaged) -> None:
    async with serve() as client:
        assert (await visaged(client, "watch", "nobody"))[0] == 1
        status, _, err = await visaged(client, "watch", "filed", "--types", "frames")
        assert status == 1
        assert "types: Expected of frame, track, place" in err
