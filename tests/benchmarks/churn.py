"""Streams that come, change and go over HTTP while others run: python -m tests.benchmarks.churn [CHANGES]

Prints what the daemon was asked and what is left, and ends with status 1 where wanted and running do not agree, an
untouched stream lost something uncounted, or a thread, a descriptor or a task is left.
"""

import argparse
import asyncio
import gc
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from daemon.commands.run import REGISTRY, App
from daemon.config.model import Config
from daemon.control.registry import FileRegistry
from daemon.simulator.camera import Camera
from daemon.simulator.clip import Scene, make_clip
from daemon.simulator.rtp import Clip
from tests.waiting import until

SCENE = Scene(width=320, height=180, fps=10, seconds=2)
STREAMS = 8
CLIENTS = 3
CHAIN = ["face-detector"]
SETTLED_S = 60.0
LONGEST_PAUSE_S = 0.3
POOLS = ("asyncio_", "resolver")


@dataclass(slots=True)
class Churned:
    """What came of it."""

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    """By request and status."""
    seconds: float = 0.0
    disagreements: list[str] = field(default_factory=list)
    """Between what is wanted, kept and running."""
    holes: list[str] = field(default_factory=list)
    """In the documents of the stream that nobody touched."""
    dropped: int = 0
    """Of its frames, counted: more than 0 where the machine has too much to do."""
    left: dict[str, int] = field(default_factory=dict)
    """More threads, descriptors and tasks than before."""

    @property
    def is_well(self) -> bool:
        unexpected = [status for _, status in self.answers if status >= 500]
        return not (unexpected or self.disagreements or self.holes or any(self.left.values()))


def configured(camera: Camera, folder: Path) -> Config:
    steady = {"source": camera.url("cam"), "chain": CHAIN, "fps": 5, "weight": 10.0, "read_timeout": 5}
    return Config(
        http={"port": 0, "run_time": {"networks": ["127.0.0.0/8"]}},
        streams={"steady": steady},
        sinks={"out": {"type": "file", "path": folder / "out.jsonl"}},
        state_dir=folder / "state",
        stop_timeout=20,
    )


async def churn(camera: Camera, folder: Path, changes: int, seed: int = 0) -> Churned:
    """Of a daemon whose stream `steady` stays as it is."""
    churned = Churned()
    app, stop = App(configured(camera, folder)), asyncio.Event()
    running = asyncio.create_task(app.run(stop))
    await until(lambda: running.done() or bool(app.status()["streams"]), timeout_s=60)
    steady = app.overview.streams["steady"].stream.counts
    await until(lambda: steady.acknowledged > 10)
    assert app.http is not None
    connector = aiohttp.TCPConnector(force_close=True)  # what is kept open for the next request is not left
    async with aiohttp.ClientSession(app.http.url, connector=connector) as client:
        await _one(client, random.Random(seed), camera, "warm", churned)  # noqa: S311
        await _remove_all(client, app)
        before, dropped = _now(), steady.dropped.total()
        began = time.monotonic()
        choose = random.Random(seed)  # noqa: S311
        todo = iter(range(changes))

        async def change() -> None:
            for _ in todo:
                await _one(client, choose, camera, f"s{choose.randrange(STREAMS)}", churned)
                await asyncio.sleep(choose.random() * LONGEST_PAUSE_S)  # some streams connect meanwhile, some do not

        await asyncio.gather(*(change() for _ in range(CLIENTS)))
        churned.seconds = time.monotonic() - began
        churned.disagreements = await _disagreements(client, app, folder)
        await _remove_all(client, app)
        acknowledged = steady.acknowledged
        await until(lambda: steady.acknowledged > acknowledged + 5)
        churned.left = await _left(before)
        churned.dropped = steady.dropped.total() - dropped
    stop.set()
    await running
    churned.holes = await asyncio.to_thread(_holes, app, folder / "out.jsonl")
    return churned


