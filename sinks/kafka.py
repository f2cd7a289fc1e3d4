# The sinks engineer is back and is rewriting this file: see /tmp/SINKS_ENGINEER_IS_BACK.md
"""Documents to a Kafka topic, through aiokafka."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from sinks.base import Record, SinkError

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer

FRAMING_BYTES = 65_536
"""Room for a record's key and headers beside its value, in the client's own limit."""
CLOSE_TIMEOUT_S = 3.0
WITHOUT_PICTURES = ("visaged-without-pictures", b"true")


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KafkaTls(Section):
    ca: Path | None = Field(None, description="Certificates (PEM) to trust; nothing: those of the system.")
    certificate: Path | None = Field(
        None, description="The client's own certificate (PEM), where the broker asks for one."
    )
    key: Path | None = Field(None, description="Its private key (PEM).")
    verify_hostname: bool = Field(True, description="Whether the certificate must be for the broker's host name.")


class KafkaSasl(Section):
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="How to sign in."
    )
    username: str = Field(description="The user.")
    password: SecretStr = Field(description="Better in the environment: VISAGED_SINKS__<NAME>__SASL__PASSWORD.")


class KafkaConnection(Section):
    bootstrap_servers: str = Field(description="Brokers to ask first, host:port, separated by commas.")
    client_id: str = Field("visaged", description="How the broker's logs and quotas call this client.")
    tls: KafkaTls | None = Field(None, description="Encrypt the connection.")
    sasl: KafkaSasl | None = Field(None, description="Sign in.")
    request_timeout: float = Field(10.0, gt=0, description="Seconds in which a broker must answer a request.")

    def arguments(self) -> dict[str, Any]:
        """Of aiokafka's clients, in its words."""
        from aiokafka.helpers import create_ssl_context

        arguments: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_servers,
            "client_id": self.client_id,
            "request_timeout_ms": round(self.request_timeout * 1000),
            "security_protocol": ("SASL_" if self.sasl else "") + ("SSL" if self.tls else "PLAINTEXT"),
        }
        if self.tls:
            context = create_ssl_context(cafile=self.tls.ca, certfile=self.tls.certificate, keyfile=self.tls.key)
            context.check_hostname = self.tls.verify_hostname
            arguments["ssl_context"] = context
        if self.sasl:
            arguments["sasl_mechanism"] = self.sasl.mechanism
            arguments["sasl_plain_username"] = self.sasl.username
            arguments["sasl_plain_password"] = self.sasl.password.get_secret_value()
        return arguments


class KafkaSettings(KafkaConnection):
    type: Literal["kafka"]
    topic: str = Field(min_length=1, description="The topic that documents go to, their stream's id as key.")
    idempotent: bool = Field(
        True, description="The broker recognises what was sent twice, so that a lost connection repeats nothing."
    )
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = Field("lz4", description="Of batches of records.")
    max_record_bytes: int = Field(
        1_000_000, ge=1, description="A larger document is sent without its pictures, if it has any, and else refused."
    )


