"""What each HTTP service costs, and what it does under load: python -m tests.benchmarks.services [--seconds 60]

Costs are CPU milliseconds of one thread a request (1080p JPEG, 1 and 10 faces; medians), from the body's bytes to the
answer's: the networks alone (Session.run), what makes their inputs (resizing, crops, blobs), base64 with decoding the
picture, and the rest, which is measures, glue and JSON. The overhead is the rest over the bare work, to which the
inputs belong, as in tests.benchmarks.cost; beside it stands that of rest and inputs over networks and decoding.
Then 20 clients with mixed services for a while, each answer compared with that of one client alone, and 2,000 clients
at once.
"""

import argparse
import asyncio
import base64
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import cv2
import numpy as np
import psutil

import daemon.simulator
from daemon.config.model import Config
from daemon.http.services.catalogue import services
from daemon.http.services.endpoints import answers
from daemon.http.settings import HttpSettings
from daemon.logs import log_to_stderr
from daemon.prepare import prepare
from daemon.wire import blob
from models.session import Session
from models.store import ModelStore
from processors.matcher import Matcher
from processors.registry import build_chain

PORTRAIT = Path(daemon.simulator.__file__).parent / "pictures" / "obama.jpg"
SIZE = (1080, 1920)


class Spent:
    """Thread CPU seconds inside functions, added up; where one calls another of them, once."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._inside = False

    def watch(self, owner: Any, name: str) -> None:
        inner = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            if self._inside:
                return inner(*args, **kwargs)
            self._inside = True
            began = time.thread_time()
            try:
                return inner(*args, **kwargs)
            finally:
                self.seconds += time.thread_time() - began
                self._inside = False

        setattr(owner, name, timed)


INPUTS = {"fitted", "resized", "padded", "cropped", "blob", "rows", "surroundings", "squared"}
"""Functions that make the inputs of networks,"""
MEASURES = {("processors.quality.face", "cropped"), ("processors.quality.picture", "cropped")}
"""but for those that crop for what is measured without one."""


def inputs() -> Spent:
    spent = Spent()
    for path, module in list(sys.modules.items()):
        if path.startswith("processors.") and path != "processors.arrays":
            for name in INPUTS & vars(module).keys():
                if (path, name) not in MEASURES:
                    spent.watch(module, name)
    return spent


def photo(faces: int) -> bytes:
    """1080p with so many portraits on a plain wall."""
    portrait = cv2.imread(str(PORTRAIT))
    assert portrait is not None
    columns, rows = (1, 1) if faces == 1 else (5, 2)
    side = min(SIZE[0] // rows, SIZE[1] // columns) - 8
    scale = side / max(portrait.shape[:2])
    small = cv2.resize(portrait, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    picture = np.full((*SIZE, 3), 190, np.uint8)
    for index in range(faces):
        y, x = index // columns * (side + 8), index % columns * (side + 8)
        picture[y : y + small.shape[0], x : x + small.shape[1]] = small
    return cv2.imencode(".jpg", picture)[1].tobytes()


def bodies(answer: Callable[[str, bytes], bytes], image: bytes) -> Iterator[tuple[str, bytes]]:
    """A request to every service, made from the answers of those before it."""
    sample = {"_image": {"blob": base64.b64encode(image).decode()}}
    plain = json.dumps(sample).encode()
    for name in ("face-detector-face-fitter", "face-detector-template-extractor"):
        yield name, plain
    yield "face-detector-liveness-estimator", plain
    yield "body-detector", plain
    fitted = answer("face-detector-face-fitter", plain)
    for name in ("gender", "age", "emotion", "mask", "liveness", "quality-assessment"):
        yield f"{name}-estimator", fitted
    yield "template-extractor", fitted
    templates = json.loads(answer("template-extractor", fitted))["objects"]
    yield "verify-matcher", json.dumps({"objects": (templates * 2)[:2]}).encode()


def costs(rounds: int) -> None:
    prepare()
    log_to_stderr("error")
    config, models = Config(), ModelStore()
    served = services("face-detector-liveness-estimator")
    by_name: dict[str, Callable[[bytes], bytes]] = {}
    for name, service in served.items():
        for version, kind, reply in answers(
            service,
            lambda names: build_chain(names, config.processor_settings(), models),
            lambda: Matcher(models),
            HttpSettings(),
        ):
            if (version, kind) == ("v2", "sample"):
                by_name[name] = reply
    nets, made, decoding = Spent(), inputs(), Spent()
    nets.watch(Session, "run")
    decoding.watch(blob.ImageBlob, "decode")
    parts = nets, made, decoding
    print(f"{'CPU ms a request':34} faces   total    nets  inputs  decode    rest  overhead  with inputs")
    for faces in (1, 10):
        for name, body in bodies(lambda name, body: by_name[name](body), photo(faces)):
            rows = []
            for _ in range(rounds):
                before = [part.seconds for part in parts]
                began = time.thread_time()
                answer = by_name[name](body)
                total = time.thread_time() - began
                rows.append((total, *(part.seconds - start for part, start in zip(parts, before, strict=True))))
            total, net, made_ms, decode = (statistics.median(column) * 1000 for column in zip(*rows, strict=True))
            bare = net + made_ms + decode
            found = len(json.loads(answer)["objects"])
            shares = f"{total / bare - 1:8.1%} {total / (net + decode) - 1:8.1%}" if bare else "       -"
            print(
                f"{name:34} {found:5} {total:7.1f} {net:7.1f} {made_ms:7.1f} {decode:7.1f} {total - bare:7.1f} {shares}"
            )


def load(seconds: float, clients: int, crowd: int) -> None:
    environ = os.environ | {"VISAGED_HTTP__PORT": "0"}
    command = [sys.executable, "-m", "daemon", "run", "configs/http.yaml"]
    with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as server:
        log = server.stderr
        assert log is not None
        url = next(line for line in log if "HTTP on" in line).split()[-1]
        # Read on, so that the server never waits to write its log.
        reading = threading.Thread(target=lambda: sum(1 for _ in log), daemon=True)
        reading.start()
        try:
            asyncio.run(_load(url, psutil.Process(server.pid), seconds, clients, crowd))
        finally:
            server.terminate()
            reading.join()


async def _load(url: str, server: psutil.Process, seconds: float, clients: int, crowd: int) -> None:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(120)) as session:
        await _ask(session, url, server, seconds, clients, crowd)


async def _ask(
    session: aiohttp.ClientSession, url: str, server: psutil.Process, seconds: float, clients: int, crowd: int
) -> None:
    async def post(name: str, body: bytes) -> tuple[int, bytes, str | None]:
        target = f"{url}/{name}/v2/process/sample"
        async with session.post(target, data=body, headers={"Content-Type": "application/json"}) as answer:
            return answer.status, await answer.read(), answer.headers.get("Retry-After")

    loop = asyncio.get_running_loop()
    small = cv2.imencode(".jpg", cv2.imread(str(PORTRAIT)))[1].tobytes()  # type: ignore[arg-type]  # it is there

    def ask(name: str, body: bytes) -> bytes:
        return asyncio.run_coroutine_threadsafe(post(name, body), loop).result()[1]

    requests = await asyncio.to_thread(lambda: list(bodies(ask, small)))
    alone = {name: (await post(name, body))[:2] for name, body in requests}
    assert all(status == 200 for status, _ in alone.values()), {name: status for name, (status, _) in alone.items()}
    statuses: Counter[str] = Counter()
    ends = time.monotonic() + seconds
    memory: list[tuple[float, float]] = []

    async def client(number: int) -> None:
        while time.monotonic() < ends:
            for name, body in requests[number % len(requests) :] + requests[: number % len(requests)]:
                status, answer, _ = await post(name, body)
                statuses["equal" if (status, answer) == alone[name] else f"different ({status})"] += 1

    async def watch() -> None:
        while time.monotonic() < ends:
            memory.append((time.monotonic(), server.memory_info().rss / 1e6))
            await asyncio.sleep(1)

    await asyncio.gather(watch(), *(client(number) for number in range(clients)))
    rate = sum(statuses.values()) / seconds
    quarters = ", ".join(f"{memory[len(memory) * n // 4 - (n == 4)][1]:.0f}" for n in range(5))
    print(f"{clients} clients for {seconds:.0f} s: {rate:.0f} requests/s, answers {dict(statuses)}")
    print(f"  memory in MB at the quarters: {quarters}")
    name, body = requests[0]
    began = time.monotonic()
    answered = await asyncio.gather(*(post(name, body) for _ in range(crowd)))
    took = time.monotonic() - began
    later = Counter((status, retry) for status, _, retry in answered)
    await asyncio.sleep(1)
    began = time.monotonic()
    status, *_ = await post(name, body)
    counts = {f"{status} Retry-After {retry}": count for (status, retry), count in later.items()}
    print(f"{crowd} at once in {took:.1f} s: {counts}")
    print(f"  a second later {status} in {time.monotonic() - began:.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--crowd", type=int, default=2000)
    arguments = parser.parse_args()
    costs(arguments.rounds)
    load(arguments.seconds, arguments.clients, arguments.crowd)


if __name__ == "__main__":
    main()
