"""At least once: an offset is committed when every sink has what comes before it."""

import asyncio
import logging
from collections.abc import Sequence

from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from daemon.flow.delivery import Delivery
from daemon.flow.pipeline import Outgoing
from daemon.flow.receipts import Ending
from daemon.kafka.dead_letters import dead_letter
from daemon.kafka.partition import Commits, Entry, Session
from daemon.kafka.settings import ConsumerSettings
from sinks.base import SinkError
from sinks.kafka import KafkaSink
from sinks.kafka_client import words
from sinks.kafka_settings import KafkaCluster, KafkaSettings

log = logging.getLogger(__name__)

COMMIT_INTERVAL_S = 0.05  # what has been done since then is worked on again after a crash
COMMIT_TIMEOUT_S = 5.0  # aiokafka tries for ever where it finds no coordinator
LONGEST_DELAY_S = 1.0
CLOSE_TIMEOUT_S = 5.0


class AtLeastOnce:
    """The sinks of a consumer, and the delivery of its dead letters."""

    def __init__(self, name: str, settings: ConsumerSettings, cluster: KafkaCluster, sinks: Sequence[Outgoing]) -> None:
        self.sinks = sinks
        self.topics: Sequence[str] = ()  # the sinks see to theirs
        letters = settings.dead_letters
        sink = KafkaSettings(
            type="kafka",
            topic=letters.topic,
            max_record_bytes=letters.max_record_bytes,
            compression=letters.compression or "lz4",
        )
        self.dead_letters = Delivery(f"{name}: dead letters", KafkaSink(sink, cluster))

    @property
    def letters_error(self) -> str | None:
        return self.dead_letters.error

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
        self._refusal: str | None = None

    @property
    def obstacle(self) -> str | None:
        if self._refusal or not self._session.pending:
            return self._refusal
        deliveries = [sink for sink in (*self.outgoing, self._guarantee.dead_letters) if isinstance(sink, Delivery)]
        return next((obstacle for delivery in deliveries if (obstacle := delivery.obstacle)), None)

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    def send_dead_letter(self, entry: Entry, reason: str) -> None:
        letter = dead_letter(entry.record, entry.stream, entry.frame.error or reason, reason)

        def ended(ending: Ending, why: str) -> None:
            if ending is Ending.ACKNOWLEDGED:
                self._session.partition.dead_letters += 1
                self._session.done(entry)
            else:
                self._session.fail(SinkError(f"a dead letter was not delivered ({why})", retriable=True))

        self._session.spawn(self._guarantee.dead_letters.put(letter, self._session.partition.letters.open(ended)))

    async def commit(self, entries: Sequence[Entry], position: int, metadata: str = "") -> None:
        delay = COMMIT_INTERVAL_S
        while not await self._is_committed(position, metadata):
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_DELAY_S)
        await asyncio.sleep(COMMIT_INTERVAL_S)

    async def _is_committed(self, position: int, metadata: str) -> bool:
        """Whether the group has taken it."""
        partition = self._session.partition
        try:
            async with asyncio.timeout(COMMIT_TIMEOUT_S):
                await partition.consumer.commit({partition.tp: (position, metadata)})
        except (CommitFailedError, IllegalStateError) as err:
            # The group moves. The partition may be another's by now, which a revocation will say.
            log.debug("%s: not committed: %r", partition.tp, err)
            return False
        except (KafkaError, TimeoutError) as err:
            self._note(f"the commit is refused: {words(err)}")
            return False
        self._note(None)
        return True

    def _note(self, refusal: str | None) -> None:
        if refusal not in (None, self._refusal):
            log.warning("%s: %s", self._session.partition.tp, refusal)
        elif self._refusal and refusal is None:
            log.info("%s: commits are taken again", self._session.partition.tp)
        self._refusal = refusal

    async def flush(self) -> None:
        """The sinks' queues have it."""
