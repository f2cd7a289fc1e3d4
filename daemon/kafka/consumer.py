"""Frames from Kafka: a member of a consumer group, and the partitions that the group gives it."""

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import (
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    TopicAuthorizationFailedError,
)

from daemon.errors import SourceError
from daemon.flow.engine import Lane
from daemon.flow.pipeline import Work
from daemon.flow.receipts import Counts
from daemon.flow.spans import Tracer
from daemon.flow.timing import Timing
from daemon.kafka.brokers import WATCH_S, BrokerWatch
from daemon.kafka.partition import Commits, Partition, Session, words_of
from daemon.kafka.records import RecordCounts
from daemon.kafka.settings import EXACTLY_ONCE, ConsumerSettings
from sinks.base import SinkError
from sinks.kafka_batches import read_any_batch
from sinks.kafka_client import check_connection, client_arguments, create_topic, end_consumer, missing_topics, start
from sinks.kafka_settings import KafkaCluster, NewTopic

POLL_MS = 50
FETCH_BYTES = 16 * 1024 * 1024  # read ahead, from each broker
REVOCATION_GRACE_S = 2.0  # a member whose callbacks take longer than the session timeout is evicted
REBALANCE_TIMEOUT_S = 30.0
METADATA_S = 30.0  # after which new partitions are seen
LONGEST_PAUSE_S = 24 * 3600  # without a poll, as while a sink is away; heartbeats keep the membership


ConsumerState = Literal["connecting", "standby", "stalled", "running"]


class Guarantee(Protocol):
    """When a record counts as done (`delivery` in the settings). Made for each run of a consumer."""

    topics: Sequence[str]
    """Topics that the sessions write to themselves: they must be there before the run begins."""

    async def run(self) -> None:
        """Carries what the sessions share, if anything, until close(). Raises SinkError."""

    @property
    def letters_error(self) -> str | None:
        """Why dead letters can't be written; None: they can, or a session's end would say."""

    async def close(self) -> None: ...
    def commits(self, session: Session) -> Commits: ...


