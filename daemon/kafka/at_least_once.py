"""At least once: an offset is committed when every sink has what comes before it."""

import asyncio
import logging
from collections.abc import Sequence

from aiokafka.errors import IllegalStateError, KafkaError

from daemon.flow.delivery import Delivery
from daemon.flow.pipeline import Outgoing
from daemon.flow.receipts import Counts, Ending
from daemon.kafka.dead_letters import dead_letter
from daemon.kafka.partition import Commits, Entry, Session
from daemon.kafka.settings import ConsumerSettings
from sinks.base import SinkError
from sinks.kafka import KafkaSink
from sinks.kafka_settings import KafkaCluster, KafkaSettings

log = logging.getLogger(__name__)

COMMIT_INTERVAL_S = 0.05  # what has been done since then is worked on again after a crash
CLOSE_TIMEOUT_S = 5.0


class AtLeastOnce:
    """The sinks of a consumer, and the delivery of its dead letters."""

    def __init__(self, name: str, settings: ConsumerSettings, cluster: KafkaCluster, sinks: Sequence[Outgoing]) -> None:
        self.sinks = sinks
        self.topics: Sequence[str] = ()  # the sinks see to theirs
        self.letters = Counts()
        sink = KafkaSettings(type="kafka", topic=settings.dead_letter_topic)
        self.dead_letters = Delivery(f"{name}: dead letters", KafkaSink(sink, cluster))

    async def run(self) -> None:
        """Until close(). Raises SinkError."""
        await self.dead_letters.run()

    async def close(self) -> None:
        await self.dead_letters.close(CLOSE_TIMEOUT_S)

    def commits(self, session: Session) -> Commits:
        return _Commits(self, session)


class _Commits:
    def __init__(self, guarantee: AtLeastOnce, session: Session) -> None:
        self.outgoing = guarantee.sinks
        self._guarantee = guarantee
        self._session = session

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    def send_dead_letter(self, entry: Entry, reason: str) -> None:
        letter = dead_letter(entry.record, entry.stream, entry.frame.error or reason, reason)

        def ended(ending: Ending, why: str) -> None:
            if ending is Ending.ACKNOWLEDGED:
                self._session.done(entry)
            else:
                self._session.fail(SinkError(f"a dead letter was not delivered ({why})", retriable=True))

        self._session.spawn(self._guarantee.dead_letters.put(letter, self._guarantee.letters.open(ended)))

    async def commit(self, entries: Sequence[Entry], position: int) -> None:
        partition = self._session.partition
        try:
            await partition.consumer.commit({partition.tp: position})
        except (KafkaError, IllegalStateError) as err:
            # The partition may be another's by now, which a revocation will say. If not, the next commit says it all.
            log.debug("%s: not committed: %r", partition.tp, err)
        await asyncio.sleep(COMMIT_INTERVAL_S)

    async def flush(self) -> None:
        """The sinks' queues have it."""
