"""docs/extending.md, followed to the letter: its processor, source and sink in a copy of visaged that is run."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.photos import file_of
from tests.worked import ROOT, blocks, changed, copy_with_examples


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("visaged")
    copy_with_examples(folder)
    return folder


def visaged(copy: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """The copy's, whose packages the interpreter finds in its working directory first."""
    command = [sys.executable, "-m", "daemon", *arguments]
    return subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=60, check=False)


def test_the_page_shows_one_of_each() -> None:
    new = [block.path for block in blocks() if block.kind == "python"]
    assert new == ["processors/brightness.py", "daemon/sources/datagram.py", "sinks/folder.py"]


def test_a_diff_that_no_longer_fits_is_seen() -> None:
    assert changed("a\nb\n", " a\n+c\n b\n") == "a\nc\nb\n"
    with pytest.raises(AssertionError, match="expected these lines once"):
        changed("a\nb\n", " a\n+c\n d\n")


def test_the_examples_keep_the_project_s_style(copy: Path) -> None:
    """Of what the page shows or changes."""
    files = sorted({block.path for block in blocks() if block.path.endswith(".py")})
    for command in (["check"], ["format", "--check"]):
        ran = subprocess.run(
            [str(Path(sys.executable).with_name("ruff")), *command, "--config", str(ROOT / "pyproject.toml"), *files],
            cwd=copy,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout


def test_the_processor_measures(copy: Path) -> None:
    """A portrait and the same in half its light."""
    bright = cv2.imdecode(np.frombuffer(file_of("obama"), np.uint8), cv2.IMREAD_COLOR)
    assert bright is not None
    for name, picture in (("bright", bright), ("dim", bright // 2)):
        cv2.imwrite(str(copy / f"{name}.png"), picture)
    ran = visaged(copy, "process", "bright.png", "dim.png", "--chain", "face-detector,brightness-estimator")
    assert (ran.returncode, ran.stderr) == (0, "")
    (of_bright,), (of_dim,) = (json.loads(line)["objects"] for line in ran.stdout.splitlines())
    left, top, right, bottom = np.array(of_bright["bbox"]) * (bright.shape[1::-1] * 2)
    inset_x, inset_y = (right - left) * 0.2, (bottom - top) * 0.2
    inside = bright[int(top + inset_y) : int(bottom - inset_y), int(left + inset_x) : int(right - inset_x)]
    assert of_bright["brightness"] == pytest.approx(cv2.cvtColor(inside, cv2.COLOR_BGR2GRAY).mean(), abs=0.5)
    assert of_dim["brightness"] == pytest.approx(of_bright["brightness"] / 2, abs=2)


def test_their_settings_are_in_the_reference(copy: Path) -> None:
    reference = visaged(copy, "schema").stdout
    assert "  brightness_estimator:\n" in reference
    assert '#    type: "folder"\n' in reference


@pytest.fixture
def sender() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        yield sender


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_stream_of_all_three(copy: Path, sender: socket.socket) -> None:
    port = free_port()
    configuration = copy / "mine.yaml"
    configuration.write_text(configuration.read_text().replace("9000", str(port)))
    documents = copy / "documents"
    documents.mkdir()
    checked = visaged(copy, "check", "mine.yaml")
    assert (checked.returncode, checked.stderr) == (0, "")
    daemon = subprocess.Popen(
        [sys.executable, "-m", "daemon", "run", "mine.yaml"], cwd=copy, stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 30
        while len(list(documents.glob("*.json"))) < 3:
            assert time.monotonic() < deadline
            assert daemon.poll() is None
            for datagram in (b"no picture", file_of("astronaut")):
                sender.sendto(datagram, ("127.0.0.1", port))
            time.sleep(0.2)
    finally:
        daemon.send_signal(signal.SIGTERM)
        _, log = daemon.communicate(timeout=30)
    assert daemon.returncode == 0
    written = [json.loads(path.read_bytes()) for path in sorted(documents.glob("*.json"))]
    frames = [document["stream"]["frame"] for document in written]
    assert frames == sorted(set(frames))
    for document in written:
        assert document["stream"]["id"] == "porch"
        (face,) = document["objects"]
        assert 20 < face["brightness"] < 235
    frames_of_stream = re.search(r"porch: \d+ frames, (\d+) acknowledged.* failed \(UnsupportedImage: (\d+)\)", log)
    assert frames_of_stream, log
    assert int(frames_of_stream[1]) == len(written)
    assert int(frames_of_stream[2]) >= 1
    assert f"out: {len(written)} records, {len(written)} acknowledged\n" in log
