"""Documents to an MQTT 5 broker."""

from collections import Counter
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from sinks.base import Record, SinkError
from sinks.mqtt_client import Connection, Message
from sinks.mqtt_settings import MqttSettings

OF_THE_MESSAGE: Final = frozenset({0x90, 0x99})
"""By these reasons a broker refuses what was sent: topic name invalid, payload format invalid. All else may pass."""
OVERHEAD: Final = 100
"""Bytes of a packet beside topic, properties and payload, and more."""
PROPERTY: Final = 5
"""Bytes of a user property beside its name and value."""


class MqttSink:
    """Loses nothing that the broker acknowledged (QoS 1); may repeat what was under way when a connection was lost.

    Documents are sent in their order, and repeats are too: after a lost connection all from the first one on that was
    not acknowledged. The key becomes a level of the topic, and headers become user properties, by the names that
    CloudEvents' binding for MQTT has; timestamps are not kept.
    """

    def __init__(self, settings: MqttSettings) -> None:
        self.counts: Counter[str] = Counter()
        self._settings = settings
        self._connection: Connection | None = None

    @property
    def error(self) -> str | None:
        """Why the connection was lost; None: it was not."""
        return None if self._connection is None else self._connection.error

    async def open(self) -> None:
        await self.close()
        self._connection = Connection(self._settings, self._settings.client_id)
        await self._connection.open()

    async def check(self) -> None:
        """Logs in under another client_id, as a broker ends the connection of one that it has. Raises SinkError."""
        connection = Connection(self._settings, f"{self._settings.client_id}-check")
        try:
            await connection.open()
        finally:
            await connection.close()

    async def write(self, records: Sequence[Record]) -> None:
        refused: list[tuple[Record, str]] = []
        left = list(records)
        try:
            connection = await self._ready()
            sent = [(record, self._message(record, connection, refused)) for record in records]
            answers = [(record, connection.publish(message)) for record, message in sent if message is not None]
            left = [record for record, _ in answers]
            for record, answer in answers:
                reason = await connection.answered(answer)
                if reason.value in OF_THE_MESSAGE:
                    refused.append((record, "refused by the broker"))
                elif reason.is_failure:
                    raise SinkError(f"{self._settings.address}: not published: {reason}".lower(), retriable=True)
                left = left[1:]
        except SinkError as err:
            raise SinkError(str(err), retriable=err.retriable, unwritten=left, refused=refused) from err
        if refused:
            message = f"{self._settings.address}: {len(refused)} documents were refused"
            raise SinkError(message, retriable=False, refused=refused)

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _ready(self) -> Connection:
        if self._connection is None or self._connection.lost.is_set():
            await self.open()
        assert self._connection is not None  # noqa: S101  # open() has made it, or raised
        return self._connection

    def _message(self, record: Record, connection: Connection, refused: list[tuple[Record, str]]) -> Message | None:
        """None: it is refused."""
        if record.tombstone:
            refused.append((record, "no value"))
            return None
        topic = topic_of(self._settings.topic, record)
        most = connection.most_bytes - OVERHEAD - len(topic.encode()) - PROPERTY * (len(record.headers) + 1)
        fitted = record.fitted(min(self._settings.max_record_bytes, most))
        if fitted is None:
            refused.append((record, "too large"))
            return None
        if fitted is not record:
            self.counts[record.note] += 1
        return Message(topic, fitted.value, False, *_properties(fitted))


def topic_of(above: str, record: Record) -> str:
    """<above>/documents/<stream>/<type>; what a topic may not have is percent-encoded."""
    stream = "".join(quote(sign, safe="") if sign in "%+#/\0" else sign for sign in record.key)
    return f"{above}/documents/{stream}/{record.about.schema.rpartition('.')[2] or 'other'}"


def _properties(record: Record) -> tuple[Sequence[tuple[str, str]], str | None]:
    """The user's, and the content type."""
    named = [(name.removeprefix("ce_"), (value or b"").decode("utf-8", "replace")) for name, value in record.headers]
    kinds = [value for name, value in named if name == "content-type"]
    return [one for one in named if one[0] != "content-type"], kinds[0] if kinds else None
