"""`visaged demo` as a newcomer runs it: the real broker, camera, daemon and consumer, in one process and its child."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from aiohttp import ClientSession, FormData

from daemon.commands.demo import run
from daemon.config.load import load
from daemon.errors import ConfigError
from daemon.simulator.rtp import Clip
from tests.brokers import records_of

DOCUMENT = re.compile(
    r"\S+Z camera frame \d+: face 0 0\.\d\d at 0\.\d\d,0\.\d\d yaw [+-]\d+ pitch [+-]\d+ roll [+-]\d+"
)
COMMAND = [str(Path(sys.executable).with_name("visaged")), "demo"]
PORTRAIT = Path(__file__).parents[3] / "daemon" / "simulator" / "pictures" / "biden.jpg"


@pytest.fixture
def demo(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    arguments: list[str] = getattr(request, "param", [])
    with subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"VISAGED_STATE_DIR": "/proc/no/daemon/of/ours", "TMPDIR": str(tmp_path)},
    ) as process:
        yield process
        process.kill()


def lines_until(demo: "subprocess.Popen[str]", pattern: re.Pattern[str]) -> list[str]:
    assert demo.stdout is not None
    lines = []
    for line in demo.stdout:
        lines.append(line.rstrip())
        if pattern.match(line):
            return lines
    pytest.fail(f"it ended without a line like {pattern.pattern}: {lines} {demo.stderr and demo.stderr.read()}")


def said(lines: list[str], what: str) -> str:
    """What the demo says of itself: the word after `what`."""
    return next(line.split()[1] for line in lines if line.startswith(what)).rstrip(",")


async def test_a_port_of_the_camera_that_is_taken_at_the_last_moment_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            ConfigError, match=rf"the camera can't listen on 127\.0\.0\.1:{port}: .*begin the demo again"
        ):
            async with run._camera("faces", Clip(units=(), duration=0, sdp=""), port):
                pass


async def test_a_port_of_http_that_is_taken_at_the_last_moment_is_told(
    embedded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "drawn_clip", lambda: None)
    monkeypatch.setattr(run, "_camera", lambda *args: contextlib.nullcontext())
    monkeypatch.setattr(run, "_say", lambda line: None)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        overrides = {"http": {"port": port}, "clusters": {"demo": {"bootstrap_servers": embedded}}}
        config = await asyncio.to_thread(load, run.CONFIG, overrides)
        with pytest.raises(ConfigError, match=rf"http: can't listen on 127\.0\.0\.1:{port}: "):
            await run._demo(config, own_broker=False, seconds=20)


async def test_documents_come_a_photo_is_answered_a_camera_is_added_and_ctrl_c_ends_all(
    demo: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    lines = lines_until(demo, DOCUMENT)
    broker, status, page = said(lines, "broker"), said(lines, "status"), said(lines, "page")
    children = psutil.Process(demo.pid).children(recursive=True)
    assert children  # the broker
    async with ClientSession() as session:
        photo = FormData()
        photo.add_field("image", PORTRAIT.read_bytes(), filename="biden.jpg")
        url = status.replace("/status", "/face-detector-face-fitter/v2/process/image")
        async with session.post(url, data=photo) as answer:
            assert len((await answer.json())["objects"]) == 1
        async with session.get(page, headers={"Accept": "text/html"}) as answer:
            assert "visaged" in await answer.text()
        async with session.get(status) as answer:
            assert (await answer.json())["streams"]["camera"]["state"] == "running"
        added = {"source": said(lines, "camera"), "fps": 1}
        async with session.put(status.replace("/status", "/streams/second"), json=added) as answer:
            assert answer.status == 201
        async with session.get(status.replace("/status", "/history")) as answer:
            assert answer.status == 200
    records = await records_of(broker, "visaged")
    assert json.loads(records[0].value)["stream"]["id"] == "camera"
    demo.send_signal(signal.SIGINT)
    assert demo.wait(timeout=15) == 0
    assert psutil.wait_procs(children, timeout=5)[1] == []
    assert await asyncio.to_thread(os.listdir, tmp_path) == []
    assert demo.stderr is not None
    errors = demo.stderr.read()
    assert ("Traceback" in errors, " INFO " in errors) == (False, False), errors  # nothing hides the addresses


def test_a_broker_of_one_s_own(embedded: str) -> None:
    process = subprocess.run(
        [*COMMAND, "--broker", embedded, "--seconds", "6"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (process.returncode, "Traceback" in process.stderr) == (0, False), process.stderr
    assert f"broker    {embedded}" in process.stdout
    assert DOCUMENT.search(process.stdout)
