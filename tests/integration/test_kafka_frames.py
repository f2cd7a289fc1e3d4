"""Frames from Kafka, through the daemon, to Kafka: by real brokers, counted record by record."""

import asyncio
import base64
import contextlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from daemon.commands.demo.run import PHOTO
from daemon.commands.run import App
from daemon.config.model import Config
from daemon.http.metrics import collect
from tests.benchmarks.kafka_faults import Faults, carry, holds
from tests.brokers import ApacheKafka, Proxy, new_topic, records_of
from tests.kafka_frames import Frames, Tally, error_of, place_of, strip, tally
from tests.waiting import until

pytestmark = [pytest.mark.usefixtures("accounts"), pytest.mark.timeout(180)]

DELIVERIES = ["at_least_once", "exactly_once"]
POISON = b"\xff\xd8\xff no picture"


@contextlib.asynccontextmanager
async def running(configuration: dict[str, Any]) -> AsyncIterator[App]:
    """The daemon, asked to stop at the end and awaited."""
    app, stop = App(Config(**configuration)), asyncio.Event()
    task = asyncio.create_task(app.run(stop))
    try:
        await until(lambda: task.done() or bool(app.status()["consumers"]))
        yield app
    finally:
        stop.set()
        async with asyncio.timeout(30):
            await task


def consumer(app: App) -> dict[str, Any]:
    status: dict[str, Any] = app.status()["consumers"]["frames"]
    return status


def ended(app: App) -> int:
    frames = consumer(app)["frames"]
    failed: dict[str, int] = frames["failed"]
    return int(frames["acknowledged"]) + sum(failed.values())


def figures(app: App) -> Counter[str]:
    """What /metrics shows of the consumer: each figure by its name, summed over the other labels."""
    found = Counter[str]()
    for family in collect(app.overview):
        for sample in family.samples:
            if sample.labels.get("consumer") == "frames":
                found[sample.name.removeprefix("visaged_consumer_")] += sample.value  # type: ignore[assignment]
    return found


