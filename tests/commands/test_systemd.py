"""What systemd hears, at a socket as it opens one."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.commands.systemd import Systemd
from tests.commands.test_cli import command

CONFIGURATION = """
http: null
stop_timeout: 7
streams:
  gate: {source: "rtsp://127.0.0.1:9/1", paused: true, chain: [face-detector]}
sinks:
  out: {type: stdout}
"""


class Heard:
    """The end of systemd."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(30)
        self.socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)

    def next(self) -> dict[str, str]:
        """Of a datagram its assignments."""
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().split("\n"))

    def all(self) -> list[dict[str, str]]:
        self.socket.setblocking(False)
        heard = []
        with contextlib.suppress(BlockingIOError):
            while True:
                heard.append(self.next())
        return heard


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Heard]:
    path = str(tmp_path / "notify")
    heard = Heard(path if request.param == "path" else f"@{path}")
    with heard.socket:
        yield heard


@pytest.mark.slow
def test_a_service_tells_of_its_start_its_reloads_and_its_stop(systemd: Heard, tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_text(CONFIGURATION)
    environment = os.environ | {"NOTIFY_SOCKET": systemd.address}
    with subprocess.Popen(command("run", path), env=environment, stderr=subprocess.PIPE) as process:
        try:
            assert systemd.next() == {"READY": "1", "STATUS": "running"}
            for text, status in ((CONFIGURATION, "running"), ("streams: 5", "running as before")):
                path.write_text(text)
                asked_us = time.monotonic_ns() // 1000
                process.send_signal(signal.SIGHUP)
                told = systemd.next()
                assert told.keys() == {"RELOADING", "MONOTONIC_USEC"}
                assert asked_us <= int(told["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
                told = systemd.next()
                assert told["READY"] == "1"
                assert told["STATUS"].startswith(status)
            process.send_signal(signal.SIGTERM)
            assert systemd.next() == {"STOPPING": "1", "EXTEND_TIMEOUT_USEC": "12000000"}
            process.communicate(timeout=30)
            assert process.returncode == 0
        finally:
            process.kill()
    assert systemd.all() == []


async def test_the_watchdog_is_fed_twice_in_its_time_while_the_loop_turns(systemd: Heard) -> None:
    environment = {
        "NOTIFY_SOCKET": systemd.address,
        "WATCHDOG_USEC": "100000",
        "WATCHDOG_PID": str(os.getpid()),
    }
    with contextlib.closing(Systemd(environment)) as told:
        feeding = asyncio.create_task(told.feed_watchdog())
        await asyncio.sleep(0.5)
        feeding.cancel()
    heard = systemd.all()
    assert heard == [{"WATCHDOG": "1"}] * len(heard)
    assert 5 <= len(heard) <= 11  # the machine may be busy; more often it never is


@pytest.mark.parametrize("others", [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}])
async def test_a_watchdog_that_is_not_ours_is_not_fed(systemd: Heard, others: dict[str, str]) -> None:
    with contextlib.closing(Systemd({"NOTIFY_SOCKET": systemd.address} | others)) as told:
        await told.feed_watchdog()
    assert systemd.all() == []


@pytest.mark.parametrize("address", ["", "/nowhere/notify"])
def test_without_one_who_hears_it_nothing_stops(address: str, caplog: pytest.LogCaptureFixture) -> None:
    with contextlib.closing(Systemd({"NOTIFY_SOCKET": address})) as told:
        told.ready("running")
    assert [record.getMessage() for record in caplog.records] == (
        [f"systemd is not told of this service: NOTIFY_SOCKET={address}: No such file or directory"] if address else []
    )


def test_one_who_has_gone_away_is_named(systemd: Heard, caplog: pytest.LogCaptureFixture) -> None:
    with contextlib.closing(Systemd({"NOTIFY_SOCKET": systemd.address})) as told:
        systemd.socket.close()
        told.stopping(5)
    assert "systemd could not be told STOPPING=1: Connection refused" in caplog.text
