"""A daemon in a process of its own, for those who measure what it costs."""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import psutil

from tests.brokers import free_port


class Daemon(NamedTuple):
    process: psutil.Process
    session: aiohttp.ClientSession
    url: str

    async def streams(self) -> Mapping[str, Any]:
        """Their rows of /status."""
        async with self.session.get(f"{self.url}/status") as response:
            rows: Mapping[str, Any] = (await response.json())["streams"]
        return rows

    async def frames(self) -> int:
        """That were looked at, of all streams."""
        return sum(row["frames"]["acknowledged"] for row in (await self.streams()).values())

    def cpu(self) -> float:
        """Seconds that its process has used."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


@contextlib.asynccontextmanager
async def daemon_of(streams: Mapping[str, Any], folder: Path, warm_up: float) -> AsyncIterator[Daemon]:
    """With a file as its sink, `warm_up` seconds after its first frame has been looked at."""
    port = free_port()
    path = folder / f"{port}.yaml"
    sink = {"type": "file", "path": str(folder / f"{port}.jsonl"), "linger": 0.0}
    config = {"streams": streams, "sinks": {"out": sink}, "http": {"port": port}, "log": {"level": "error"}}
    path.write_text(json.dumps(config))
    command = [sys.executable, "-m", "daemon", "run", str(path)]
    with subprocess.Popen(command) as process:  # noqa: ASYNC220  # it is there at once
        try:
            timeout, connector = aiohttp.ClientTimeout(total=None), aiohttp.TCPConnector(limit=0)
            async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
                daemon = Daemon(psutil.Process(process.pid), session, f"http://127.0.0.1:{port}")
                while not await _has_looked(daemon):
                    assert process.poll() is None
                    await asyncio.sleep(0.2)
                await asyncio.sleep(warm_up)
                yield daemon
        finally:
            process.terminate()


async def _has_looked(daemon: Daemon) -> bool:
    try:
        return bool(await daemon.frames())
    except aiohttp.ClientError:
        return False
