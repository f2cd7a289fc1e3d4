import asyncio
import contextlib
import importlib.util
import os
import socket
import sys
from pathlib import Path

import psutil
import pytest

from daemon.commands.demo.broker import HOST, BrokerError, embedded_broker
from tests.waiting import until

PARENT = """
import asyncio
from daemon.commands.demo.broker import embedded_broker

async def main():
    async with embedded_broker() as servers:
        print(servers, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def takes_connections(servers: str) -> bool:
    host, _, port = servers.rpartition(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
        return True
    return False


def is_there(folder: Path) -> bool:
    return folder.is_dir()


async def test_it_takes_connections_and_leaves_nothing_behind() -> None:
    async with embedded_broker() as servers:
        port = servers.rpartition(":")[2]
        (process,) = (child for child in psutil.Process().children() if port in child.cmdline())
        folder = Path(process.cmdline()[-1])
        assert takes_connections(servers)
        assert is_there(folder)
    assert not process.is_running()
    assert not takes_connections(servers)
    assert not is_there(folder)


async def test_it_dies_with_its_parent_however_that_dies(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},  # where a killed parent leaves the broker's data
    )
    assert parent.stdout is not None
    servers = (await parent.stdout.readline()).decode().strip()
    assert takes_connections(servers)
    parent.kill()
    await parent.communicate()
    await until(lambda: not takes_connections(servers))


async def test_a_port_that_another_program_has() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BrokerError, match=f"port {port} is already in use") as caught:
            async with embedded_broker(port):
                pass
    assert "`--broker HOST:PORT`" in str(caught.value)


async def test_without_the_wheel_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BrokerError, match="Linux x86-64 only") as caught:
        async with embedded_broker():
            pass
    assert "`--broker HOST:PORT`" in str(caught.value)
