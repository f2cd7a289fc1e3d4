"""The daemon's start and stop, with nothing to read."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from daemon.commands.run import App
from daemon.config.model import Config
from daemon.errors import StateInUse
from sinks.base import Record, SinkError
from sinks.file import FileSettings, FileSink
from tests.waiting import until


def configured(**others: Any) -> Config:
    some: dict[str, Any] = {"http": {"port": 0}, "engine": {"workers": 1}, "stop_timeout": 0.2}
    return Config(**some | others)


async def test_a_second_daemon_on_a_state_dir_ends(tmp_path: Path) -> None:
    config = configured(state_dir=tmp_path / "state")
    first, stop = App(config), asyncio.Event()
    running = asyncio.create_task(first.run(stop))
    await until(lambda: (tmp_path / "state" / "lock").exists())
    with pytest.raises(StateInUse, match="in use by process"):
        await App(config).run(asyncio.Event())
    stop.set()
    await running
    stop.set()
    await App(config).run(stop)


async def test_a_second_daemon_on_a_sink_s_file_ends(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    held = FileSink(FileSettings(type="file", path=path))
    await held.open()
    with pytest.raises(SinkError, match="in use by process"):
        await App(configured(sinks={"out": {"type": "file", "path": path}})).run(asyncio.Event())
    await held.write([Record("door", b"1")])
    await held.close()
