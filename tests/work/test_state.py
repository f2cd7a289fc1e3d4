import asyncio
import os
import socket
from pathlib import Path

import pytest

from daemon.errors import ConfigError, StateInUse
from daemon.work.state import StateDir


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "state"


async def test_one_daemon_has_it_and_is_named(path: Path) -> None:
    first, second, running = StateDir(path), StateDir(path), asyncio.Event()
    await first.hold(0, running)
    with pytest.raises(StateInUse) as caught:
        await second.hold(0, running)
    holder = f"process {os.getpid()} on {socket.gethostname()}"
    assert str(caught.value) == f"state_dir: {path} is in use by {holder}"
    first.release()
    await second.hold(0, running)
    second.release()


async def test_the_second_waits_for_the_first_to_end(path: Path) -> None:
    first, second, running = StateDir(path), StateDir(path), asyncio.Event()
    await first.hold(0, running)
    waiting = asyncio.create_task(second.hold(60, running))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    first.release()
    await waiting
    with pytest.raises(StateInUse):
        await first.hold(0, running)
    second.release()


async def test_a_stop_ends_the_wait(path: Path) -> None:
    first, stop = StateDir(path), asyncio.Event()
    await first.hold(0, stop)
    waiting = asyncio.create_task(StateDir(path).hold(60, stop))
    await asyncio.sleep(0.01)
    stop.set()
    await waiting
    first.release()


async def test_a_folder_that_cannot_be_made_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"state_dir: expected a folder to write to, got .*: Not a directory"):
        await StateDir(tmp_path / "file" / "state").hold(0, asyncio.Event())