class KafkaSink:
    """Loses, repeats and reorders nothing while `idempotent`; without, a lost connection may repeat and reorder.

    A record is acknowledged by all in-sync replicas (acks=all). While the broker is away write() waits, as long as it
    takes: what the producer was given once it is not given again, so that its sequence numbers keep out repetitions.
    Two cases are left in which records may be repeated: closed and opened again while some are under way, and a
    partition that has no leader for longer than request_timeout after it had one.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self.counts: Counter[str] = Counter()
        self._settings = settings
        self._most_bytes = settings.max_record_bytes  # or less, once the broker has refused less
        self._producer: AIOKafkaProducer | None = None

    async def open(self) -> None:
        from aiokafka import AIOKafkaProducer

        settings = self._settings
        try:
            self._producer = AIOKafkaProducer(
                acks="all",
                enable_idempotence=settings.idempotent,
                compression_type=None if settings.compression == "none" else settings.compression,
                max_request_size=settings.max_record_bytes + FRAMING_BYTES,
                **settings.arguments(),
            )
            await self._producer.start()
            await self._producer.partitions_for(settings.topic)
        except BaseException as err:
            await self.close()
            if isinstance(err, Exception):
                raise self._refusal(err) from err
            raise

    async def write(self, records: Sequence[Record]) -> None:
        if self._producer is None:
            await self.open()
        sent = [
            (record, fitting, await self._hand_over(fitting))
            for record in records
            if (fitting := self._fitting(record)) is not None
        ]
        answers = await asyncio.gather(*(answer for _, _, answer in sent), return_exceptions=True)
        errors = {}
        for (record, fitting, _), answer in zip(sent, answers, strict=True):
            if isinstance(answer, Exception):
                errors[id(record)] = self._learn(fitting, answer)
            elif fitting is not record:
                self.counts["without_pictures"] += 1
        written = {id(record) for record, _, _ in sent} - errors.keys()
        if unwritten := [record for record in records if id(record) not in written]:
            if not errors:
                largest = max(len(record.value) for record in unwritten)
                message = f"expected at most {self._most_bytes} bytes a record, got {largest}"
                raise SinkError(message, retriable=False, unwritten=unwritten)
            # After a batch that failed, the producer's sequence numbers fit no more.
            await self.close()
            error = next(iter(errors.values()))
            raise SinkError(f"{self._settings.bootstrap_servers}: {error!r}", retriable=True, unwritten=unwritten)

    async def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is None:
            return
        try:
            await asyncio.wait_for(producer.stop(), CLOSE_TIMEOUT_S)
        except TimeoutError:
            await _abandon(producer)

    def _fitting(self, record: Record) -> Record | None:
        """The record, or what is left of it without its pictures, or None where that is too large too."""
        if len(record.value) <= self._most_bytes:
            return record
        if record.smaller is None or len(record.smaller) > self._most_bytes:
            return None
        return replace(record, value=record.smaller, smaller=None, headers=(*record.headers, WITHOUT_PICTURES))

    async def _hand_over(self, record: Record) -> "asyncio.Future[Any]":
        """Gives a record to the producer; the future ends when the broker has it."""
        from aiokafka.errors import KafkaTimeoutError

        assert self._producer is not None  # noqa: S101  # write() has opened it
        while True:
            try:
                answer: asyncio.Future[Any] = await self._producer.send(
                    self._settings.topic,
                    record.value,
                    key=record.key.encode(),
                    headers=list(record.headers),
                    timestamp_ms=None if record.timestamp is None else round(record.timestamp * 1000),
                )
                return answer
            except KafkaTimeoutError:
                continue  # its buffer is full, as the broker is away: it was not taken
            except Exception as err:  # noqa: BLE001  # answered as the broker's errors are, after those before it
                failed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
                failed.set_exception(err)
                return failed

    def _learn(self, record: Record, error: Exception) -> Exception:
        """A size that the broker has refused is not sent again."""
        from aiokafka.errors import MessageSizeTooLargeError

        if isinstance(error, MessageSizeTooLargeError):
            self._most_bytes = min(self._most_bytes, len(record.value) - 1)
        return error

    def _refusal(self, error: Exception) -> SinkError:
        """Why the producer could not be opened, and whether that may pass."""
        from aiokafka import errors

        servers = self._settings.bootstrap_servers
        if isinstance(error, errors.KafkaConnectionError):
            return SinkError(f"no broker answers at {servers}", retriable=True)
        if isinstance(error, errors.AuthenticationFailedError | errors.UnsupportedSaslMechanismError):
            return SinkError(f"{servers} refuses the user: {error}", retriable=False)
        if isinstance(error, errors.UnknownTopicOrPartitionError):
            message = f"{servers} has no topic {self._settings.topic} and makes none by itself: create it"
            return SinkError(message, retriable=False)
        if isinstance(error, errors.KafkaError) and error.retriable:
            return SinkError(f"{servers}: {error}", retriable=True)
        if self._settings.idempotent and isinstance(error, errors.KafkaError):
            message = (
                f"expected a broker at {servers} that takes idempotent producers, got {error!r}; "
                "`idempotent: false` does without, and a lost connection may then repeat records"
            )
            return SinkError(message, retriable=False)
        return SinkError(f"{servers}: {error}", retriable=False)


async def _abandon(producer: "AIOKafkaProducer") -> None:
    """Ends what stop() leaves behind when the broker is away and it has waited long enough."""
    from aiokafka.errors import ProducerClosed

    producer._message_accumulator.fail_all(ProducerClosed())
    await producer.client.close()
    with contextlib.suppress(Exception):  # whatever its requests end in: nobody waits for them
        await producer._sender.close()
