"""The command as people run it: a process of its own, where that is what counts."""

import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

import configs
from daemon.cli import main
from daemon.commands.run import ONE_SIGNAL_S
from daemon.simulator.clip import Scene, make_clip
from processors.types import LANDMARK_NAMES
from tests.commands.conftest import Called
from tests.models.conftest import MODELS

COMMANDS = (
    "run",
    "check",
    "demo",
    "find",
    "init",
    "probe",
    "process",
    "evaluate",
    "models",
    "keys",
    "sbom",
    "streams",
    "history",
    "schema",
    "completion",
)
CONFIGS = Path(configs.__file__).parent
PORTRAIT = Path(configs.__file__).parent.parent / "daemon" / "simulator" / "pictures" / "obama.jpg"


def command(*arguments: str | Path) -> list[str]:
    return [str(Path(sys.executable).with_name("visaged")), *map(str, arguments)]


def visaged(*arguments: str | Path, timeout: float = 60) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=timeout, check=False)


def test_version_is_quick() -> None:
    assert visaged("--version").stdout.startswith("visaged ")
    before = cpu_s_of_children()
    visaged("--version")
    assert cpu_s_of_children() - before < 0.3  # importing cv2 alone takes as long


def cpu_s_of_children() -> float:
    """Of all that have ended: what else runs on the machine is no part of it."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([name, "--help"])
    assert f"usage: visaged {name}" in capsys.readouterr().out


def test_models_are_listed_and_whole() -> None:
    listed = visaged("models")
    assert listed.returncode == 0
    assert "yunet_2023mar_dyn" in listed.stdout
    assert "changed" not in listed.stdout


def test_models_are_shown_with_their_runtimes(tmp_path: Path, called: Called) -> None:
    for part in ("manifests/age_head.yaml", "files/age_head.onnx"):
        (tmp_path / part).parent.mkdir()
        shutil.copy(MODELS / part, tmp_path / part)
    path = tmp_path / "my.yaml"
    path.write_text(f"models: {{provider: openvino, directory: {tmp_path}}}")
    shown = called("models", "--config", path)
    assert shown.returncode == 0
    assert shown.stdout.splitlines()[-1].split() == ["age_head", "cpu", "openvino", "f32", "provider:", "openvino"]
    (row,) = json.loads(called("models", "--json", "--config", path).stdout)
    assert row["bytes"] == (MODELS / "files" / "age_head.onnx").stat().st_size
    assert (row["name"], row["file"], row["runtime"]) == ("age_head", "ok", "openvino")


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_configurations_are_right(path: Path, called: Called) -> None:
    checked = called("check", path)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_a_mistake_in_a_configuration_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("http:\n  prot: 80\n")
    checked = visaged("run", path)
    assert checked.returncode == 2
    assert checked.stderr == f"{path}:2: http.prot: unknown key; did you mean port?\n"


@pytest.fixture
def environment() -> dict[str, str]:
    return dict(os.environ) | {"VISAGED_HTTP__PORT": "0"}


@pytest.fixture
def server(environment: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    """`visaged run configs/http.yaml`, on a free port."""
    run = command("run", CONFIGS / "http.yaml")
    with subprocess.Popen(run, stderr=subprocess.PIPE, text=True, env=environment) as process:
        yield process
        process.kill()


def address(server: "subprocess.Popen[str]") -> str:
    assert server.stderr is not None
    return next(line for line in server.stderr if "HTTP on" in line).split()[-1]


def test_the_services_are_ready_soon_and_end_well(server: "subprocess.Popen[str]") -> None:
    began = time.monotonic()
    url = address(server)
    with urllib.request.urlopen(f"{url}/readyz") as answer:
        assert answer.status == 200
    assert time.monotonic() - began < 15  # 2 to 5 s
    with urllib.request.urlopen(f"{url}/status") as answer:
        assert json.load(answer)["streams"] == {}
    server.send_signal(signal.SIGTERM)
    began = time.monotonic()
    while server.poll() is None and time.monotonic() - began < 0.8 * ONE_SIGNAL_S:
        server.send_signal(signal.SIGTERM)  # the first again, also where it comes as the process ends
        time.sleep(0.002)
    assert server.wait(timeout=10) == 0


def test_a_port_that_is_taken_is_named(environment: dict[str, str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        run = subprocess.run(
            command("run", CONFIGS / "http.yaml"),
            env=environment | {"VISAGED_HTTP__PORT": port},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert run.returncode == 2
    assert f"127.0.0.1:{port}" in run.stderr
    assert "Traceback" not in run.stderr


def without_broker(folder: Path, stop_timeout: float) -> Path:
    """A configuration whose one sink cannot be reached."""
    clip = folder / "clip.mp4"
    make_clip(clip, Scene(width=320, height=180, fps=5, seconds=1))
    path = folder / "mine.yaml"
    path.write_text(
        f"http: null\nstop_timeout: {stop_timeout}\nstreams: {{a: {{source: {clip}}}}}\n"
        "clusters: {c: {bootstrap_servers: '127.0.0.1:1'}}\nsinks: {k: {type: kafka, topic: t}}\n"
    )
    return path


def test_what_was_lost_is_said_at_the_end_which_comes_in_time(tmp_path: Path) -> None:
    with subprocess.Popen(
        command("run", without_broker(tmp_path, stop_timeout=4)),
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"VISAGED_LOG__FORMAT": "json"},
    ) as process:
        assert process.stderr is not None
        next(line for line in process.stderr if "127.0.0.1:1" in line)
        time.sleep(1)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
        assert process.wait(timeout=1) == 0
        assert time.monotonic() - began < 3 * 4
    lines = [json.loads(line) for line in rest.splitlines()]
    of = {"level": "warning", "logger": "daemon.commands.run"}
    lost = [line for line in lines if line["message"].endswith("(k: stopped: 5)") and line.pop("time")]
    assert lost == [
        of | {"message": "a: 5 frames, 0 acknowledged, 5 dropped (k: stopped: 5)", "stream": "a"},
        of | {"message": "k: 5 records, 0 acknowledged, 5 dropped (k: stopped: 5)", "sink": "k"},
    ]


def test_a_second_signal_ends_at_once_unless_it_is_the_first_again(tmp_path: Path) -> None:
    """The sink's broker is away, so that the first alone would wait for `stop_timeout`."""
    path = without_broker(tmp_path, stop_timeout=60)
    with subprocess.Popen(command("run", path), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        next(line for line in process.stderr if "frames are coming" in line)
        process.send_signal(signal.SIGTERM)
        next(line for line in process.stderr if "stopping" in line)
        process.send_signal(signal.SIGTERM)  # as from a supervisor that tells the process and its group
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=ONE_SIGNAL_S + 0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=5) == 128 + signal.SIGINT


