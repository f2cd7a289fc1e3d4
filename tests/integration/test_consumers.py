"""The consumers that the docs show, on records as the daemon makes them."""

import asyncio
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from daemon.work.documents import Documents
from processors.types import Box, Frame, Object, Sample
from sinks.base import Record
from tests.brokers import new_topic
from tests.fetched import jars, node_modules, tool
from tests.wire.test_schemas import FOLDER
from tests.work.scenes import PICTURE, box
from tests.worked import ROOT

CONSUMERS = ROOT / "docs" / "consumers"


def document(index: int) -> Record:
    frame = Frame.of(PICTURE, index=index, pts=index / 10, captured_at=1_700_000_000.0 + index)
    return Documents("entrance", {Box})(Sample(frame, [Object("face", box(100, 100))]), "run-1")


def python(folder: Path) -> list[str | Path]:
    return [sys.executable, CONSUMERS / "consumer.py"]


def node(folder: Path) -> list[str | Path]:
    """Node looks for packages beside the script that imports them."""
    (folder / "node_modules").symlink_to(node_modules(CONSUMERS / "package-lock.json"))
    return [tool("node"), shutil.copy(CONSUMERS / "consumer.mjs", folder)]


def java(folder: Path) -> list[str | Path]:
    options = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{jars(CONSUMERS / 'pom.xml')}/*"]
    return [tool("java"), *options, CONSUMERS / "Consumer.java"]


async def test_a_topic_that_does_not_exist_yet_is_waited_for_and_it_is_said(embedded: str, tmp_path: Path) -> None:
    topic, record = new_topic(), document(0)
    consumer = await asyncio.create_subprocess_exec(
        *(*python(tmp_path), embedded, topic, FOLDER), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert consumer.stderr is not None
    assert consumer.stdout is not None
    async with asyncio.timeout(30):
        assert (await consumer.stderr.readline()).startswith(b"there is no topic %s yet" % topic.encode())
        async with AIOKafkaProducer(bootstrap_servers=embedded) as producer:
            await producer.send_and_wait(topic, record.value, headers=list(record.headers))
        assert json.loads(await consumer.stdout.readline()) == json.loads(record.value)
    consumer.terminate()
    await consumer.communicate()


@pytest.mark.parametrize(
    ("command", "said"),
    [(python, b'On instance["objects"][0]'), (node, b"not valid: data/objects/0"), (java, b"not valid: [/objects/0")],
    ids=["python", "node", "java"],
)
async def test_a_consumer_prints_what_keeps_its_schema_and_ends_at_what_does_not(
    command: Callable[[Path], list[str | Path]], said: bytes, embedded: str, tmp_path: Path
) -> None:
    topic, right = new_topic(), [document(index) for index in range(3)]
    async with AIOKafkaProducer(bootstrap_servers=embedded) as producer:
        for record in right:
            await producer.send_and_wait(topic, record.value, headers=list(record.headers))
        wrong = json.loads(right[0].value) | {"objects": [{"class": "cat"}]}
        await producer.send_and_wait(topic, json.dumps(wrong).encode(), headers=list(right[0].headers))
    consumer = await asyncio.create_subprocess_exec(
        *(*command(tmp_path), embedded, topic, FOLDER),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(consumer.communicate(), 60)
    assert said in err
    assert [json.loads(line) for line in out.splitlines()] == [json.loads(record.value) for record in right]
    assert consumer.returncode == 1
