"""What the sinks' common tests need of each sink: one of its own, what a reader sees of it, and ways to break it."""

import asyncio
import contextlib
import gzip
import os
import resource
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import cramjam

from sinks.base import Record, Sink
from sinks.file import FileSettings, FileSink
from sinks.kafka import KafkaSink
from sinks.kafka_settings import KafkaCluster, KafkaSettings, NewTopic
from sinks.mqtt import MqttSink
from sinks.rotation import PART, RotationSettings
from sinks.stdout import StdoutSettings, StdoutSink
from sinks.webhook import WebhookSink
from sinks.webhook_settings import WebhookSettings
from tests.brokers import Proxy, new_topic, records_of
from tests.mqtt import Listener, mqtt_settings
from tests.sinks.receiver import Receiver
from tests.worked import text_of


def filled_and(path: Path) -> list[Path]:
    """The files that a file sink has filled, the oldest first, and the one that it writes to."""
    return [*sorted(one for one in path.parent.glob(f"{path.stem}-*") if one.suffix != PART), path]


def content(path: Path) -> bytes:
    """Decompressed."""
    data = path.read_bytes()
    match path.suffix:
        case ".gz":
            return gzip.decompress(data)
        case ".zst":
            return bytes(cramjam.zstd.decompress(data))
    return data


@contextlib.contextmanager
def full_from(size: int) -> Iterator[None]:
    """As on a full disk: no file of this process gets larger."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class Bench(Protocol):
    passes: bool
    """Whether what break_() does may pass, so that the sink's error is retriable."""
    bad: Record
    """A record that the sink refuses."""

    def sink(self) -> Sink:
        """A new one, with the same place to write to."""

    async def values(self) -> list[bytes]:
        """What a reader sees."""

    async def break_(self) -> None:
        """From here on a write of more than a few bytes fails."""

    async def mend(self) -> None: ...

    def hang(self) -> None:
        """From here on a large write waits for long."""


class KafkaBench:
    passes = True
    bad = Record("door", b"x" * 20_000)

    def __init__(self, servers: str, proxy: Proxy, *, idempotent: bool) -> None:
        self._servers = servers
        self._proxy = proxy
        self._settings = KafkaSettings(
            type="kafka",
            topic=new_topic(),
            create_topic=NewTopic(),
            idempotent=idempotent,
            max_record_bytes=10_000,
        )
        self._cluster = KafkaCluster(bootstrap_servers=proxy.address, request_timeout=3.0)

    def sink(self) -> KafkaSink:
        return KafkaSink(self._settings, self._cluster)

    async def values(self) -> list[bytes]:
        return [record.value for record in await records_of(self._servers, self._settings.topic)]

    async def break_(self) -> None:
        self._proxy.cut()

    async def mend(self) -> None:
        await self._proxy.restore()

    def hang(self) -> None:
        self._proxy.stall()


class FileBench:
    passes = True
    bad = Record("door", b"two\nlines")

    def __init__(self, path: Path, rotate: RotationSettings | None = None) -> None:
        self.path = path
        self._settings = FileSettings(type="file", path=path, rotate=rotate)
        self._limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def sink(self) -> FileSink:
        return FileSink(self._settings)

    async def values(self) -> list[bytes]:
        return [line for path in filled_and(self.path) for line in content(path).splitlines()]

    async def break_(self) -> None:
        """As on a full disk: a few bytes still get in, which is the start of a line."""
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.path.stat().st_size + 3, self._limits[1]))

    async def mend(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._limits)

    def hang(self) -> None:
        """Nothing makes a local disk hang: its writes are only slow when they are large."""


class FolderBench:
    """Of the sink that docs/extending.md shows, from the page."""

    passes = True
    bad = Record("door", b"", tombstone=True)

    def __init__(self, folder: Path) -> None:
        module = folder / "folder.py"
        module.write_text(text_of("sinks/folder.py"), encoding="utf-8")
        self._example = runpy.run_path(str(module))
        self._path = folder / "documents"
        self._path.mkdir()
        self._limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def sink(self) -> Sink:
        sink: Sink = self._example["FolderSink"](self._example["FolderSettings"](type="folder", path=self._path))
        return sink

    async def values(self) -> list[bytes]:
        return [path.read_bytes() for path in sorted(self._path.glob("*.json"))]

    async def break_(self) -> None:
        """As on a full disk: only the start of a file gets in."""
        resource.setrlimit(resource.RLIMIT_FSIZE, (3, self._limits[1]))

    async def mend(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._limits)

    def hang(self) -> None:
        """As for a file."""


class WebhookBench:
    passes = True
    bad = Record("door", b"bad")

    def __init__(self, receiver: Receiver, batch: int) -> None:
        self._receiver = receiver
        self._settings = WebhookSettings(type="webhook", url=receiver.url, batch=batch, timeout=5.0)

    def sink(self) -> WebhookSink:
        return WebhookSink(self._settings)

    async def values(self) -> list[bytes]:
        """None of the suite's has a comma."""
        return [value for body in self._receiver.taken for value in body.strip(b"[]").split(b",")]

    async def break_(self) -> None:
        await self._receiver.stop()

    async def mend(self) -> None:
        self._receiver.reads.set()
        await self._receiver.start()

    def hang(self) -> None:
        self._receiver.reads.clear()


class MqttBench:
    passes = True
    bad = Record("door", b"x" * 20_000)

    def __init__(self, listener: Listener, proxy: Proxy) -> None:
        self._listener = listener
        self._proxy = proxy
        port = int(proxy.address.rpartition(":")[2])
        self._settings = mqtt_settings(port, max_record_bytes=10_000, timeout=3.0)

    def sink(self) -> MqttSink:
        return MqttSink(self._settings)

    async def values(self) -> list[bytes]:
        await self._listener.quiet()
        return [message.payload for message in self._listener.heard]

    async def break_(self) -> None:
        self._proxy.cut()

    async def mend(self) -> None:
        await self._proxy.restore()

    def hang(self) -> None:
        self._proxy.stall()


class StdoutBench(asyncio.Protocol):
    """A pipe in standard output's place; reads what comes, until it is told to hang."""

    passes = False
    bad = Record("door", b"two\nlines")

    def __init__(self) -> None:
        self._got = bytearray()
        self._pipe: asyncio.ReadTransport | None = None
        self._write_end = -1

    async def start(self) -> None:
        read_end, self._write_end = os.pipe()
        loop = asyncio.get_running_loop()
        self._pipe, _ = await loop.connect_read_pipe(lambda: self, os.fdopen(read_end, "rb"))

    async def stop(self) -> None:
        await self.break_()
        os.close(self._write_end)

    def sink(self) -> StdoutSink:
        return StdoutSink(StdoutSettings(type="stdout"), self._write_end)

    async def values(self) -> list[bytes]:
        await asyncio.sleep(0.05)  # what has been written is in the pipe
        return bytes(self._got).splitlines()

    async def break_(self) -> None:
        """The reader goes away."""
        assert self._pipe is not None
        self._pipe.close()
        await asyncio.sleep(0.01)

    async def mend(self) -> None:
        """It reads on, if it is still there."""
        assert self._pipe is not None
        self._pipe.resume_reading()

    def hang(self) -> None:
        assert self._pipe is not None
        self._pipe.pause_reading()

    def data_received(self, data: bytes) -> None:
        self._got += data
