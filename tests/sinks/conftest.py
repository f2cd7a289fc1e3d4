from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from sinks.rotation import RotationSettings
from tests.brokers import Proxy
from tests.sinks.benches import Bench, FileBench, FolderBench, KafkaBench, StdoutBench, WebhookBench
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
        *("webhook_bench", "webhook_bench_with_batches"),
    ]
)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    yield request.getfixturevalue(request.param)