class Consumer:
    """Carries the records of some topics. run() may be called again after it has raised SourceError."""

    def __init__(
        self,
        name: str,
        settings: ConsumerSettings,
        cluster: KafkaCluster,
        *,
        make_work: Callable[[str, str, str], Work],
        make_guarantee: Callable[[], Guarantee],
        lane: Lane,
        window: int,
        timing: Timing | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self.name = name
        self.timing = timing or Timing()
        self.waits: None = None  # as a camera may, which sends and shows nothing
        self.counts: Counts = RecordCounts()
        self.letters = Counts()
        """Dead letters."""
        self.partitions: dict[TopicPartition, Partition] = {}
        self._settings = settings
        self._cluster = cluster
        self._make_work = make_work
        self._make_guarantee = make_guarantee
        self._guarantee: Guarantee | None = None
        self._lane = lane
        self._window = window
        self._tracer = tracer
        self._brokers = BrokerWatch(name, settings, cluster)  # of a run
        self._new_topics: set[str] = set()  # which were gone once, or made by us: none of their records is old
        self._stopping = asyncio.Event()
        self._room = asyncio.Event()

    @property
    def error(self) -> str | None:
        """What stands between records and their commits, with what can be done about it; None: nothing."""
        if self._brokers.error:
            return self._brokers.error
        obstacles = [(tp, why) for tp, partition in self.partitions.items() if (why := partition.obstacle)]
        if not obstacles:
            return None
        (tp, why), others = obstacles[0], len(obstacles) - 1
        return f"{tp.topic}-{tp.partition}: {why}" + (f" (and {others} other partitions)" if others else "")

    @property
    def letters_error(self) -> str | None:
        """Why dead letters can't be written; None: they can."""
        return self._guarantee.letters_error if self._guarantee else None

    @property
    def state(self) -> ConsumerState:
        """Of run(): `running` only while all partitions that are ours are open and nothing is in their way.

        `standby`: the group has given us none; `stalled`: something stands between a partition and its next commit.
        """
        if self._brokers.error or not self._brokers.joined:
            return "connecting"
        if not self.partitions:
            return "standby"
        if self.error:
            return "stalled"
        return "running" if all(partition.is_open for partition in self.partitions.values()) else "connecting"

    @property
    def is_ready(self) -> bool:
        """Whether it does what it is there for, be that to stand by."""
        return self.state in ("running", "standby")

    async def run(self) -> None:
        """Until stop(), or raises SourceError. What is under way then goes on to the sinks first."""
        self._guarantee = guarantee = self._make_guarantee()
        try:
            arguments = await client_arguments(self._cluster)
            await check_connection(self._cluster, arguments, idempotent=self._settings.delivery == EXACTLY_ONCE)
            await self._see_to_topics(arguments, guarantee)
            await self._carry(arguments, guarantee)
        except (SinkError, KafkaError) as err:
            raise SourceError(words_of(err)) from err
        except BaseExceptionGroup as group:
            if known := group.subgroup((SinkError, KafkaError)):
                raise SourceError(words_of(known)) from group
            raise
        finally:
            self._brokers = BrokerWatch(self.name, self._settings, self._cluster)
            self._guarantee = None

    def stop(self) -> None:
        """Reads no more; run() returns when what is under way has gone to the sinks and is committed."""
        self._stopping.set()

    async def _carry(self, arguments: dict[str, Any], guarantee: Guarantee) -> None:
        settings = self._settings
        read_any_batch()
        consumer = AIOKafkaConsumer(
            **arguments,
            group_id=settings.group,
            enable_auto_commit=False,
            auto_offset_reset="none",  # where to begin is seen to by each partition, and is said
            isolation_level="read_committed",
            session_timeout_ms=round(settings.session_timeout * 1000),
            heartbeat_interval_ms=round(settings.session_timeout * 1000 / 5),
            rebalance_timeout_ms=round(REBALANCE_TIMEOUT_S * 1000),
            max_poll_interval_ms=LONGEST_PAUSE_S * 1000,
            fetch_max_bytes=FETCH_BYTES,
            metadata_max_age_ms=round(METADATA_S * 1000),
        )
        try:
            await start(consumer)
            async with asyncio.TaskGroup() as group:
                group.create_task(guarantee.run())
                try:
                    consumer.subscribe(pattern=_pattern(settings.topics), listener=_Listener(self, consumer, guarantee))
                    reading = group.create_task(self._read(consumer))
                    watching = group.create_task(self._watch(consumer, arguments))
                    await self._stopping.wait()
                    reading.cancel()
                    watching.cancel()
                    await self._close(list(self.partitions), grace=None)
                finally:
                    await self._close(list(self.partitions), grace=0.0)
                    await guarantee.close()
        finally:
            await end_consumer(consumer)
            await self._close(list(self.partitions), grace=0.0)  # the group may have given us some meanwhile

    async def _see_to_topics(self, arguments: dict[str, Any], guarantee: Guarantee) -> None:
        """Creates missing topics where the settings say so, else raises SourceError with their names; or SinkError."""
        settings = self._settings
        topics = list(dict.fromkeys([*settings.topics, *guarantee.topics, settings.dead_letters.topic]))
        missing = await missing_topics(topics, self._cluster, arguments)
        if missing and settings.create_topics is None:
            names = ", ".join(missing)
            raise SourceError(f"expected topics that are there, got {names}: see `create_topics`")
        for topic in missing:
            await create_topic(topic, settings.create_topics or NewTopic(), self._cluster, arguments)
        self._new_topics.update(missing)
        while missing:  # until the brokers have told each other
            await asyncio.sleep(POLL_MS / 1000)
            missing = await missing_topics(missing, self._cluster, arguments)

    async def _watch(self, consumer: AIOKafkaConsumer, arguments: dict[str, Any]) -> None:
        while True:
            await asyncio.sleep(WATCH_S)
            await self._brokers.look(consumer, arguments)
            self._new_topics.update(self._brokers.missing(consumer))
            for partition in list(self.partitions.values()):
                await partition.look(self._brokers.ends.get(partition.tp))

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        """Only partitions with room are asked for: what has none is not read, and the broker keeps it."""
        most = self._settings.max_pending // 2
        while True:
            ready = [tp for tp, partition in self.partitions.items() if partition.room >= most]
            if not ready:
                self._room.clear()
                await self._room.wait()
                continue
            # Its first step back is ours: nothing else has run since the records were taken from the fetcher.
            try:
                batches = await consumer.getmany(*ready, timeout_ms=POLL_MS, max_records=most)
            except OffsetOutOfRangeError as err:
                for tp, offset in err.args[0].items():
                    if partition := self.partitions.get(tp):
                        partition.miss(offset)
                continue
            except TopicAuthorizationFailedError as err:
                for tp, partition in self.partitions.items():
                    if tp.topic in err.args:
                        partition.refuse(err)
                continue
            except NoOffsetForPartitionError:
                continue  # asked for before a rebalance; its new opening sees to where it begins
            for tp, records in batches.items():
                if partition := self.partitions.get(tp):
                    for record in records:
                        partition.take(record)

    def assigned(self, consumer: AIOKafkaConsumer, tps: Sequence[TopicPartition], guarantee: Guarantee) -> None:
        """All that are ours now, some perhaps from before; none, where the group has more members than partitions."""
        self._brokers.waits_since = None
        for tp in tps:
            if self._stopping.is_set() or tp in self.partitions:
                continue
            self.partitions[tp] = Partition(
                tp,
                consumer,
                self._settings,
                counts=self.counts,
                letters=self.letters,
                make_work=self._make_work,
                make_commits=guarantee.commits,
                lane=self._lane,
                window=self._window,
                timing=self.timing,
                answer_timeout=self._cluster.request_timeout,
                on_room=self._room.set,
                is_new=tp.topic in self._new_topics,
                tracer=self._tracer,
            )

    async def revoked(self, tps: Sequence[TopicPartition]) -> None:
        """The group shares them out anew."""
        self._brokers.waits_since = time.monotonic()
        await self._close(tps, grace=REVOCATION_GRACE_S)

    async def _close(self, tps: Sequence[TopicPartition], grace: float | None) -> None:
        closing = [partition for tp in tps if (partition := self.partitions.get(tp))]
        await asyncio.gather(*(partition.close(grace) for partition in closing))
        for partition in closing:
            self.partitions.pop(partition.tp, None)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """aiokafka only logs errors of these callbacks; one that takes long gets the member evicted."""

    def __init__(self, owner: Consumer, consumer: AIOKafkaConsumer, guarantee: Guarantee) -> None:
        self._owner = owner
        self._consumer = consumer
        self._guarantee = guarantee

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        await self._owner.revoked(list(revoked))

    def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        self._owner.assigned(self._consumer, sorted(assigned), self._guarantee)


def _pattern(topics: Sequence[str]) -> str:
    """Of exactly these. A consumer that subscribes to names asks for them, and many brokers make what is asked for."""
    return f"^(?:{'|'.join(map(re.escape, topics))})$"
