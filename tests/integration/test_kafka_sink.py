"""The Kafka sink with real brokers: the demo's, Apache Kafka itself, and one that cannot take idempotent producers."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import UnknownError

from daemon.commands.demo.broker import embedded_broker
from daemon.flow.delivery import Delivery
from daemon.flow.receipts import Counts
from sinks.base import WITHOUT_PICTURES, Record, SinkError
from sinks.kafka import KafkaSink
from sinks.kafka_settings import KafkaCluster, KafkaSettings
from sinks.kafka_times import ORIGINAL_TIMESTAMP
from tests.brokers import EMBEDDED_HOST, ApacheKafka, Proxy, free_port, new_topic, proxy, records_of
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("accounts")

KEYS = [f"door-{number}" for number in range(5)]


def record(number: int, key: str = "door", size: int = 0, **parts: Any) -> Record:
    return Record(key, b"%d" % number + b"." * size, **parts)


@dataclass(frozen=True)
class Target:
    settings: KafkaSettings
    cluster: KafkaCluster

    @property
    def topic(self) -> str:
        return self.settings.topic

    def sink(self) -> KafkaSink:
        return KafkaSink(self.settings, self.cluster)


def kafka_settings(servers: str, topic: str | None = None, **values: Any) -> Target:
    """The values are the cluster's where it has such."""
    of_cluster = {name: values.pop(name) for name in KafkaCluster.model_fields if name in values}
    return Target(
        KafkaSettings(**{"type": "kafka", "topic": topic or new_topic(), "create_topic": {}, **values}),
        KafkaCluster(**{"bootstrap_servers": servers, "request_timeout": 2.0, **of_cluster}),
    )


@contextlib.asynccontextmanager
async def opened(settings: Target) -> AsyncIterator[KafkaSink]:
    sink = settings.sink()
    try:
        await open_when_it_can_be(sink)
        yield sink
    finally:
        await sink.close()


async def open_when_it_can_be(sink: KafkaSink) -> None:
    """As Delivery does it: a topic just made may not be known yet."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return await sink.open()
        except SinkError as err:
            if not err.retriable or time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)


async def refusal(settings: Target) -> SinkError:
    """Why it cannot be opened."""
    sink = settings.sink()
    with pytest.raises(SinkError) as caught:
        await sink.open()
    await sink.close()
    return caught.value


async def numbers(servers: str, topic: str) -> dict[str, list[int]]:
    """By key, in the topic's order."""
    found: dict[str, list[int]] = {}
    for message in await records_of(servers, topic):
        found.setdefault(message.key.decode(), []).append(int(message.value.rstrip(b".")))
    return found


@dataclass(frozen=True)
class Reach:
    """A broker, and the way to it that can be cut."""

    servers: str
    through_proxy: Callable[[], contextlib.AbstractAsyncContextManager[Proxy]]


@pytest.fixture(params=["embedded", "apache_kafka"])
def reach(request: pytest.FixtureRequest) -> Reach:
    broker = request.getfixturevalue(request.param)
    if isinstance(broker, ApacheKafka):
        return Reach(broker.address(), broker.proxy)
    port = int(broker.rpartition(":")[2])
    return Reach(broker, lambda: proxy(broker, port, (EMBEDDED_HOST.encode(), b"127.0.0.1")))


# What arrives


async def test_records_that_are_all_too_large_are_refused_each_time(embedded: str) -> None:
    """Nothing is then under way that could be waited for."""
    settings = kafka_settings(embedded, max_record_bytes=1000)
    large, small = record(1, size=2000), record(2)
    async with opened(settings) as sink:
        for _ in range(2):
            with pytest.raises(SinkError) as refusal:
                await sink.write([large])
            assert refusal.value.refused == ((large, "too large"),)
        await sink.write([small])
    (written,) = await records_of(embedded, settings.topic)
    assert written.value == small.value


