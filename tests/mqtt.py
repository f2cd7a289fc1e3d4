"""Mosquitto, a real MQTT broker, and who listens at it."""

import asyncio
import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

from sinks.mqtt_client import Connection, Message
from sinks.mqtt_settings import MqttSettings
from tests.brokers import free_port

USER, PASSWORD = "visaged", "secret"


class Mosquitto:
    """A process of its own, without a disk: what is retained, and sessions, end with it."""

    def __init__(self, folder: Path, extra: Sequence[str] = ()) -> None:
        """`extra`: lines of its configuration beside the listener's address."""
        self.port = free_port()
        self._config = folder / "mosquitto.conf"
        lines = [
            f"listener {self.port} 127.0.0.1",
            "max_queued_messages 0",
            "user root",
            *(extra or ["allow_anonymous true"]),
        ]
        self._config.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        program = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin")
        assert program is not None, "expected mosquitto: see tests/install_debian"
        self._process = subprocess.Popen([program, "-c", str(self._config)], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert self._process.poll() is None, "mosquitto has ended"
                assert time.monotonic() < deadline
                time.sleep(0.02)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextlib.contextmanager
def mosquitto(folder: Path, extra: Sequence[str] = ()) -> Iterator[Mosquitto]:
    broker = Mosquitto(folder, extra)
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()


def mqtt_settings(port: int, **settings: Any) -> MqttSettings:
    return MqttSettings(**{"type": "mqtt", "host": "127.0.0.1", "port": port, **settings})


class Listener:
    """What a client of others hears; `retained` is what the broker would say to a new one."""

    def __init__(self, port: int) -> None:
        self.heard: list[Message] = []
        self.retained: dict[str, bytes] = {}
        self._connection = Connection(mqtt_settings(port), "listener", on_message=self._hear)

    async def listen(self, topics: Sequence[str]) -> None:
        await self._connection.open()
        await self._connection.subscribe(topics)

    async def say(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        await self._connection.answered(self._connection.publish(Message(topic, payload, retain)))

    async def quiet(self) -> None:
        """Nothing comes any more."""
        heard = -1
        while heard != len(self.heard):
            heard = len(self.heard)
            await asyncio.sleep(0.05)

    async def close(self) -> None:
        await self._connection.close()

    def _hear(self, message: Message) -> None:
        self.heard.append(message)
        if message.retain:
            self.retained[message.topic] = message.payload
            if not message.payload:
                del self.retained[message.topic]


@contextlib.asynccontextmanager
async def listening(port: int, *topics: str) -> AsyncIterator[Listener]:
    listener = Listener(port)
    await listener.listen(topics)
    try:
        yield listener
    finally:
        await listener.close()
