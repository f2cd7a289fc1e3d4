"""Whether brokers, topics and group are there: aiokafka tells nobody when it has lost them, and tries for ever."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from daemon.kafka.settings import ConsumerSettings
from sinks.base import SinkError
from sinks.kafka_client import check_connection, committed_offsets, raise_for_group, refresh_metadata, words
from sinks.kafka_settings import KafkaCluster

log = logging.getLogger(__name__)

WATCH_S = 2.0
SILENCE_S = 3.0  # a broker answers each request for records within 0.5 s, also where there are none
ANSWER_S = 2.5  # so that a silence is told within ten seconds
JOIN_S = 6.0


class BrokerWatch:
    """Of one run of a consumer. Looks every WATCH_S seconds; what has changed is logged."""

    def __init__(self, name: str, settings: ConsumerSettings, cluster: KafkaCluster) -> None:
        self.error: str | None = None
        """What stands between the consumer and its partitions, with what can be done about it; None: nothing."""
        self.waits_since: float | None = time.monotonic()
        """When the group began to share out the partitions; None: it has said which are ours."""
        self.ends: Mapping[TopicPartition, int] = {}
        """Of partitions of which nothing is asked, as all that is theirs waits to be worked on: where they end."""
        self._name = name
        self._settings = settings
        self._cluster = cluster

    @property
    def joined(self) -> bool:
        """Whether the group has said which partitions are ours."""
        return self.waits_since is None

    async def look(self, consumer: AIOKafkaConsumer, arguments: dict[str, Any]) -> None:
        """Raises KafkaError where the group refuses us."""
        raise_for_group(consumer)
        self._note(await self._obstacle(consumer, arguments) or await self._missing(consumer))

    def missing(self, consumer: AIOKafkaConsumer) -> Sequence[str]:
        """Topics that are gone."""
        return sorted(set(self._settings.topics) - consumer.subscription()) if self.joined else ()

    def _note(self, error: str | None) -> None:
        if error not in (None, self.error):
            log.warning("%s: %s", self._name, error)
        elif self.error and error is None:
            log.info("%s: over: %s", self._name, self.error)
        self.error = error

    async def _missing(self, consumer: AIOKafkaConsumer) -> str | None:
        if not (missing := self.missing(consumer)):
            return None
        await refresh_metadata(consumer)  # or one that is made anew would be seen late
        return f"expected topics that are there, got {', '.join(missing)}: deleted, or DESCRIBE is no longer allowed"

    async def _obstacle(self, consumer: AIOKafkaConsumer, arguments: dict[str, Any]) -> str | None:
        """Why brokers do not answer. Only those that have been silent are asked, over the connections that there are.

        They may be silent because nothing is asked of them: what was fetched still waits to be worked on. A member
        without partitions asks the group's coordinator.
        """
        heard = {tp: (consumer.last_poll_timestamp(tp) or 0) / 1000 for tp in consumer.assignment()}
        silent = sorted(tp for tp, at in heard.items() if time.time() - at > SILENCE_S)
        self.ends = {}
        if heard and not silent:
            return None
        try:
            async with asyncio.timeout(ANSWER_S):
                if silent:
                    self.ends = await consumer.end_offsets(silent)
                else:
                    await committed_offsets(consumer, [TopicPartition(self._settings.topics[0], 0)])
        except (KafkaError, TimeoutError) as err:
            return await self._reason(arguments, silent, err)
        if self.waits_since is not None and time.monotonic() - self.waits_since > JOIN_S:
            return (
                f"group {self._settings.group} has not said which partitions are ours: it waits for its other members"
            )
        return None

    async def _reason(
        self, arguments: dict[str, Any], silent: Sequence[TopicPartition], error: KafkaError | TimeoutError
    ) -> str:
        servers = self._cluster.bootstrap_servers
        try:
            async with asyncio.timeout(ANSWER_S):
                await check_connection(self._cluster, arguments, idempotent=False)
        except SinkError as err:
            return str(err)
        except TimeoutError:
            return f"{servers}: no answer in time"
        if isinstance(error, KafkaError) and not error.retriable:
            return words(error)
        if silent:
            names = ", ".join(f"{tp.topic}-{tp.partition}" for tp in silent)
            return f"{servers} answers, the brokers that have {names} do not"
        return f"{servers} answers, the coordinator of group {self._settings.group} does not"