async def test_a_time_that_the_topic_refuses_goes_with_the_present_one(apache_kafka: ApacheKafka) -> None:
    settings = kafka_settings(apache_kafka.address())
    ahead = time.time() + 30 * 24 * 3600
    async with opened(settings) as sink:
        await sink.write([record(1), record(2, timestamp=ahead), record(3)])
        await sink.write([record(4, timestamp=ahead + 1), record(5, timestamp=ahead / 2)])
    written = await records_of(apache_kafka.address(), settings.topic)
    assert [int(message.value) for message in written] == [1, 2, 3, 4, 5]
    found = [dict(message.headers).get(ORIGINAL_TIMESTAMP) for message in written]
    assert found == [None, b"%d" % round(ahead * 1000), None, b"%d" % round((ahead + 1) * 1000), None]
    assert all(abs(message.timestamp / 1000 - time.time()) < 60 for message in written[:4])


async def test_a_machine_whose_clock_is_ahead_writes_all_the_same(
    apache_kafka: ApacheKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time
    monkeypatch.setattr("sinks.kafka_times.time.time", lambda: now() + 30 * 24 * 3600)
    settings = kafka_settings(apache_kafka.address())
    async with opened(settings) as sink:
        await sink.write([record(1, timestamp=time.time())])
    (written,) = await records_of(apache_kafka.address(), settings.topic)
    assert written.timestamp == -1


async def test_a_record_arrives_with_key_headers_and_timestamp(reach: Reach) -> None:
    settings = kafka_settings(reach.servers)
    yesterday = round(time.time()) - 24 * 3600 + 0.25  # brokers delete what is older than their retention
    async with opened(settings) as sink:
        await sink.write([Record("door", b"{}", (("ce_type", b"visaged.frame"),), timestamp=yesterday)])
    (message,) = await records_of(reach.servers, settings.topic)
    assert (message.key, message.value, message.timestamp) == (b"door", b"{}", yesterday * 1000)
    assert message.headers == (("ce_type", b"visaged.frame"),)


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
async def test_every_compression(embedded: str, compression: str) -> None:
    settings = kafka_settings(embedded, compression=compression)
    async with opened(settings) as sink:
        await sink.write([record(number, size=1000) for number in range(300)])
    assert await numbers(embedded, settings.topic) == {"door": list(range(300))}


async def test_each_stream_keeps_its_order_over_several_partitions(reach: Reach) -> None:
    settings = kafka_settings(reach.servers, create_topic={"partitions": 3})
    async with opened(settings) as sink:
        for first in range(0, 3000, 600):
            await sink.write([record(number, KEYS[number % 5], 2000) for number in range(first, first + 600)])
    messages = await records_of(reach.servers, settings.topic)
    assert {message.partition for message in messages} == {0, 1, 2}
    assert await numbers(reach.servers, settings.topic) == {
        key: list(range(first, 3000, 5)) for first, key in enumerate(KEYS)
    }


async def test_a_record_may_have_a_topic_of_its_own(reach: Reach) -> None:
    settings, other = kafka_settings(reach.servers, create_topic={"partitions": 2}), new_topic()
    async with opened(settings) as sink:
        await sink.write([record(number, topic=other if number % 2 else None) for number in range(10)])
    assert await numbers(reach.servers, settings.topic) == {"door": [0, 2, 4, 6, 8]}
    assert await numbers(reach.servers, other) == {"door": [1, 3, 5, 7, 9]}


async def test_a_records_own_topic_that_is_missing_is_waited_for(apache_kafka: ApacheKafka) -> None:
    servers, other = apache_kafka.address(), new_topic()
    settings = kafka_settings(servers)
    async with opened(settings) as sink:
        await sink.write([record(0)])
    async with opened(kafka_settings(servers, settings.topic, create_topic=None)) as sink:
        both = [record(1), record(2, topic=other)]
        with pytest.raises(SinkError, match=f"topic {other} is missing") as caught:
            await sink.write(both)
        assert caught.value.retriable
        async with administration(servers) as admin:
            await made(admin, NewTopic(other, 1, 1))
        await sink.write(caught.value.unwritten)
    assert await numbers(servers, settings.topic) == {"door": [0, 1]}
    assert await numbers(servers, other) == {"door": [2]}


# Records that are too large


async def test_a_record_over_the_limit_goes_without_its_pictures(embedded: str) -> None:
    settings = kafka_settings(embedded, max_record_bytes=5000)
    large = Record("door", b"1" + b"." * 5000, (("ce_id", b"7"),), smaller=b"1")
    async with opened(settings) as sink:
        await sink.write([record(0), large, record(2)])
        assert sink.counts == {"without_pictures": 1}
    messages = await records_of(embedded, settings.topic)
    assert [message.value for message in messages] == [b"0", b"1", b"2"]
    assert [message.headers for message in messages] == [(), (("ce_id", b"7"), WITHOUT_PICTURES), ()]


@pytest.mark.parametrize("smaller", [None, b"." * 6000])
async def test_what_is_too_large_all_the_same_is_refused_alone(embedded: str, smaller: bytes | None) -> None:
    settings = kafka_settings(embedded, max_record_bytes=5000)
    large = record(1, size=5000, smaller=smaller)
    async with opened(settings) as sink:
        with pytest.raises(SinkError, match=r"1 records refused \(too large\)") as caught:
            await sink.write([record(0), large, record(2)])
    assert caught.value.refused == ((large, "too large"),)
    assert caught.value.unwritten == ()
    assert await numbers(embedded, settings.topic) == {"door": [0, 2]}


async def test_a_batch_of_nothing_but_what_is_too_large_is_refused(embedded: str) -> None:
    large = record(1, size=5000)
    async with opened(kafka_settings(embedded, max_record_bytes=5000)) as sink:
        with pytest.raises(SinkError) as caught:
            await sink.write([large])
        assert caught.value.refused == ((large, "too large"),)
        await sink.write([record(2)])


@contextlib.asynccontextmanager
async def administration(servers: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def made(admin: AIOKafkaAdminClient, topic: NewTopic) -> None:
    """And known to the brokers, which the answer to who makes it does not wait for."""
    await admin.create_topics([topic])
    while topic.name not in await admin.list_topics():  # noqa: ASYNC110  # nobody tells
        await asyncio.sleep(0.02)


async def deleted(admin: AIOKafkaAdminClient, topic: str) -> None:
    """By the brokers too: until then they take records for it."""
    await admin.delete_topics([topic])
    while topic in await admin.list_topics():  # noqa: ASYNC110  # nobody tells
        await asyncio.sleep(0.02)


async def topic_with_limit(servers: str, max_message_bytes: int) -> str:
    topic = new_topic()
    async with administration(servers) as admin:
        await made(admin, NewTopic(topic, 1, 1, topic_configs={"max.message.bytes": str(max_message_bytes)}))
    return topic


@pytest.mark.parametrize("idempotent", [True, False])
async def test_what_only_the_broker_finds_too_large_keeps_its_place(
    apache_kafka: ApacheKafka, idempotent: bool
) -> None:
    topic = await topic_with_limit(apache_kafka.address(), 5000)
    settings = kafka_settings(apache_kafka.address(), topic, idempotent=idempotent, compression="none")
    records = [record(number, size=6000 * (number % 3 == 1), smaller=b"%d" % number) for number in range(12)]
    records.append(hopeless := record(12, size=6000))
    async with opened(settings) as sink:
        with pytest.raises(SinkError) as caught:
            await sink.write([*records, record(13)])
        assert sink.counts == {"without_pictures": 4}
    assert caught.value.refused == ((hopeless, "too large"),)
    messages = await records_of(apache_kafka.address(), topic)
    assert [int(message.value) for message in messages] == [*range(12), 13]
    assert [int(message.value) for message in messages if message.headers == (WITHOUT_PICTURES,)] == [1, 4, 7, 10]


@pytest.mark.parametrize("idempotent", [True, False])
async def test_a_batch_that_the_broker_finds_too_large_goes_in_parts(
    apache_kafka: ApacheKafka, idempotent: bool
) -> None:
    topic = await topic_with_limit(apache_kafka.address(), 5000)
    settings = kafka_settings(apache_kafka.address(), topic, idempotent=idempotent, compression="none")
    async with opened(settings) as sink:
        await sink.write([record(number, size=1000) for number in range(20)])
        await sink.write([record(number) for number in range(20, 30)])
    assert await numbers(apache_kafka.address(), topic) == {"door": list(range(30))}


# Records whose fate is unknown


async def test_what_fails_for_an_unknown_reason_is_in_doubt(embedded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker has it, and answers with the catch-all of its errors."""
    send_batch = AIOKafkaProducer.send_batch

    async def unknown(producer: AIOKafkaProducer, *batch: Any, partition: int) -> "asyncio.Future[object]":
        await (await send_batch(producer, *batch, partition=partition))
        answer = asyncio.get_running_loop().create_future()
        answer.set_exception(UnknownError())
        return answer

    settings, first = kafka_settings(embedded), record(0)
    async with opened(settings) as sink:
        with monkeypatch.context() as patched:
            patched.setattr(AIOKafkaProducer, "send_batch", unknown)
            with pytest.raises(SinkError, match="1 records may have been written or not") as caught:
                await sink.write([first])
        assert (caught.value.in_doubt, caught.value.refused, caught.value.unwritten) == ((first,), (), ())
        await sink.write([record(1)])
    assert await numbers(embedded, settings.topic) == {"door": [0, 1]}


# Topics


async def test_a_broker_that_has_just_started_may_have_no_controller_yet(
    embedded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as starting:
        none = property(lambda cluster: None, lambda cluster, controller: None)
        starting.setattr("aiokafka.cluster.ClusterMetadata.controller", none, raising=False)
        error = await refusal(kafka_settings(embedded))
    assert error.retriable
    assert "no controller yet" in str(error)


async def test_a_topic_just_made_may_not_be_known_to_all_brokers_yet(
    apache_kafka: ApacheKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def made_elsewhere(*_: object) -> None: ...

    settings = kafka_settings(apache_kafka.address(), request_timeout=1.0)
    with monkeypatch.context() as lagging:
        lagging.setattr("sinks.kafka.create_topic", made_elsewhere)
        error = await refusal(settings)
    assert error.retriable
    async with opened(settings) as sink:
        await sink.write([record(1)])


async def test_a_missing_topic_is_an_error_that_says_what_to_do(apache_kafka: ApacheKafka) -> None:
    error = await refusal(kafka_settings(apache_kafka.address(), "faces", create_topic=None, request_timeout=1.0))
    assert not error.retriable
    assert "topic faces is missing" in str(error)
    assert "create_topic" in str(error)


async def test_a_topic_that_cannot_be_created(apache_kafka: ApacheKafka) -> None:
    error = await refusal(kafka_settings(apache_kafka.address(), create_topic={"replication_factor": 3}))
    assert not error.retriable
    assert "cannot be created" in str(error)


@pytest.mark.parametrize("create_topic", [None, {}])
async def test_a_broker_that_comes_back_empty_is_written_to_and_meanwhile_it_is_said_why_not(
    create_topic: dict[str, int] | None,
) -> None:
    port, records = free_port(), [record(number) for number in range(1, 600)]
    settings = kafka_settings(f"{EMBEDDED_HOST}:{port}", request_timeout=1.0, create_topic=create_topic)
    async with contextlib.AsyncExitStack() as stack:
        async with embedded_broker(port, EMBEDDED_HOST):
            async with opened(settings):
                pass  # the topic is then there when the next one begins
            sink = await stack.enter_async_context(opened(settings))
            await sink.write([record(0)])
        with pytest.raises(SinkError, match=f"^{EMBEDDED_HOST}:{port}: connection refused$"):
            await sink.write(records)
        async with embedded_broker(port, EMBEDDED_HOST) as servers:
            async with asyncio.timeout(20):
                await write_until_written(sink, records)
            assert await numbers(servers, settings.topic) == {"door": list(range(1, 600))}


async def test_a_topic_that_was_deleted_is_made_again(apache_kafka: ApacheKafka) -> None:
    servers, records = apache_kafka.address(), [record(number) for number in range(1, 6)]
    settings = kafka_settings(servers, request_timeout=1.0)
    async with opened(settings) as sink, administration(servers) as admin:
        await sink.write([record(0)])
        await deleted(admin, settings.topic)
        with pytest.raises(SinkError, match=f"topic {settings.topic} had gone and is made again"):
            await sink.write(records)
        await write_until_written(sink, records)
    assert await numbers(servers, settings.topic) == {"door": list(range(1, 6))}


async def test_a_topic_that_is_there_is_taken_as_it_is(reach: Reach) -> None:
    settings = kafka_settings(reach.servers, create_topic={"partitions": 2})
    for number in range(2):
        async with opened(settings) as sink:
            await sink.write([record(number)])
    assert await numbers(reach.servers, settings.topic) == {"door": [0, 1]}


# Getting in


async def test_a_broker_that_cannot_take_idempotent_producers(tansu: str) -> None:
    settings = kafka_settings(tansu)
    error = await refusal(settings)
    assert not error.retriable
    assert str(error).startswith(f"expected brokers at {tansu} that take idempotent producers, got UnknownError; ")
    assert "`idempotent: false`" in str(error)

    async with opened(kafka_settings(tansu, settings.topic, idempotent=False)) as sink:
        await sink.write([record(0)])
    assert await numbers(tansu, settings.topic) == {"door": [0]}


async def test_a_broker_that_is_away_is_tried_again(reach: Reach) -> None:
    async with reach.through_proxy() as between:
        between.cut()
        sink = kafka_settings(between.address).sink()
        with pytest.raises(SinkError, match=between.address) as caught:
            await sink.open()
        assert caught.value.retriable
        await between.restore()
        await sink.open()
        await sink.write([record(0)])
        await sink.close()


async def test_a_broker_that_does_not_answer_is_tried_again(reach: Reach) -> None:
    async with reach.through_proxy() as between:
        between.stall()
        began = time.monotonic()
        error = await refusal(kafka_settings(between.address, request_timeout=1.0))
        assert error.retriable
        assert time.monotonic() - began < 5  # a minute would be aiokafka's own


async def test_the_second_server_is_tried_where_the_first_is_away(embedded: str) -> None:
    settings = kafka_settings(f"127.0.0.1:1,{embedded}")
    async with opened(settings) as sink:
        await sink.write([record(0)])


async def test_brokers_that_name_themselves_wrongly(apache_kafka: ApacheKafka) -> None:
    """A classic of containers: the listener advertises an address that leads nowhere: the proxy's, which isn't on."""
    error = await refusal(kafka_settings(apache_kafka.address("proxied"), create_topic=None, request_timeout=1.0))
    assert error.retriable
    assert str(error).endswith(f"the brokers that it names do not: {apache_kafka.address('proxy')}")


@pytest.mark.parametrize("listener", ["sasl", "sasl_tls"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_signs_in(apache_kafka: ApacheKafka, listener: str, mechanism: str) -> None:
    kafka = apache_kafka
    sasl = {"mechanism": mechanism, "username": kafka.user, "password": kafka.password}
    tls = {"ca": kafka.certificate} if listener == "sasl_tls" else None
    settings = kafka_settings(kafka.address(listener), sasl=sasl, tls=tls)
    async with opened(settings) as sink:
        await sink.write([record(0)])
    assert await numbers(kafka.address(), settings.topic) == {"door": [0]}

    error = await refusal(kafka_settings(kafka.address(listener), sasl={**sasl, "username": "nobody"}, tls=tls))
    assert not error.retriable
    assert "Authentication" in str(error)


async def test_a_wrong_password_is_final_and_not_shown(apache_kafka: ApacheKafka) -> None:
    sasl = {"username": apache_kafka.user, "password": "wrong horse"}
    error = await refusal(kafka_settings(apache_kafka.address("sasl"), sasl=sasl))
    assert not error.retriable
    assert "SaslAuthenticationFailed" in str(error)
    assert "wrong horse" not in str(error)


async def test_a_mechanism_that_the_broker_does_not_take(embedded: str) -> None:
    error = await refusal(kafka_settings(embedded, sasl={"username": "visaged", "password": "secret"}))
    assert embedded in str(error)


async def test_a_listener_that_wants_us_to_sign_in(apache_kafka: ApacheKafka) -> None:
    error = await refusal(kafka_settings(apache_kafka.address("sasl")))
    assert "does it want another `tls` or `sasl`?" in str(error)


def tls_of(kafka: ApacheKafka, **values: Any) -> dict[str, Any]:
    return {"ca": kafka.certificate, "certificate": kafka.client_certificate, "key": kafka.client_key, **values}


async def test_both_sides_show_their_certificates(apache_kafka: ApacheKafka) -> None:
    settings = kafka_settings(apache_kafka.address("tls"), tls=tls_of(apache_kafka))
    async with opened(settings) as sink:
        await sink.write([record(0)])
    assert await numbers(apache_kafka.address(), settings.topic) == {"door": [0]}


async def test_a_certificate_that_is_not_trusted(apache_kafka: ApacheKafka) -> None:
    error = await refusal(kafka_settings(apache_kafka.address("sasl_tls"), tls={}))
    assert not error.retriable
    assert "certificate verify failed" in str(error)


async def test_a_certificate_for_another_host(apache_kafka: ApacheKafka) -> None:
    servers = apache_kafka.address("tls").replace("127.0.0.1", "localhost")
    error = await refusal(kafka_settings(servers, tls=tls_of(apache_kafka)))
    assert not error.retriable
    assert "localhost" in str(error)
    async with opened(kafka_settings(servers, tls=tls_of(apache_kafka, verify_hostname=False))):
        pass


async def test_certificates_that_cannot_be_read(embedded: str) -> None:
    error = await refusal(kafka_settings(embedded, tls={"ca": "nowhere.pem"}))
    assert not error.retriable
    assert "No such file" in str(error)


# The sentence in KafkaSink's docstring


async def test_what_is_under_way_is_not_sent_again(reach: Reach) -> None:
    """The broker has written it and its answer is lost: the next write() waits for aiokafka's own attempts."""
    async with reach.through_proxy() as between:
        settings = kafka_settings(between.address, request_timeout=1.0)
        async with opened(settings) as sink:
            await sink.write([record(0)])
            between.mute()
            records = [record(number) for number in range(1, 6)]
            with pytest.raises(SinkError, match=r"not acknowledged within 1 s") as caught:
                await sink.write(records)
            assert caught.value.retriable
            assert caught.value.unwritten == tuple(records)
            between.cut()
            await between.restore()
            await write_until_written(sink, [*records, record(6)])
    assert await numbers(reach.servers, settings.topic) == {"door": list(range(7))}


async def write_until_written(sink: KafkaSink, left: list[Record]) -> None:
    while left:
        try:
            await sink.write(left)
        except SinkError as err:
            left = list(err.unwritten)
        else:
            return


class Run:
    """A delivery to Kafka at work, and the frames that its records come from."""

    def __init__(self, settings: Target, backlog: int = 100_000) -> None:
        self.frames = Counts()
        self.topic = settings.topic
        self.delivery = Delivery("kafka", settings.sink(), backlog)
        self.running = asyncio.create_task(self.delivery.run())
        self.given = 0

    async def put(self, count: int, per_second: float) -> None:
        """As files do."""
        for _ in range(count):
            await self.delivery.put(self._next(), self.frames.open())
            await self._pace(per_second)

    async def offer(self, count: int, per_second: float) -> None:
        """As cameras do."""
        for _ in range(count):
            self.delivery.offer(self._next(), self.frames.open())
            await self._pace(per_second)

    def _next(self) -> Record:
        self.given += 1
        return record(self.given - 1, KEYS[(self.given - 1) % 5], 200)

    async def _pace(self, per_second: float) -> None:
        if self.given % max(1, round(per_second / 100)) == 0:
            await asyncio.sleep(max(0.01, 1 / per_second))

    async def end(self) -> None:
        await self.delivery.close(20)
        await self.running


async def trouble(between: Proxy, chance: random.Random) -> None:
    """Cuts, stalls, and answers that are lost, at any moment of a write."""
    await asyncio.sleep(chance.uniform(0.01, 0.1))
    match chance.choice(["cut", "mute", "stall"]):
        case "mute":
            between.mute()
            await asyncio.sleep(chance.uniform(0.005, 0.05))
        case "stall":
            between.stall()
            await asyncio.sleep(chance.choice([0.05, 1.2]))  # less and more than request_timeout
    between.cut()
    await asyncio.sleep(chance.uniform(0, 0.1))
    await between.restore()


@pytest.mark.parametrize("idempotent", [True, False])
async def test_loses_and_with_idempotence_repeats_and_reorders_nothing(reach: Reach, idempotent: bool) -> None:
    chance = random.Random(1)  # noqa: S311
    async with reach.through_proxy() as between:
        settings = kafka_settings(
            between.address, idempotent=idempotent, request_timeout=1.0, create_topic={"partitions": 3}
        )
        run = Run(settings)
        putting = asyncio.create_task(run.put(5000, per_second=2000))
        for _ in range(15):
            await trouble(between, chance)
        await putting
        await run.end()
    assert run.frames.acknowledged == 5000
    found = await numbers(reach.servers, run.topic)
    expected = {key: list(range(first, 5000, 5)) for first, key in enumerate(KEYS)}
    if idempotent:
        assert found == expected
    else:
        assert {key: sorted(set(values)) for key, values in found.items()} == expected


async def test_two_seconds_out_of_reach(reach: Reach) -> None:
    """The backlog is kept, what it cannot hold is counted, and what is written is in order and there once."""
    async with reach.through_proxy() as between:
        run = Run(kafka_settings(between.address, request_timeout=1.0), backlog=300)
        await run.offer(100, per_second=200)
        await until(lambda: run.frames.acknowledged == 100)
        between.cut()
        await run.offer(1000, per_second=500)
        states = [run.delivery.state]
        await between.restore()
        await until(lambda: run.frames.pending == 0, timeout_s=15)
        states.append(run.delivery.state)
        await run.offer(100, per_second=200)
        await run.end()
    await everything_adds_up(run, reach.servers)
    assert states == ["waiting", "writing"]
    assert run.frames.dropped["kafka: backlog full"] >= 1000 - 300 - 500


async def everything_adds_up(run: Run, servers: str) -> None:
    found = await numbers(servers, run.topic)
    assert all(values == sorted(set(values)) for values in found.values())
    written = sum(map(len, found.values()))
    assert run.frames.acknowledged == written
    assert run.frames.dropped.total() + run.frames.failed.total() == run.given - written


@pytest.mark.parametrize("how", ["pause", "stop", "kill"])
async def test_apache_kafka_itself_goes_away_and_comes_back(apache_kafka: ApacheKafka, how: str) -> None:
    run = Run(kafka_settings(apache_kafka.address(), request_timeout=1.0, create_topic={"partitions": 3}), backlog=300)
    offering = asyncio.create_task(run.offer(600, per_second=250))
    await until(lambda: run.frames.acknowledged > 200)
    match how:
        case "pause":
            apache_kafka.pause()
            await asyncio.sleep(3)
            apache_kafka.resume()
        case "stop":
            await asyncio.to_thread(apache_kafka.stop)
            await asyncio.to_thread(apache_kafka.start)
        case "kill":
            await asyncio.to_thread(apache_kafka.kill)
            await asyncio.to_thread(apache_kafka.start)
    await offering
    await until(lambda: run.frames.pending == 0, timeout_s=30)
    await run.end()
    assert run.delivery.retries > 0
    assert run.frames.dropped["kafka: stopped"] == 0
    await everything_adds_up(run, apache_kafka.address())


async def test_a_batch_is_never_given_up_while_it_may_have_been_written(apache_kafka: ApacheKafka) -> None:
    """Also while its partition has no leader, here as its topic is gone, for longer than aiokafka would wait."""
    async with apache_kafka.proxy() as between:
        settings = kafka_settings(between.address, request_timeout=1.0, create_topic=None)
        async with administration(apache_kafka.address()) as admin:
            await made(admin, NewTopic(settings.topic, 1, 1))
        async with opened(settings) as sink, administration(apache_kafka.address()) as admin:
            between.mute()
            records = [record(number) for number in range(5)]
            with pytest.raises(SinkError, match="not acknowledged"):
                await sink.write(records)
            await deleted(admin, settings.topic)
            between.cut()
            await between.restore()
            for _ in range(3):
                with pytest.raises(SinkError, match=f"topic {settings.topic} is missing .* `create_topic`"):
                    await sink.write(records)
            await made(admin, NewTopic(settings.topic, 1, 1))
            await write_until_written(sink, records)
    assert await numbers(apache_kafka.address(), settings.topic) == {"door": list(range(5))}


async def test_stopped_while_the_broker_is_away_it_ends_in_time_and_counts_what_is_left(reach: Reach) -> None:
    before = asyncio.all_tasks()
    async with reach.through_proxy() as between:
        run = Run(kafka_settings(between.address, request_timeout=1.0))
        await run.put(100, per_second=1000)
        await until(lambda: run.frames.acknowledged == 100)
        between.stall()
        await run.offer(50, per_second=1000)
        began = time.monotonic()
        await run.delivery.close(0.5)
        assert time.monotonic() - began < 6
        await run.running
    assert run.frames.dropped == {"kafka: stopped": 50}
    await until(lambda: asyncio.all_tasks() == before)
