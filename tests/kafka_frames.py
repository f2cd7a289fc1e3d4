"""Frames that go through Kafka, and what must come out: shared by the tests of consumers and by the fault runs."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import cv2
import numpy as np
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete

from tests.brokers import new_topic, records_of

SESSION_TIMEOUT_S = 6  # the least that brokers take, unless they are told otherwise
CHEAP = {"face_detector": {"close_ups": False, "smallest_face": 60}}
"""A millisecond for a strip of a picture, where the network's input is 320 x 32."""


class Place(NamedTuple):
    topic: str
    partition: int
    offset: int


def strip(number: int) -> bytes:
    """A picture's file; no two neighbours are alike."""
    return cv2.imencode(".png", np.full((4, 40, 3), number % 251, np.uint8))[1].tobytes()


@dataclass
class Frames:
    """Topics of one run, and what was sent."""

    servers: str
    partitions: int = 4
    source: str = field(default_factory=lambda: f"{new_topic()}-in")
    out: str = field(default_factory=lambda: f"{new_topic()}-out")
    dead: str = field(default_factory=lambda: f"{new_topic()}-dead")
    group: str = field(default_factory=new_topic)
    sent: dict[Place, str] = field(default_factory=dict)
    """Keys by place."""

    async def create(
        self,
        out_configs: dict[str, str] | None = None,
        source_configs: dict[str, str] | None = None,
        dead_configs: dict[str, str] | None = None,
    ) -> None:
        source = NewTopic(self.source, self.partitions, 1, topic_configs=source_configs or {})
        dead = NewTopic(self.dead, 1, 1, topic_configs=dead_configs or {})
        out = NewTopic(self.out, self.partitions, 1, topic_configs=out_configs or {})
        await self._administer(lambda admin: admin.create_topics([source, out, dead]))

    async def send(
        self,
        values: Iterable[tuple[str | None, bytes | None]],
        per_second: float | None = None,
        headers: Sequence[tuple[str, bytes | None]] = (),
        timestamp_ms: int | None = None,
    ) -> None:
        """In order within each key; `per_second`: spread over time."""
        async with AIOKafkaProducer(
            bootstrap_servers=self.servers, acks="all", max_request_size=20_000_000
        ) as producer:
            sent = []
            for number, (key, value) in enumerate(values):
                future = await producer.send(
                    self.source, value, key.encode() if key else None, headers=headers, timestamp_ms=timestamp_ms
                )
                sent.append((key or "", future))
                if per_second and number % 20 == 19:
                    await asyncio.sleep(20 / per_second)
            for key, future in sent:
                got = await future
                self.sent[Place(got.topic, got.partition, got.offset)] = key

    def pictures(self, count: int, keys: int, seed: int = 0) -> list[tuple[str | None, bytes | None]]:
        draw = random.Random(seed)  # noqa: S311  # no secret
        return [(f"camera-{draw.randrange(keys)}", strip(number)) for number in range(count)]

    def configuration(self, delivery: str = "at_least_once", **consumer: Any) -> dict[str, Any]:
        """Of a daemon that reads them."""
        settings = {
            "topics": [self.source],
            "group": self.group,
            "chain": ["face-detector"],
            "delivery": delivery,
            "dead_letters": {"topic": self.dead},
            "session_timeout": SESSION_TIMEOUT_S,
            **consumer,
        }
        return {
            "http": None,
            "clusters": {"own": {"bootstrap_servers": self.servers}},
            "processors": CHEAP,
            "consumers": {"frames": settings},
            "sinks": {"out": {"type": "kafka", "topic": self.out}},
        }

    async def committed(self) -> int:
        """Records that the group has behind it."""
        async with self.onlooker() as onlooker:
            return await self.committed_as_seen_by(onlooker)

    def onlooker(self) -> AIOKafkaConsumer:
        """One that asks about the group and takes no part in it."""
        return AIOKafkaConsumer(bootstrap_servers=self.servers, group_id=self.group, enable_auto_commit=False)

    async def committed_as_seen_by(self, onlooker: AIOKafkaConsumer) -> int:
        partitions = [TopicPartition(self.source, number) for number in range(self.partitions)]
        return sum([await onlooker.committed(partition) or 0 for partition in partitions])

    async def commit(self, offset: int, partition: int = 0) -> None:
        """As if the group had been there."""
        async with self.onlooker() as onlooker:
            place = TopicPartition(self.source, partition)
            onlooker.assign([place])
            await onlooker.commit({place: offset})

    async def add_partitions(self, total: int) -> None:
        await self._administer(lambda admin: admin.create_partitions({self.source: NewPartitions(total)}))
        self.partitions = total

    async def delete(self) -> None:
        await self._administer(lambda admin: admin.delete_topics([self.source]))

    async def topics(self) -> Sequence[str]:
        """All of the cluster."""
        names: list[str] = []

        async def look(admin: AIOKafkaAdminClient) -> None:
            names.extend(await admin.list_topics())

        await self._administer(look)
        return names

    async def create_anew(self, partitions: int) -> None:
        """The topic of the frames alone."""
        await self._administer(lambda admin: admin.create_topics([NewTopic(self.source, partitions, 1)]))
        self.partitions = partitions
        self.sent.clear()

    async def _administer(self, act: Callable[[AIOKafkaAdminClient], Awaitable[object]]) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.servers)
        await admin.start()
        try:
            await act(admin)
        finally:
            await admin.close()

    async def delete_before(self, offset: int, partition: int = 0) -> None:
        """As retention does."""
        records = {TopicPartition(self.source, partition): RecordsToDelete(offset)}
        await self._administer(lambda admin: admin.delete_records(records))

    async def results(self) -> list[ConsumerRecord]:
        return await records_of(self.servers, self.out, isolation_level="read_committed")

    async def dead_letters(self) -> list[ConsumerRecord]:
        return await records_of(self.servers, self.dead, isolation_level="read_committed")


def place_of(record: ConsumerRecord) -> Place:
    headers = dict(record.headers)
    topic, partition, offset = (headers[f"visaged-source-{part}"] for part in ("topic", "partition", "offset"))
    return Place(topic.decode(), int(partition), int(offset))


def error_of(record: ConsumerRecord) -> tuple[str, str]:
    headers = dict(record.headers)
    return headers["visaged-error-type"].decode(), headers["visaged-error"].decode()


def keys_in_order(results: Sequence[ConsumerRecord]) -> dict[str, list[Place]]:
    """In each key's order in the topic."""
    found: dict[str, list[Place]] = {}
    for record in sorted(results, key=lambda record: (record.partition, record.offset)):
        found.setdefault(record.key.decode(), []).append(place_of(record))
    return found


class Tally(NamedTuple):
    """What came of the records that were sent."""

    missing: int
    doubled: int
    foreign: int
    """Results of nothing that was sent, or under another key."""
    out_of_order: int
    """First results of a frame that come behind the first of a later one of its key."""


def tally(sent: dict[Place, str], results: Sequence[ConsumerRecord]) -> Tally:
    counted = Counter(place_of(record) for record in results)
    foreign = sum(sent.get(place_of(record)) != record.key.decode() for record in results)
    out_of_order = 0
    for places in keys_in_order(results).values():
        first = list(dict.fromkeys(places))
        out_of_order += sum(later < earlier for earlier, later in pairwise(first))
    return Tally(
        missing=len(sent.keys() - counted.keys()),
        doubled=sum(count - 1 for count in counted.values()),
        foreign=foreign,
        out_of_order=out_of_order,
    )
