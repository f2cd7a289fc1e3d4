"""`visaged init`."""

import asyncio
import os
import pty
import stat
import subprocess
from pathlib import Path
from typing import IO

import pytest

from daemon.config.load import load
from daemon.simulator.camera import Camera
from daemon.simulator.clip import Scene, make_clip
from daemon.simulator.rtp import Clip
from daemon.simulator.rtsp import Credentials
from tests.commands.conftest import Called
from tests.commands.test_cli import command


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("init") / "clip.mp4"
    make_clip(path, Scene(width=320, height=180, fps=10, seconds=2), gop=5)
    return path


@pytest.fixture(autouse=True)
def _no_http(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each check opens the models of all services."""
    monkeypatch.setenv("VISAGED_HTTP", "null")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_secrets_are_in_files_of_their_own(called: Called, tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    source = "rtsp://ad${X}min:hun%24ter2@192.0.2.10/s?token=s3cret"
    made = called("init", path, "--source", source, "--stream", "door", "--broker", "127.0.0.1:9092", "--offline")
    assert (made.returncode, made.stderr) == (0, "")
    assert made.stdout.startswith(f"{path}: ok, 1 stream, 0 consumers, 1 sink, ")  # as `check` says
    text = path.read_text(encoding="utf-8")
    assert "hun" not in text
    assert "s3cret" not in text
    assert {mode(tmp_path / f"my.door.{secret}") for secret in ("password", "source")} == {0o600}
    config = load(path)
    door = config.streams["door"]
    assert door.address == "rtsp://ad%24%7BX%7Dmin:hun%24ter2@192.0.2.10/s?token=s3cret"
    assert (door.fps, door.chain) == (None, ("face-detector", "face-fitter"))
    assert config.clusters["own"].bootstrap_servers == "127.0.0.1:9092"


def test_a_password_file_stays_where_it_is(called: Called, tmp_path: Path) -> None:
    path, password = tmp_path / "my.yaml", tmp_path / "secret"
    password.write_text("hunter2\n")
    login = ("--username", "admin", "--password-file", password)
    assert called("init", path, "--source", "rtsp://192.0.2.10/s", *login, "--fps", "4", "--offline").returncode == 0
    assert {file.name for file in tmp_path.iterdir()} == {"my.yaml", "secret"}
    camera = load(path).streams["camera"]
    assert (camera.address, camera.fps) == ("rtsp://admin:hunter2@192.0.2.10/s", 4)


def test_what_fits_is_measured(called: Called, tmp_path: Path, clip: Path) -> None:
    path = tmp_path / "my.yaml"
    assert called("init", path, "--source", clip, "--chain", "face-detector").returncode == 0
    assert load(path).streams["camera"].fps == 10
    text = path.read_text(encoding="utf-8")
    assert "# h264, 320x180, 10 frames per second, a keyframe every 0.5 s\n" in text
    assert " of them took 0." in text


@pytest.mark.parametrize(
    ("name", "arguments", "status", "said"),
    [
        ("there.yaml", ["--source", "x.mp4"], 2, "there.yaml: is there already, and is not written over"),
        ("my.yaml", [], 2, "--source: expected the address of a camera, as there is no terminal to ask at"),
        ("none/my.yaml", ["--source", "x.mp4"], 2, "my.yaml: expected a file in a folder that is there"),
        ("my.yaml", ["--source", "x", "--stream", "../x"], 2, "--stream: expected letters, digits, "),
        ("my.yaml", ["--source", "ftp://x"], 2, "ftp://x: source: Expected rtsp://, "),
        ("my.yaml", ["--source", "192.0.2.10/x", "--offline"], 2, "no address and no file: did you mean rtsp://192.0"),
        ("my.yaml", ["--source", "rtsp://127.0.0.1:1/x"], 1, "and its port; with --offline the configuration is"),
        (
            "my.yaml",
            ["--source", "rtsp://u:p@h/x", "--chain", "no", "--offline"],
            2,
            "my.yaml:15: streams.camera.chain",
        ),
        ("left.yaml", ["--source", "rtsp://u:p@h/x", "--offline"], 2, "left.camera.password: is there already"),
    ],
)
def test_what_cannot_be_leaves_all_as_it_was(
    called: Called, tmp_path: Path, name: str, arguments: list[str], status: int, said: str
) -> None:
    for file in ("there.yaml", "left.camera.password"):
        (tmp_path / file).write_text("mine")
    made = called("init", tmp_path / name, *arguments)
    assert (made.returncode, made.stdout) == (status, "")
    assert said in made.stderr
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {
        "there.yaml": "mine",
        "left.camera.password": "mine",
    }


def answered(process: "subprocess.Popen[str]", terminal: int, answers: dict[str, str]) -> str:
    """Each question is answered when it is asked; the rest of what is said."""
    assert process.stderr is not None
    for question, answer in answers.items():
        read_up_to(process.stderr, question)
        os.write(terminal, f"{answer}\n".encode())
    return process.stderr.read()


def read_up_to(stream: IO[str], text: str) -> None:
    said = ""
    while not said.endswith(text):
        character = stream.read(1)
        assert character, said
        said += character


@pytest.mark.slow
async def test_at_a_terminal_it_asks(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    read = await asyncio.to_thread(Clip.read, clip)
    terminal, theirs = pty.openpty()
    async with Camera({"door": read}, credentials=Credentials("admin", "p@ss/word")) as camera:
        answers = {
            "or a video file: ": camera.url("door").removeprefix("rtsp://"),
            f"did you mean {camera.url('door')}?\nAddress of the camera (rtsp://HOST/PATH), or a video file: ": (
                camera.url("door")
            ),
            "print them): ": "",
            "User name at the camera: ": "admin",
            "Password: ": "p@ss/word",
            "Frames per second to look at (nothing: ": "many",
            "expected a number, got many\n": "3",
        }

        def ask() -> tuple[str, int]:
            arguments = command("init", path, "--chain", "face-detector")
            with subprocess.Popen(
                arguments, stdin=theirs, stderr=subprocess.PIPE, text=True, start_new_session=True
            ) as process:
                said = answered(process, terminal, answers)
            return said, process.returncode

        said, status = await asyncio.to_thread(ask)
    os.close(terminal)
    os.close(theirs)
    assert status == 0, said
    settings = await asyncio.to_thread(lambda: load(path).streams["camera"])
    assert settings.fps == 3
    assert await asyncio.to_thread(lambda: settings.address) == camera.url("door").replace(
        "rtsp://", "rtsp://admin:p%40ss%2Fword@"
    )
    assert "word" not in (await asyncio.to_thread(path.read_text)).replace("password", "")
    assert mode(tmp_path / "my.camera.password") == 0o600
