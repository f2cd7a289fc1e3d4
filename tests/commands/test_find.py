"""`visaged find`."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.cli import main
from daemon.commands import find
from tests.commands.conftest import Called
from tests.sources.onvif_camera import onvif_camera
from tests.sources.test_discovery import HOST, match, responder


@pytest.fixture
def camera() -> Iterator[str]:
    """Where it answers probes: HOST:PORT."""
    with onvif_camera("p@ss") as service, responder(lambda probe: [b"garbage", match(probe, service)]) as (host, port):
        yield f"{host}:{port}"


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "WITHIN_S", 90.0)  # the schemas are read while other tests have the cores


@pytest.fixture
def password(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("p@ss\n")
    return path


def test_a_table(called: Called, camera: str) -> None:
    found = called("find", "--host", camera, "--seconds", "1")
    heading, row = found.stdout.splitlines()
    assert heading.split() == ["address", "name", "hardware", "service"]
    assert row.startswith("127.0.0.1  Front door  DS-2CD    http://127.0.0.1:")
    assert found.returncode == 0
    assert found.stderr.splitlines() == [
        "visaged: asking 127.0.0.1 for cameras, for 1 s",
        "visaged: 2 of the answers could not be taken: no XML",
    ]


def test_streams_with_a_login(called: Called, camera: str, password: Path) -> None:
    login = ("--username", "admin", "--password-file", password)
    found = called("find", "--host", camera, "--seconds", "1", "--json", *login)
    assert found.returncode == 0
    (one,) = json.loads(found.stdout)
    assert (one["address"], one["name"], one["location"], one["error"]) == (HOST, "Front door", "Yard North", None)
    assert one["streams"][1] == {
        "name": "sub",
        "codec": "H264",
        "width": 640,
        "height": 360,
        "url": "rtsp://127.0.0.1:554/sub",
    }
    shown = called("find", "--host", camera, "--seconds", "1", *login).stdout
    assert "127.0.0.1  main  H264  1920x1080  rtsp://127.0.0.1:554/main\n" in shown


def test_a_wrong_password_is_told(called: Called, camera: str, password: Path) -> None:
    password.write_text("hunter2")
    found = called("find", "--host", camera, "--seconds", "1", "--username", "admin", "--password-file", password)
    assert found.returncode == 1
    assert "check user and password" in found.stderr
    assert "hunter2" not in found.stderr


def test_where_no_camera_is(called: Called) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((HOST, 0))
        found = called("find", "--host", f"{HOST}:{silent.getsockname()[1]}", "--seconds", "1", "--json")
    assert (found.returncode, found.stdout) == (1, "[]\n")
    assert "no camera answered" in found.stderr
    assert " (lo" in found.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--username", "admin"], "expected --username and --password-file, got one of them\n"),
        (["--host", "a b"], "--host: expected HOST or HOST:PORT, got a b\n"),
        (["--host", HOST, "--interface", "none"], "--interface: expected one of "),
    ],
)
def test_mistakes(called: Called, arguments: list[str], said: str) -> None:
    found = called("find", *arguments)
    assert (found.returncode, found.stdout) == (2, "")
    assert said in found.stderr


def test_seconds_have_an_end(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["find", "--seconds", "61"])
    assert "expected seconds from 1 to 60, got '61'" in capsys.readouterr().err


def test_memory_is_bounded_while_cameras_are_asked() -> None:
    with find._bounded_memory(), pytest.raises(MemoryError):
        bytearray(2 * find.MEMORY)
    assert len(bytearray(2 * find.MEMORY)) == 2 * find.MEMORY  # not touched, and given back
