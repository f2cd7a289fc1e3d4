"""The consumers that the docs show, on records as the daemon makes them."""

import asyncio
import json
import sys

from aiokafka import AIOKafkaProducer

from daemon.work.documents import Documents
from processors.types import Box, Frame, Object, Sample
from sinks.base import Record
from tests.brokers import new_topic
from tests.wire.test_schemas import FOLDER
from tests.work.scenes import PICTURE, box
from tests.worked import ROOT


def document(index: int) -> Record:
    frame = Frame.of(PICTURE, index=index, pts=index / 10, captured_at=1_700_000_000.0 + index)
    return Documents("entrance", {Box})(Sample(frame, [Object("face", box(100, 100))]), "run-1")


async def test_a_consumer_prints_what_keeps_its_schema_and_ends_at_what_does_not(embedded: str) -> None:
    topic, right = new_topic(), [document(index) for index in range(3)]
    async with AIOKafkaProducer(bootstrap_servers=embedded) as producer:
        for record in right:
            await producer.send_and_wait(topic, record.value, headers=list(record.headers))
        wrong = json.loads(right[0].value) | {"objects": [{"class": "cat"}]}
        await producer.send_and_wait(topic, json.dumps(wrong).encode(), headers=list(right[0].headers))
    consumer = await asyncio.create_subprocess_exec(
        sys.executable,
        ROOT / "docs" / "consumers" / "consumer.py",
        *(embedded, topic, FOLDER),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(consumer.communicate(), 60)
    assert [json.loads(line) for line in out.splitlines()] == [json.loads(record.value) for record in right]
    assert consumer.returncode != 0
    assert b"ValidationError" in err
