"""`visaged probe`."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from daemon.commands import probe
from daemon.commands.cost import Cost, Look, cores_for
from daemon.simulator.camera import Camera
from daemon.simulator.clip import Scene, make_clip
from daemon.simulator.rtp import Clip
from daemon.simulator.rtsp import Credentials
from tests.commands.conftest import Called
from tests.commands.test_cli import PORTRAIT

COST = Cost(rate=25.0, decode=0.002, picture=0.001, looks={"a": Look(0.009, 0.0), "b": Look(0.0, 0.01)})


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("probe") / "clip.mp4"
    make_clip(path, Scene(width=320, height=180, fps=10, seconds=2), gop=5)
    return path


def test_cores_by_rate_and_people() -> None:
    assert COST.cores(10) == pytest.approx(25 * 0.002 + 10 * 0.02)
    assert COST.cores(10, people=3) == pytest.approx(25 * 0.002 + 10 * 0.04)
    assert COST.cores(100) == COST.cores(25)  # the camera sends no more


@pytest.mark.parametrize(
    ("rate", "cores", "fps"),
    [(25, 1.0, 10), (25, 0.16, 5), (25, 0.07, 1), (25, 0.06, None), (6, 1.0, 6), (6, 0.12, 5)],
)
def test_the_highest_rate_that_fits(rate: float, cores: float, fps: float | None) -> None:
    assert Cost(rate, COST.decode, COST.picture, COST.looks).recommended(cores) == fps


def test_cameras_share_the_cores() -> None:
    assert cores_for(1) == pytest.approx(4 * cores_for(4))
    assert cores_for(1) < len(os.sched_getaffinity(0))


def test_a_video(called: Called, clip: Path) -> None:
    shown = called("probe", clip, "--json")
    found = json.loads(shown.stdout)
    assert (found["codec"], found["width"], found["height"]) == ("h264", 320, 180)
    assert (found["fps"], found["keyframe_interval"]) == (pytest.approx(10), pytest.approx(0.5))
    cost = found["cost"]
    detector, fitter = cost["processors_ms"]["face-detector"], cost["processors_ms"]["face-fitter"]
    assert cost["decode_ms"] > 0
    assert detector["empty"] > 10 * fitter["empty"]  # where nobody is there is nothing to fit
    assert fitter["person"] > 10 * fitter["empty"]
    assert list(cost["cores"]) == ["1", "2", "5", "10"]
    assert cost["cores"]["1"] < cost["cores"]["10"]
    assert found["recommended_fps"] == 10
    assert shown.stderr.splitlines() == [
        f"visaged: reading {clip}, for 13 s at most once it answers",
        "visaged: measuring face-detector, face-fitter",
    ]


def test_for_people(called: Called, clip: Path) -> None:
    shown = called("probe", clip, "--chain", "face-detector", "--cameras", "100000").stdout.splitlines()
    assert shown[:2] == [str(clip), "h264, 320x180, 10 frames per second, a keyframe every 0.5 s"]
    assert [line.split()[0] for line in shown if line][2:6] == ["CPU", "decode", "picture", "face-detector"]
    assert shown[-1].startswith("recommended: less video. Even 1 frame per second of 100000 such cameras takes more")


def test_a_picture_has_no_rate(called: Called) -> None:
    found = json.loads(called("probe", PORTRAIT, "--json").stdout)
    assert (found["codec"], found["fps"], found["cost"], found["recommended_fps"]) == (None, None, None, None)
    assert found["width"] > 100
    assert called("probe", PORTRAIT).stdout.startswith(f"{PORTRAIT}\npictures, ")


@pytest.mark.slow
async def test_a_camera_with_a_login(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "DECODING_S", 0.5)
    (tmp_path / "password").write_text("p@ss/word\n")
    password = await asyncio.to_thread(probe.password_of, tmp_path / "password")
    read = await asyncio.to_thread(Clip.read, clip)
    async with Camera({"door": read}, credentials=Credentials("admin", "p@ss/word")) as camera:
        config = await asyncio.to_thread(probe.with_camera, camera.url("door"), "admin", password)
        found = await asyncio.to_thread(probe.look, config.streams[probe.STREAM], ["face-detector"], config)
    assert found.probed.codec == "h264"
    assert found.probed.fps == pytest.approx(10, rel=0.3)
    assert found.probed.keyframe_interval == pytest.approx(0.5, rel=0.3)
    assert found.cost is not None


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["rtsp://u:hunter2@127.0.0.1:1/x"], 1, "visaged: rtsp://127.0.0.1:1/x: nobody listens at 127.0.0.1:1"),
        (["ftp://127.0.0.1/x"], 2, "ftp://127.0.0.1/x: source: Expected rtsp://, "),
        (
            ["rtsp://a:hunter2@h/x", "--username", "b"],
            2,
            "rtsp://***@h/x: Expected the login in source or in username ",
        ),
        (["127.0.0.1:1/x"], 2, "127.0.0.1:1/x is no address and no file: did you mean rtsp://127.0.0.1:1/x?"),
        (["x.mp4", "--chain", "face-fitter"], 2, "--chain: "),
        (["rtsp://127.0.0.1/x", "--password-file", "/none"], 2, "--password-file: cannot read /none: No such file"),
    ],
)
def test_what_cannot_be(called: Called, arguments: list[str], status: int, said: str) -> None:
    shown = called("probe", *arguments)
    assert (shown.returncode, shown.stdout) == (status, "")
    assert shown.stderr.splitlines()[-1].startswith(said)
    assert "hunter2" not in shown.stderr