async def _one(
    client: aiohttp.ClientSession, choose: random.Random, camera: Camera, stream: str, churned: Churned
) -> None:
    what = choose.choices(("put", "patch", "pause", "resume", "restart", "delete"), (4, 3, 1, 2, 1, 2))[0]
    path = f"/streams/{stream}"
    body: Any = None
    match what:
        case "put":
            method, body = "PUT", {"source": camera.url("cam"), "chain": CHAIN, "fps": choose.choice([1, 2])}
        case "patch":
            method, body = "PATCH", choose.choice([{"emit": "objects"}, {"name": "Tür"}, {"fps": 1}, {"weight": 0.5}])
        case "delete":
            method = "DELETE"
        case _:
            method, path = "POST", f"{path}/{what}"
    async with client.request(method, path, json=body) as response:
        churned.answers[what, response.status] += 1
        await response.read()


async def _remove_all(client: aiohttp.ClientSession, app: App) -> None:
    async with client.get("/streams") as response:
        listed = (await response.json())["streams"]
    for one in listed:
        if one["origin"] == "run-time":
            await client.delete(f"/streams/{one['id']}")
    await until(lambda: set(app.status()["streams"]) == {"steady"}, SETTLED_S)


async def _disagreements(client: aiohttp.ClientSession, app: App, folder: Path) -> list[str]:
    """Once all that was asked for has been done."""
    async with client.get("/streams") as response:
        listed = {one["id"]: one for one in (await response.json())["streams"]}
    kept = await asyncio.to_thread(FileRegistry(folder / "state" / REGISTRY).load)

    def states() -> dict[str, bool]:
        """By stream, whether it is as it is wanted."""
        rows = app.status()["streams"]
        expected = {name: one["settings"].get("paused", False) for name, one in listed.items()}
        return {
            name: name in rows
            and name in expected
            and rows[name]["state"] == ("paused" if expected[name] else "running")
            for name in {**rows, **expected}
        }

    try:
        await until(lambda: all(states().values()), SETTLED_S)
    except TimeoutError:
        return [f"{name} is not as it is wanted" for name, well in states().items() if not well]
    found = {name for name, one in listed.items() if one["origin"] == "run-time"}
    return [f"{name} is kept or runs, not both" for name in found ^ set(kept)]


def _now() -> dict[str, int]:
    """Without the threads of pools, which are bounded and stay."""
    gc.collect()
    return {
        "threads": sum(not thread.name.startswith(POOLS) for thread in threading.enumerate()),
        "descriptors": psutil.Process().num_fds(),
        "tasks": len(asyncio.all_tasks()),
    }


async def _left(before: dict[str, int]) -> dict[str, int]:
    """What goes within a while is not left, as the other end of a connection."""
    left: dict[str, int] = {}

    def gone() -> bool:
        left.update({what: count - before[what] for what, count in _now().items()})
        return all(more <= 0 for more in left.values())

    try:
        await until(gone, 20.0)
    except TimeoutError:
        return left
    return dict.fromkeys(left, 0)


def _holes(app: App, path: Path) -> list[str]:
    """Frames that neither have a document nor are counted as dropped."""
    documents = [document for document in map(json.loads, path.read_text().splitlines()) if "stream" in document]
    streams = [document["stream"] for document in documents if document["stream"]["id"] == "steady"]
    counts = app.overview.streams["steady"].stream.counts
    holes = [] if len({stream["run"] for stream in streams}) == 1 else ["it has begun anew"]
    frames = [stream["frame"] for stream in streams]
    missing = sum(later - before - 1 for before, later in pairwise(frames))
    if missing > counts.dropped.total():
        holes.append(f"{missing} frames are missing, {counts.dropped.total()} were counted as dropped")
    if len(frames) != counts.acknowledged:
        holes.append(f"{len(frames)} documents, {counts.acknowledged} acknowledged")
    return holes


async def main(changes: int) -> Churned:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "faces.mp4"
        await asyncio.to_thread(make_clip, path, SCENE, gop=5)
        async with Camera({"cam": await asyncio.to_thread(Clip.read, path)}) as camera:
            return await churn(camera, Path(folder), changes)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("changes", type=int, nargs="?", default=200)
    result = asyncio.run(main(parser.parse_args().changes))
    sys.stdout.write(f"{result.seconds:.1f} s, {dict(result.answers)}\n")
    sys.stdout.write(f"disagreements: {result.disagreements}; holes: {result.holes}; left: {result.left}\n")
    sys.stdout.write(f"dropped and counted of the stream that nobody touched: {result.dropped}\n")
    sys.exit(not result.is_well)
