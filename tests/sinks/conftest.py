from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from sinks.rotation import RotationSettings
from tests.brokers import Proxy, free_port, proxy
from tests.mqtt import Mosquitto, listening, mosquitto
from tests.sinks.benches import Bench, FileBench, FolderBench, KafkaBench, MqttBench, StdoutBench, WebhookBench
from tests.sinks.receiver import Receiver


@pytest.fixture
def kafka_bench(embedded: str, embedded_proxy: Proxy) -> KafkaBench:
    return KafkaBench(embedded, embedded_proxy, idempotent=True)


@pytest.fixture
def kafka_bench_without_idempotence(embedded: str, embedded_proxy: Proxy) -> KafkaBench:
    return KafkaBench(embedded, embedded_proxy, idempotent=False)


@pytest.fixture
async def file_bench(tmp_path: Path) -> AsyncIterator[FileBench]:
    bench = FileBench(tmp_path / "documents.jsonl")
    yield bench
    await bench.mend()


@pytest.fixture
async def file_bench_with_rotation(tmp_path: Path) -> AsyncIterator[FileBench]:
    bench = FileBench(tmp_path / "documents.jsonl", RotationSettings(bytes=4000, every=None, compress="none"))
    yield bench
    await bench.mend()


@pytest.fixture
async def folder_bench(tmp_path: Path) -> AsyncIterator[FolderBench]:
    bench = FolderBench(tmp_path)
    yield bench
    await bench.mend()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    await receiver.start()
    yield receiver
    await receiver.stop()


@pytest.fixture
def webhook_bench(receiver: Receiver) -> WebhookBench:
    return WebhookBench(receiver, batch=1)


@pytest.fixture
def webhook_bench_with_batches(receiver: Receiver) -> WebhookBench:
    return WebhookBench(receiver, batch=100)


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path_factory.mktemp("mosquitto")) as broker:
        yield broker


@pytest.fixture
async def mqtt_bench(broker: Mosquitto) -> AsyncIterator[MqttBench]:
    async with (
        listening(broker.port, "visaged/documents/#") as listener,
        proxy(broker.address, free_port()) as between,
    ):
        yield MqttBench(listener, between)


@pytest.fixture
async def stdout_bench() -> AsyncIterator[StdoutBench]:
    bench = StdoutBench()
    await bench.start()
    yield bench
    await bench.stop()


@pytest.fixture(
    params=[
        *("kafka_bench", "kafka_bench_without_idempotence", "file_bench", "file_bench_with_rotation"),
        *("folder_bench", "stdout_bench"),
        *("webhook_bench", "webhook_bench_with_batches", "mqtt_bench"),
    ]
)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    yield request.getfixturevalue(request.param)
