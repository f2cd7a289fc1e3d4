"""`visaged demo`: a simulated camera, a broker, the daemon, and a consumer that prints each document as one line."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import tempfile
import webbrowser
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import configs
import daemon.simulator
from daemon.commands.demo.broker import embedded_broker
from daemon.commands.run import App
from daemon.config.load import load
from daemon.config.model import Config
from daemon.control.settings import PRIVATE
from daemon.errors import ConfigError, VisagedError
from daemon.logs import log_to_stderr
from daemon.prepare import prepare
from daemon.simulator.camera import Camera
from daemon.simulator.clip import drawn_clip
from daemon.simulator.rtp import Clip
from daemon.wire.codec import Members, parse
from sinks.kafka_settings import KafkaSettings

CONFIG = Path(configs.__file__).parent / "demo.yaml"
PHOTO = Path(daemon.simulator.__file__).parent / "pictures" / "obama.jpg"
HOST = "127.0.0.1"
THIS_MACHINE = "127.0.0.0/8"
PAGE_WAIT_S = 0.2


def main(*, broker: str | None, seconds: float | None) -> int:
    """Until Ctrl-C, SIGTERM or the given time."""
    with tempfile.TemporaryDirectory(prefix="visaged-demo-") as folder:
        config = _config(broker, Path(folder))
        prepare()
        log_to_stderr(config.log.level, config.log.format)
        asyncio.run(_demo(config, own_broker=broker is None, seconds=seconds))
    return 0


async def _demo(config: Config, *, own_broker: bool, seconds: float | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    source = urlsplit(config.streams["camera"].source)
    kafka, cluster = config.sinks["kafka"], config.clusters["demo"]
    assert isinstance(kafka, KafkaSettings) and config.http  # noqa: S101  # the shipped file has them
    async with contextlib.AsyncExitStack() as stack:
        if own_broker:  # first: where there is none, it is said at once
            await stack.enter_async_context(embedded_broker(int(cluster.bootstrap_servers.rpartition(":")[2])))
        _say("drawing the clip that the camera shows: three portraits that move about a plain room")
        clip = await asyncio.to_thread(drawn_clip)
        await stack.enter_async_context(_camera(source.path.strip("/"), clip, source.port or 554))
        url = f"http://{config.http.host}:{config.http.port}"
        service = f"{url}/face-detector-face-fitter/v2/process/image"
        opens_page = _has_screen()
        _say(f"page      {url}/  ({'your browser opens it' if opens_page else 'open it in a browser'})")
        _say(f"camera    {source.geturl()}  (any player shows it, or: ffplay -rtsp_transport tcp URL)")
        _say(f"broker    {cluster.bootstrap_servers}, topic {kafka.topic}")
        _say(f"status    {url}/status")
        _say(f"a photo   curl -s -F image=@{PHOTO} {service} | python3 -c {SHOW_OBJECTS!r}")
        _say("Ctrl-C ends all of it. Documents, as a consumer of the topic gets them:")
        if seconds is not None:
            loop.call_later(seconds, stop.set)
        try:
            async with asyncio.TaskGroup() as group:
                beside = [group.create_task(_print_documents(kafka.topic, cluster.bootstrap_servers))]
                if opens_page:
                    beside.append(group.create_task(_open_page(config.http.host, config.http.port, url)))
                await App(config).run(stop)
                for task in beside:
                    task.cancel()
        except BaseExceptionGroup as group_of_errors:
            if known := group_of_errors.subgroup(VisagedError):
                raise known.exceptions[0] from group_of_errors
            raise


@contextlib.asynccontextmanager
async def _camera(path: str, clip: Clip, port: int) -> AsyncIterator[None]:
    """Raises ConfigError where another program has taken the port since it was found to be free."""
    camera = Camera({path: clip}, port=port)
    try:
        await camera.start()
    except OSError as err:
        raise ConfigError(f"the camera can't listen on {HOST}:{port}: {err.strerror}; begin the demo again") from err
    try:
        yield
    finally:
        await camera.stop()


def _has_screen() -> bool:
    """Somebody sits before it: in a terminal of a desktop. Elsewhere a browser may be one for the terminal itself."""
    return sys.stdout.isatty() and any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


async def _open_page(host: str, port: int, url: str) -> None:
    """Once there is an answer."""
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
            await asyncio.to_thread(webbrowser.open, url)
            return
        await asyncio.sleep(PAGE_WAIT_S)


SHOW_OBJECTS = "import json, sys; print(json.dumps(json.load(sys.stdin)['objects'], indent=1))"


async def _print_documents(topic: str, servers: str) -> None:
    from aiokafka import AIOKafkaConsumer

    from sinks.kafka_client import start

    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=servers, auto_offset_reset="earliest", enable_auto_commit=False
    )
    try:
        await start(consumer)
        async for message in consumer:
            _say(_line(parse(message.value)))
    finally:
        await consumer.stop()


def _line(document: Members) -> str:
    """A document in one readable line."""
    stream = document["stream"]
    faces = "; ".join(_face(obj) for obj in document["objects"]) or "no face"
    return f"{stream['captured_at']} {stream['id']} frame {stream['frame']}: {faces}"


def _face(obj: Members) -> str:
    left, top, right, bottom = obj["bbox"]
    pose = obj["pose"]
    return (
        f"{obj['class']} {obj['id']} {obj['confidence']:.2f} at {(left + right) / 2:.2f},{(top + bottom) / 2:.2f} "
        f"yaw {pose['yaw']:+.0f} pitch {pose['pitch']:+.0f} roll {pose['roll']:+.0f}"
    )


def _config(broker: str | None, state_dir: Path) -> Config:
    """The shipped one, in which cameras of this machine can be added on the page, and events are kept in `state_dir`.

    A port that another program has is replaced by a free one. Only warnings are logged: more would hide the addresses.
    """
    config = load(CONFIG)
    cluster, source = config.clusters["demo"], urlsplit(config.streams["camera"].source)
    assert config.http and source.port  # noqa: S101  # the shipped file has them
    camera_port = _free_port(source.port)
    broker_port = _free_port(int(cluster.bootstrap_servers.rpartition(":")[2]))
    overrides: dict[str, Any] = {
        "state_dir": str(state_dir),
        "history": {},
        "log": {"level": "warning"},
        "http": {"port": _free_port(config.http.port), "run_time": {"networks": [*PRIVATE, THIS_MACHINE]}},
        "streams": {"camera": {"source": source._replace(netloc=f"{HOST}:{camera_port}").geturl()}},
        "clusters": {"demo": {"bootstrap_servers": broker or f"{HOST}:{broker_port}"}},
    }
    return load(CONFIG, overrides).model_copy(update={"state_dir": state_dir})  # VISAGED_STATE_DIR may be a daemon's


def _free_port(wanted: int) -> int:
    """`wanted`, or one that is free."""
    for port in (wanted, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            free: int = probe.getsockname()[1]
            return free
    raise ConfigError(f"no port of {HOST} is free")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
