"""Whether the brokers of a consumer answer: aiokafka tells nobody that it has lost them, and tries for ever."""

import asyncio
import logging
import time
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from sinks.base import SinkError
from sinks.kafka_client import check_connection
from sinks.kafka_settings import KafkaCluster

log = logging.getLogger(__name__)

WATCH_S = 2.0
SILENCE_S = 3.0  # a broker answers each request for records within 0.5 s, also where there are none


class BrokerWatch:
    """Of one run of a consumer. Looks every WATCH_S seconds; what has changed is logged."""

    def __init__(self, name: str, cluster: KafkaCluster) -> None:
        self.error: str | None = None
        """Why they can't be reached; None while they can."""
        self._name = name
        self._cluster = cluster

    async def run(self, consumer: AIOKafkaConsumer, arguments: dict[str, Any]) -> None:
        """Until it is cancelled."""
        while True:
            await asyncio.sleep(WATCH_S)
            self._note(await self._obstacle(consumer, arguments))

    def _note(self, error: str | None) -> None:
        if error and not self.error:
            log.warning("%s: %s", self._name, error)
        elif self.error and not error:
            log.info("%s: the brokers answer again", self._name)
        self.error = error

    async def _obstacle(self, consumer: AIOKafkaConsumer, arguments: dict[str, Any]) -> str | None:
        """Why the brokers can't be reached. Only those that have been silent are asked.

        They may be silent because nothing is asked of them: what was fetched still waits to be worked on.
        """
        heard = {tp: (consumer.last_poll_timestamp(tp) or 0) / 1000 for tp in consumer.assignment()}
        silent = [tp for tp, at in heard.items() if time.time() - at > SILENCE_S]
        if heard and not silent:
            return None
        try:
            await check_connection(self._cluster, arguments, idempotent=False)
            async with asyncio.timeout(self._cluster.request_timeout):
                await consumer.end_offsets(silent)
        except SinkError as err:
            return str(err)
        except (KafkaError, TimeoutError):
            names = ", ".join(f"{tp.topic}-{tp.partition}" for tp in sorted(silent))
            return f"{self._cluster.bootstrap_servers} answers, the brokers that have {names} do not"
        return None
