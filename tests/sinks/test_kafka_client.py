"""What is touched of aiokafka's inside is named here, is there, and is touched at one place alone."""

import ast
import asyncio
import gc
import re
from collections.abc import Iterator
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import AIOKafkaConnection

from sinks.kafka_client import start

ROOT = Path(__file__).parents[2]
HOME = "sinks/kafka_client.py"

PRIVATE = {
    "_sender": "of a producer: whose tasks end with it",
    "_message_accumulator": "of a producer: whose tasks end with it, and which gives batches up",
    "_batch_ttl": "of a message accumulator: seconds after which it gives a batch up",
    "_coordinator": "of a consumer: whose tasks end with it, which has the group's refusals and commits with metadata",
    "_fetcher": "of a consumer: whose tasks end with it",
    "_client": "of a consumer: whose connections are cut (a producer's is public); of an admin client: its controller",
    "_conns": "of a client: its connections",
    "_writer": "of a connection: its transport, which is cut",
}
"""Each with what it is needed for."""
NAMED_TUPLES = {"_replace"}


def private_attributes(path: Path) -> Iterator[str]:
    """Of others than the module's own objects."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            owner = node.value
            if not (isinstance(owner, ast.Name) and owner.id in ("self", "cls")):
                yield node.attr


def imports_aiokafka(path: Path) -> bool:
    return re.search(r"^ *(from|import) aiokafka\b", path.read_text(encoding="utf-8"), re.MULTILINE) is not None


def test_each_private_attribute_is_named() -> None:
    assert set(private_attributes(ROOT / HOME)) == PRIVATE.keys()


def test_nobody_else_touches_any() -> None:
    users = [path for folder in ("sinks", "daemon") for path in (ROOT / folder).rglob("*.py") if imports_aiokafka(path)]
    assert ROOT / HOME in users
    touching = {path.relative_to(ROOT).as_posix(): {*private_attributes(path)} - NAMED_TUPLES for path in users}
    assert {path for path, names in touching.items() if names} == {HOME}


async def test_they_are_there(embedded: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=embedded, enable_idempotence=True)
    consumer = AIOKafkaConsumer(bootstrap_servers=embedded, group_id="any")
    consumer.subscribe(["any"])
    async with producer, consumer:
        connections = list(producer.client._conns.values())
        assert connections
        owners: dict[str, list[object]] = {
            "_sender": [producer],
            "_message_accumulator": [producer],
            "_batch_ttl": [producer._message_accumulator],
            "_coordinator": [consumer],
            "_fetcher": [consumer],
            "_client": [consumer, AIOKafkaAdminClient()],
            "_conns": [producer.client, consumer._client],
            "_writer": connections,
        }
        assert owners.keys() == PRIVATE.keys()
        assert [name for name, them in owners.items() for one in them if not hasattr(one, name)] == []


async def test_a_start_that_is_cancelled_leaves_no_connection(embedded: str) -> None:
    """At whatever moment; pytest sees the warnings of those that are left."""
    for steps in range(12):
        producer = AIOKafkaProducer(bootstrap_servers=embedded)
        starting = asyncio.create_task(start(producer))
        await asyncio.sleep(0.0005 * steps)
        starting.cancel()
        await asyncio.wait([starting])
        await producer.stop()
    gc.collect()
    assert [conn for conn in gc.get_objects() if isinstance(conn, AIOKafkaConnection) and conn._writer] == []
