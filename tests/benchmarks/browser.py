"""A browser's EventSource with a session, through a break: python -m tests.benchmarks.browser [--browser chromium]

A stream of a daemon with keys is watched by headless Chromium (Debian's package `chromium`), which is told what to do
over its DevTools protocol: a page of the daemon exchanges a key for a session, opens an EventSource, and shows a
snapshot. Then all connections are cut, and EventSource resumes by itself. Ends with status 1 where it missed an event,
got one twice, or got none.
"""

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

from daemon.http.access.keys import digest, new_key
from daemon.simulator.clip import make_clip
from tests.benchmarks.cameras import camera_of
from tests.brokers import free_port, proxy

STARTING_S = 60.0
WATCH_S = 6.0
SCRIPT = """
(async () => {
  const session = await fetch("/session", {
    method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify({key: KEY}),
  });
  window.seen = []; window.gaps = []; window.opened = 0;
  const source = new EventSource("/streams/door/events?types=frame");
  source.onopen = () => { window.opened += 1; };
  source.addEventListener("frame", (event) => window.seen.push(event.lastEventId));
  source.addEventListener("gap", (event) => window.gaps.push(event.data));
  const image = new Image();
  const shown = new Promise((resolve) => {
    image.onload = () => resolve(image.naturalWidth);
    image.onerror = () => resolve(0);
  });
  await new Promise((resolve) => setTimeout(resolve, 1500));
  image.src = "/streams/door/snapshot.jpg?draw=1&width=480";
  return {session: session.status, cookie: document.cookie, width: await shown};
})()
"""


class Page:
    """A tab of a browser, over its DevTools protocol."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._count = 0

    async def call(self, method: str, **params: object) -> Any:
        self._count += 1
        await self._socket.send_json({"id": self._count, "method": method, "params": params})
        while (answer := await self._socket.receive_json(timeout=STARTING_S)).get("id") != self._count:
            pass
        return answer["result"]

    async def evaluate(self, script: str) -> Any:
        answer = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        return answer["result"].get("value", answer)


@contextlib.asynccontextmanager
async def chromium(program: str, folder: Path) -> AsyncIterator[Page]:
    port = free_port()
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/profile"]
    command = [program, *options, f"--remote-debugging-port={port}", "about:blank"]
    process = await asyncio.create_subprocess_exec(*command, stderr=subprocess.DEVNULL)
    try:
        async with aiohttp.ClientSession() as session:
            tabs = await _answered(session, f"http://127.0.0.1:{port}/json")
            url = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
            async with session.ws_connect(url) as socket:
                yield Page(socket)
    finally:
        process.terminate()
        await process.wait()


async def _answered(session: aiohttp.ClientSession, url: str) -> Any:
    deadline = time.monotonic() + STARTING_S
    while True:
        try:
            async with session.get(url) as response:
                if response.status == 200:
                    return await response.json()
        except aiohttp.ClientError:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError(url)
        await asyncio.sleep(0.2)


@contextlib.asynccontextmanager
async def watched(camera: str, key: str, folder: Path) -> AsyncIterator[int]:
    """The port of a daemon with one stream."""
    port = free_port()
    config = {
        "http": {"port": port, "keys": {"page": {"sha256": digest(key), "roles": ["watch"]}}},
        "streams": {"door": {"source": camera, "chain": ["face-detector"], "fps": 5}},
        "log": {"level": "error"},
    }
    path = folder / "visaged.yaml"
    await asyncio.to_thread(path.write_text, json.dumps(config))
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "daemon", "run", str(path))
    try:
        async with aiohttp.ClientSession() as session:
            await _answered(session, f"http://127.0.0.1:{port}/readyz")
        yield port
    finally:
        process.terminate()
        await process.wait()


async def measure(camera: str, folder: Path, program: str) -> bool:
    key = new_key()
    async with (
        watched(camera, key, folder) as port,
        proxy(f"127.0.0.1:{port}", free_port()) as way,
        chromium(program, folder) as page,
    ):
        await page.call("Page.navigate", url=f"http://{way.address}/healthz")
        await asyncio.sleep(1)
        print("page:", await page.evaluate(SCRIPT.replace("KEY", json.dumps(key))))
        await asyncio.sleep(WATCH_S)
        way.cut()
        await asyncio.sleep(1)
        await way.restore()
        await asyncio.sleep(WATCH_S)
        seen, gaps, opened = [await page.evaluate(f"window.{what}") for what in ("seen", "gaps", "opened")]
    numbers = [int(one.rpartition("-")[2]) for one in seen]
    whole = bool(numbers) and numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    print(f"EventSource: {len(seen)} events, opened {opened} times, gaps {gaps}, each once and in order: {whole}")
    return whole and opened > 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--browser", default="chromium")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_clip(folder / "faces.mp4")
        with camera_of(folder / "faces.mp4") as camera:
            return 0 if asyncio.run(measure(camera, folder, arguments.browser)) else 1


if __name__ == "__main__":
    sys.exit(main())