HANGING = """
import atexit, sys, time
from daemon.cli import main
from processors.face_detector import FaceDetector

def hang(self, samples):
    print("it hangs", file=sys.stderr, flush=True)
    time.sleep(3600)

FaceDetector.__call__ = hang
atexit.register(print, "Python has ended")
sys.exit(main(["run", sys.argv[1]]))
"""


def test_a_worker_whose_work_does_not_end_is_left_behind_before_python_ends(tmp_path: Path) -> None:
    """Which would tear it down in the middle of a library, and abort."""
    clip, path = tmp_path / "clip.mp4", tmp_path / "mine.yaml"
    make_clip(clip, Scene(width=320, height=180, fps=5, seconds=1))
    path.write_text(
        f"http: null\nstop_timeout: 0.5\nstreams: {{a: {{source: {clip}, chain: [face-detector]}}}}\n"
        f"sinks: {{out: {{type: file, path: {tmp_path / 'out.jsonl'}}}}}\nengine: {{workers: 1}}\n"
    )
    arguments = [sys.executable, "-c", HANGING, str(path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        next(line for line in process.stderr if line == "it hangs\n")
        process.send_signal(signal.SIGTERM)
        assert "ended without the threads worker-0, whose work does not end\n" in process.stderr.read()
        assert (process.wait(timeout=5), process.stdout.read()) == (0, "")


def test_process_writes_documents_and_drawings(tmp_path: Path) -> None:
    processed = visaged("process", PORTRAIT, "--draw", tmp_path / "out")
    assert (processed.returncode, processed.stderr) == (0, "")
    document = json.loads(processed.stdout)
    (face,) = document["objects"]
    assert set(face["keypoints"]) == {*LANDMARK_NAMES, "fitter_type"}
    assert document["stream"]["id"] == str(PORTRAIT)
    drawn, plain = cv2.imread(str(tmp_path / "out" / PORTRAIT.name)), cv2.imread(str(PORTRAIT))
    assert drawn is not None and plain is not None
    assert drawn.shape == plain.shape
    height, width = plain.shape[:2]
    x1, y1, _, y2 = (np.array(face["bbox"]) * (width, height, width, height)).round().astype(int)
    changed = (drawn != plain).any(axis=2)
    assert changed[y1:y2, x1 - 2 : x1 + 3].any(axis=1).mean() > 0.9  # the box's left side


def test_process_hides_whom_the_configuration_hides(tmp_path: Path, called: Called) -> None:
    config = tmp_path / "visaged.yaml"
    config.write_text("privacy: {hide: faces}\n")
    processed = called("process", PORTRAIT, "--chain", "face-detector", "--draw", tmp_path, "--config", config)
    assert (processed.returncode, processed.stderr) == (0, "")
    assert len(json.loads(processed.stdout)["objects"]) == 1
    drawn = called("process", tmp_path / PORTRAIT.name, "--chain", "face-detector")
    assert json.loads(drawn.stdout)["objects"] == []
    refused = called("process", PORTRAIT, "--chain", "body-detector", "--draw", tmp_path, "--config", config)
    assert refused.returncode == 2
    assert refused.stderr.startswith("--chain: expected face-detector where privacy.hide is faces and --draw wants ")


def test_process_goes_on_after_what_it_cannot_read(tmp_path: Path, called: Called) -> None:
    (tmp_path / "a.jpg").write_bytes(PORTRAIT.read_bytes()[:2000])
    (tmp_path / "b.jpg").write_bytes(PORTRAIT.read_bytes())
    processed = called("process", tmp_path, tmp_path / "none.mp4", "none.jpg")
    assert processed.returncode == 1
    assert len(processed.stdout.splitlines()) == 1
    damaged, missing, *others = processed.stderr.splitlines()
    assert damaged.startswith(f"{tmp_path / 'a.jpg'}: The image is damaged")
    assert missing == f"{tmp_path / 'none.mp4'}: No such file or directory"
    assert others == ["none.jpg: No such file or directory"]


def test_process_draws_videos(tmp_path: Path, called: Called) -> None:
    clip = tmp_path / "clip.mp4"
    make_clip(clip, Scene(width=320, height=180, fps=5, seconds=1))
    processed = called("process", clip, "--chain", "face-detector", "--draw", tmp_path / "out")
    assert (processed.returncode, processed.stderr) == (0, "")
    assert [json.loads(line)["stream"]["frame"] for line in processed.stdout.splitlines()] == list(range(5))
    with av.open(str(tmp_path / "out" / "clip.mp4")) as drawn:
        assert drawn.streams.video[0].codec.name == "h264"
        frames = list(drawn.decode(video=0))
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(5) / 5, atol=1e-3)  # at the video's rate
    assert {(frame.width, frame.height) for frame in frames} == {(320, 180)}


def test_process_names_an_unknown_processor(called: Called) -> None:
    processed = called("process", PORTRAIT, "--chain", "face-detecter")
    assert processed.returncode == 2
    assert processed.stderr == "--chain: unknown processor face-detecter; did you mean face-detector?\n"


@pytest.mark.parametrize("chain", ["", ",", " , "])
def test_process_wants_a_processor(chain: str, called: Called) -> None:
    processed = called("process", PORTRAIT, "--chain", chain)
    assert (processed.returncode, processed.stdout) == (2, "")
    assert processed.stderr == "--chain: expected a processor at least, got none\n"


def test_process_takes_a_chain_with_spaces(called: Called) -> None:
    processed = called("process", PORTRAIT, "--chain", "face-detector, mask-estimator")
    assert (processed.returncode, processed.stderr) == (0, "")
    assert "has_medical_mask" in processed.stdout


@pytest.mark.parametrize(("below", "reason"), [("", "File exists"), ("/out", "Not a directory")])
def test_process_cannot_draw_into_a_file(tmp_path: Path, below: str, reason: str, called: Called) -> None:
    (tmp_path / "t.txt").write_text("")
    processed = called("process", PORTRAIT, "--draw", f"{tmp_path}/t.txt{below}")
    assert (processed.returncode, processed.stdout) == (2, "")
    expected = f"--draw: expected a folder for the drawings, got {tmp_path}/t.txt{below}: {reason}\n"
    assert processed.stderr == expected