@pytest.fixture(params=["embedded at_least_once", "apache_kafka at_least_once", "apache_kafka exactly_once"])
def way(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A broker, and the delivery that it can do."""
    name, delivery = request.param.split()
    broker = request.getfixturevalue(name)
    return broker.address() if isinstance(broker, ApacheKafka) else broker, delivery


async def test_each_frame_once_and_each_key_in_order_and_poison_to_the_dead_letters(way: tuple[str, str]) -> None:
    servers, delivery = way
    frames = Frames(servers)
    await frames.create()
    values = frames.pictures(300, keys=10)
    values[50], values[51], values[200] = ("camera-1", POISON), ("camera-2", None), ("camera-3", b'{"objects": []}')
    sent_at = time.time()
    await frames.send(values, headers=[("trace", None)])
    async with running(frames.configuration(delivery)) as app:
        await until(lambda: ended(app) == 300, timeout_s=60)
        await until(lambda: consumer(app)["dead_letters"]["records"]["acknowledged"] == 3, timeout_s=20)
        await until(lambda: figures(app).get("partition_lag") == 0, timeout_s=20)
        of_sink = app.status()["sinks"]["out"]["records"]
        assert (of_sink["received"], of_sink["acknowledged"]) == (297, 297)
        row, metrics = consumer(app), figures(app)
    assert metrics["frames_received_total"] == 300
    assert metrics["frames_acknowledged_total"] == metrics["latency_seconds_count"] == 297
    assert metrics["frames_failed_total"] == metrics["partition_dead_letters_total"] == 3
    assert metrics["frames_pending"] == 0
    assert metrics["partition_pending"] == sum(one["pending"] for one in row["partitions"].values())
    assert metrics["stage_seconds_count"] == 300 + 300 + 297  # wait, look, tell
    assert metrics["state"] == 1
    calls = {name: spent["calls"] for name, spent in row["processors"].items()}
    assert calls == {"decode": 300, "face-detector": 297, "tell": 297}
    assert row["latency"]["p50"] <= row["latency"]["p95"] < time.time() - sent_at
    letters = await frames.dead_letters()
    good = {place: key for place, key in frames.sent.items() if place not in {place_of(record) for record in letters}}
    assert len(good) == 297
    assert tally(good, await frames.results()) == Tally(0, 0, 0, 0)
    assert sorted((record.key, record.value, *error_of(record)) for record in letters) == [
        (
            b"camera-1",
            POISON,
            "DamagedImage",
            "The image is damaged: a segment is cut short",
        ),
        (b"camera-2", None, "UnsupportedImage", "This record has no value"),
        (b"camera-3", b'{"objects": []}', "InvalidDocument", "_image: Field required"),
    ]
    assert {place_of(record) for record in letters} <= frames.sent.keys()
    assert {record.headers[0] for record in letters} == {("trace", None)}
    assert await frames.committed() == 300


async def test_a_document_says_which_record_it_is_of(way: tuple[str, str]) -> None:
    servers, delivery = way
    frames = Frames(servers)
    await frames.create()
    blob = base64.b64encode(strip(1)).decode()
    await frames.send([("door", strip(0)), ("door", json.dumps({"_image": {"blob": blob}}).encode()), (None, strip(2))])
    async with running(frames.configuration(delivery)) as app:
        await until(lambda: ended(app) == 3, timeout_s=60)
    found = {place_of(record): record for record in await frames.results()}
    assert found.keys() == frames.sent.keys()
    for place, record in found.items():
        stream = json.loads(record.value)["stream"]
        key = frames.sent[place] or f"{place.topic}-{place.partition}"
        assert (record.key.decode(), stream["id"], stream["frame"]) == (key, key, place.offset)
        assert (stream["width"], stream["height"]) == (40, 4)
        assert dict(record.headers)["ce_id"].decode() == f"{place.topic}-{place.partition}-{place.offset}"


async def committed_at(offset: int, servers: str, records: int) -> Frames:
    """A partition of so many, whose group has committed this."""
    frames = Frames(servers, partitions=1)
    await frames.create()
    await frames.send(frames.pictures(records, keys=3))
    await frames.commit(offset)
    return frames


async def test_a_partition_that_ends_before_what_was_committed_is_begun_again(
    way: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """As after a broker was restored from a backup, or a topic made anew."""
    servers, delivery = way
    frames = await committed_at(172, servers, records=20)
    async with running(frames.configuration(delivery)) as app:
        await until(lambda: ended(app) == 20, timeout_s=60)
        (partition,) = consumer(app)["partitions"].values()
        assert (partition["error"], partition["reopened"], partition["offsets_lost"]) == (None, 1, 0)
    assert await frames.committed() == 20
    assert tally(frames.sent, await frames.results()) == Tally(0, 0, 0, 0)
    assert f"{frames.source}-0: committed 172, the partition ends at 20: going on at 0" in caplog.messages
    assert not [record for record in caplog.records if record.exc_info]


async def test_where_a_group_starts_with_the_latest_it_goes_on_at_the_end(
    way: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    servers, delivery = way
    frames = await committed_at(172, servers, records=20)
    async with running(frames.configuration(delivery, start="latest")) as app:
        await until(lambda: "the partition ends at 20: going on at 20" in caplog.text, timeout_s=60)
        await until(lambda: all(partition["open"] for partition in consumer(app)["partitions"].values()))
    assert await frames.committed() == 20  # without a record: what comes while no daemon runs is not passed over
    frames.sent.clear()
    await frames.send(frames.pictures(10, keys=3))
    async with running(frames.configuration(delivery, start="latest")) as app:
        await until(lambda: ended(app) == 10, timeout_s=60)
    assert tally(frames.sent, await frames.results()) == Tally(0, 0, 0, 0)


@pytest.mark.parametrize("delivery", DELIVERIES)
@pytest.mark.parametrize("start", ["earliest", "latest"])
async def test_records_that_were_deleted_before_their_turn_are_counted(
    apache_kafka: ApacheKafka, delivery: str, start: str, caplog: pytest.LogCaptureFixture
) -> None:
    frames = await committed_at(5, apache_kafka.address(), records=30)
    await frames.delete_before(12)
    async with running(frames.configuration(delivery, start=start)) as app:
        await until(lambda: ended(app) == 18, timeout_s=60)
        (partition,) = consumer(app)["partitions"].values()
        assert (partition["error"], partition["offsets_lost"]) == (None, 7)
    assert await frames.committed() == 30
    left = {place: key for place, key in frames.sent.items() if place.offset >= 12}
    assert tally(left, await frames.results()) == Tally(0, 0, 0, 0)
    said = f"{frames.source}-0: committed 5, the partition begins at 12, 7 offsets are lost: going on at 12"
    assert said in caplog.messages


async def test_topics_are_created_with_the_asked_partitions(way: tuple[str, str]) -> None:
    servers, delivery = way
    frames = Frames(servers, partitions=3)
    configuration = frames.configuration(delivery, create_topics={"partitions": 3})
    configuration["sinks"]["out"]["create_topic"] = {"partitions": 3}
    async with running(configuration) as app:
        await until(lambda: len(consumer(app)["partitions"]) == 3, timeout_s=30)
        await frames.send(frames.pictures(30, keys=5))
        await until(lambda: ended(app) == 30, timeout_s=30)
    assert tally(frames.sent, await frames.results()) == Tally(0, 0, 0, 0)


async def test_a_consumer_runs_when_it_has_its_partitions_and_not_while_the_broker_is_away(
    apache_kafka: ApacheKafka,
) -> None:
    frames = Frames(apache_kafka.address(), partitions=1)
    await frames.create()
    async with apache_kafka.proxy() as between:
        configuration = frames.configuration("exactly_once")
        configuration["clusters"]["own"]["bootstrap_servers"] = between.address
        between.cut()
        async with running(configuration) as app:
            await until(lambda: consumer(app)["state"] == "waiting")
            await between.restore()
            await until(lambda: consumer(app)["state"] == "running", timeout_s=60)
            assert consumer(app)["error"] is None
            between.cut()
            await until(lambda: consumer(app)["state"] == "connecting")
            assert consumer(app)["error"] == f"{between.address}: connection refused"
            await between.restore()
            await until(lambda: consumer(app)["state"] == "running")
            assert consumer(app)["error"] is None


async def test_a_missing_topic_is_named_and_waited_for(way: tuple[str, str]) -> None:
    servers, delivery = way
    frames = Frames(servers)
    if delivery == "at_least_once":  # whose sink sees to its own topic, and refuses for good
        await records_of(servers, await created(servers, frames.out))
    async with running(frames.configuration(delivery)) as app:
        await until(lambda: bool(consumer(app)["error"]), timeout_s=30)
        assert f"expected topics that are there, got {frames.source}" in consumer(app)["error"]
        assert "create_topics" in consumer(app)["error"]
        await frames.create()
        await frames.send(frames.pictures(10, keys=2))
        await until(lambda: ended(app) == 10, timeout_s=60)
    assert await frames.committed() == 10


async def created(servers: str, topic: str) -> str:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 4, 1)])
    await admin.close()
    return topic


async def test_topics_that_cannot_be_made_are_refused_in_clear_words(apache_kafka: ApacheKafka) -> None:
    frames = Frames(apache_kafka.address())
    copies = {"replication_factor": 3}
    configuration = frames.configuration("exactly_once", create_topics=copies)
    configuration["sinks"]["out"]["create_topic"] = {}
    async with running(configuration) as app:
        await until(lambda: bool(consumer(app)["error"]), timeout_s=30)
    assert f"topic {frames.source} cannot be created: Unable to replicate" in consumer(app)["error"]


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_a_member_that_comes_and_one_that_goes(apache_kafka: ApacheKafka, delivery: str) -> None:
    """Not on the embedded broker, whose groups hang for long where someone commits while they rebalance."""
    frames = Frames(apache_kafka.address())
    await frames.create()
    configuration = frames.configuration(delivery)
    async with running(configuration) as first:
        sending = asyncio.create_task(frames.send(frames.pictures(1500, keys=20), per_second=150))
        await until(lambda: ended(first) > 200, timeout_s=30)
        async with running(configuration) as second:
            await until(lambda: ended(second) > 100, timeout_s=30)
            assert len(consumer(first)["partitions"]) == len(consumer(second)["partitions"]) == 2
        await until(lambda: len(consumer(first)["partitions"]) == 4, timeout_s=30)
        await sending
        deadline = asyncio.get_running_loop().time() + 30
        while await frames.committed() < 1500:
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.1)
    found = tally(frames.sent, await frames.results())
    assert holds(delivery, found), found


async def test_nothing_is_committed_while_one_sink_of_two_fails(embedded: str, embedded_proxy: Proxy) -> None:
    frames = Frames(embedded)
    await frames.create()
    configuration = frames.configuration(max_pending=8, create_topics={"partitions": 4})
    other = new_topic()
    configuration["clusters"]["far"] = {"bootstrap_servers": embedded_proxy.address, "request_timeout": 1}
    configuration["consumers"]["frames"]["cluster"] = configuration["sinks"]["out"]["cluster"] = "own"
    configuration["sinks"]["far"] = {"type": "kafka", "cluster": "far", "topic": other, "create_topic": {}}
    embedded_proxy.cut()
    await frames.send(frames.pictures(200, keys=10))
    async with running(configuration) as app:
        await until(lambda: consumer(app)["frames"]["received"] == 4 * 8, timeout_s=30)
        await asyncio.sleep(2)
        partitions = consumer(app)["partitions"].values()
        assert [partition["pending"] for partition in partitions] == [8, 8, 8, 8]  # and no more is read
        assert await frames.committed() == 0
        assert len(await frames.results()) == 4 * 8
        await embedded_proxy.restore()
        await until(lambda: ended(app) == 200, timeout_s=60)
    assert await frames.committed() == 200
    assert tally(frames.sent, await frames.results()) == Tally(0, 0, 0, 0)
    assert tally(frames.sent, await records_of(embedded, other)) == Tally(0, 0, 0, 0)


async def test_what_is_kept_of_a_key_goes_when_it_is_idle(way: tuple[str, str]) -> None:
    servers, delivery = way
    frames = Frames(servers, partitions=1)
    await frames.create()
    await frames.send(frames.pictures(100, keys=20))
    async with running(frames.configuration(delivery, idle_timeout=1)) as app:
        (partition,) = await partitions_of(app, 1)
        await until(lambda: consumer(app)["partitions"][partition]["keys"] == 20, timeout_s=30)
        await until(lambda: consumer(app)["partitions"][partition]["keys"] == 0, timeout_s=30)
        await frames.send(frames.pictures(100, keys=20, seed=1))
        await until(lambda: ended(app) == 200, timeout_s=30)
    assert tally(frames.sent, await frames.results()) == Tally(0, 0, 0, 0)


async def partitions_of(app: App, count: int) -> list[str]:
    await until(lambda: len(consumer(app)["partitions"]) == count, timeout_s=30)
    return list(consumer(app)["partitions"])


async def test_exactly_once_through_an_outage_of_the_broker(apache_kafka: ApacheKafka) -> None:
    frames = Frames(apache_kafka.address())
    await frames.create()
    async with apache_kafka.proxy() as between:
        configuration = frames.configuration("exactly_once")
        configuration["clusters"]["own"]["bootstrap_servers"] = between.address
        async with running(configuration) as app:
            sending = asyncio.create_task(frames.send(frames.pictures(600, keys=20), per_second=150))
            await until(lambda: ended(app) > 100, timeout_s=30)
            between.mute()
            await asyncio.sleep(1)
            between.cut()
            await asyncio.sleep(3)
            await between.restore()
            await sending
            deadline = asyncio.get_running_loop().time() + 60
            while await frames.committed() < 600:
                assert asyncio.get_running_loop().time() < deadline, consumer(app)
                await asyncio.sleep(0.1)
    assert tally(frames.sent, await frames.results()) == Tally(0, 0, 0, 0)


async def test_a_document_that_the_broker_finds_too_large_goes_without_its_pictures(apache_kafka: ApacheKafka) -> None:
    frames = Frames(apache_kafka.address(), partitions=1)
    await frames.create({"max.message.bytes": "40000"})
    noise = np.random.default_rng(0).integers(0, 255, (200, 320, 3), np.uint8)
    large = cv2.imencode(".jpg", noise)[1].tobytes()
    await frames.send([("door", strip(0)), ("door", large), ("door", strip(2))])
    async with running(frames.configuration("exactly_once", image="full")) as app:
        await until(lambda: len(app.status()["consumers"]["frames"]["partitions"]) == 1, timeout_s=30)
        await until(lambda: consumer(app)["frames"]["acknowledged"] == 3, timeout_s=30)
    results = await frames.results()
    assert tally(frames.sent, results) == Tally(0, 0, 0, 0)
    assert ["_image" in json.loads(record.value) for record in results] == [True, False, True]


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_daemons_that_are_killed_while_frames_go_through(
    apache_kafka: ApacheKafka, delivery: str, tmp_path: Path
) -> None:
    """The large form is tests/benchmarks/kafka_faults.py."""
    faults = Faults(records=1500, keys=50, kills=2, stops=0, restarts=0, daemons=1, partitions=4)
    found = await carry(Frames(apache_kafka.address()), delivery, faults, tmp_path)
    assert holds(delivery, found), found


async def test_tracks_of_a_key_have_their_events_in_the_transactions(apache_kafka: ApacheKafka) -> None:
    """The last of them when the key is idle, and when the daemon stops."""
    frames = Frames(apache_kafka.address(), partitions=1)
    await frames.create()
    events = await created(apache_kafka.address(), f"{frames.out}-events")
    photo = cv2.imread(str(PHOTO))
    assert photo is not None
    face = cv2.imencode(".jpg", cv2.resize(photo, None, fx=0.3, fy=0.3))[1].tobytes()
    await frames.send([("door", face)] * 10)
    tracking = {"events": {"topic": events}}
    async with running(frames.configuration("exactly_once", tracking=tracking, idle_timeout=1)) as app:
        await until(lambda: ended(app) == 10, timeout_s=30)
        (partition,) = consumer(app)["partitions"]
        await until(lambda: consumer(app)["partitions"][partition]["keys"] == 0, timeout_s=30)
        await frames.send([("door", face)] * 10)
        await until(lambda: ended(app) == 20, timeout_s=30)
    assert tally(frames.sent, await frames.results()) == Tally(0, 0, 0, 0)
    told = [json.loads(record.value) for record in await records_of(frames.servers, events, "read_committed")]
    said = [event["event"] for event in told if event["event"] != "updated"]
    assert said == ["appeared", "left", "appeared", "left"]
    assert await frames.committed() == 20
