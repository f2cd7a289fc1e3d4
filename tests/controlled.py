"""The whole daemon with a stream of its file, a camera, and a client that may change streams."""

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest
from yarl import URL

from daemon.cli import main
from daemon.commands.run import App
from daemon.config.model import Config
from daemon.simulator.camera import Camera
from daemon.simulator.clip import Scene, make_clip
from daemon.simulator.rtp import Clip
from tests.http.described import api
from tests.waiting import until

SCENE = Scene(width=320, height=180, fps=25, seconds=1)
GOP = 5
CHAIN = ["face-detector"]
FILED = "rtsp://127.0.0.1:9/filed"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    path = tmp_path_factory.mktemp("clip") / "faces.mp4"
    make_clip(path, SCENE, gop=GOP)
    return Clip.read(path)


@pytest.fixture
async def camera(clip: Clip) -> AsyncIterator[Camera]:
    async with Camera({"door": clip}) as camera:
        yield camera


class Answer(NamedTuple):
    status: int
    body: Any
    etag: str | None = None


class Client:
    """Sends JSON as it stands."""

    def __init__(self, session: aiohttp.ClientSession, app: App, out: Path) -> None:
        self.app = app
        self.out = out
        """The file of its documents."""
        self._session = session

    async def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        encoded = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        data = None if encoded is None else io.BytesIO(encoded)  # aiohttp warns of large bodies as bytes
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        url = URL(f"{self._session._base_url}{path.removeprefix('/')}", encoded=True)
        async with self._session.request(method, url, data=data, headers=sent) as response:
            text = await response.read()
            answer = json.loads(text) if text else None
            if text:
                api().expect_described(method, url.raw_path, response.status, answer)
            return Answer(response.status, answer, response.headers.get("ETag"))

    def state(self, stream: str = "door") -> str:
        return str(self.app.status()["streams"][stream]["state"])


Serve = Callable[..., contextlib.AbstractAsyncContextManager[Client]]


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Serve:
    """serve(run_time={...}, **config): the daemon with a stream `filed` of the file, and a client of it."""
    monkeypatch.setattr("daemon.commands.run.services", lambda _: {})

    @contextlib.asynccontextmanager
    async def serving(
        run_time: dict[str, Any] | None = None, keys: dict[str, Any] | None = None, **others: Any
    ) -> AsyncIterator[Client]:
        at_run_time = {"networks": ["127.0.0.0/8"]} | (run_time or {})
        config: dict[str, Any] = {
            "http": {"port": 0, "run_time": at_run_time, "keys": keys or {}},
            "engine": {"workers": 1},
            "sinks": {"out": {"type": "file", "path": tmp_path / "out.jsonl"}},
            "streams": {"filed": {"source": FILED, "chain": CHAIN, "password": "hunter2", "username": "viewer"}},
            "state_dir": tmp_path / "state",
            "stop_timeout": 10,
        }
        app, stop = App(Config(**config | others)), asyncio.Event()
        running = asyncio.create_task(app.run(stop))
        await until(lambda: running.done() or app._loaded)
        assert app.http is not None
        try:
            async with aiohttp.ClientSession(f"{app.http.url}/") as session:
                yield Client(session, app, tmp_path / "out.jsonl")
        finally:
            stop.set()
            await running

    return serving


def door(camera: Camera, **others: Any) -> dict[str, Any]:
    return {"source": camera.url("door"), "chain": CHAIN, "read_timeout": 2} | others


Visaged = Callable[..., Awaitable[tuple[int, str, str]]]


def beside(capsys: pytest.CaptureFixture[str], command: str) -> Visaged:
    """visaged(client, "list"): the command beside the daemon; its status, output and errors."""

    async def call(client: Client, *arguments: str) -> tuple[int, str, str]:
        assert client.app.http is not None
        capsys.readouterr()
        status = await asyncio.to_thread(main, [command, "--url", client.app.http.url, *arguments])
        return status, *capsys.readouterr()

    return call
