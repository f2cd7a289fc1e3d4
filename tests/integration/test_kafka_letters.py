"""Records that no document can be made of, or whose time no topic takes: they stop nothing and are not lost."""

import os
import time
from typing import Any, NamedTuple

import pytest
from aiokafka import AIOKafkaProducer

from tests.brokers import ApacheKafka
from tests.integration.test_kafka_frames import DELIVERIES, POISON, consumer, ended, running
from tests.kafka_batches import change_batch, sealed
from tests.kafka_frames import Frames, Place, Tally, error_of, place_of, strip, tally
from tests.waiting import until

pytestmark = [pytest.mark.usefixtures("accounts"), pytest.mark.timeout(120)]

LARGE = {"max.message.bytes": "12000000"}
MONTH_S = 30 * 24 * 3600


async def poison(
    frames: Frames, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]]
) -> None:
    async with AIOKafkaProducer(bootstrap_servers=frames.servers, max_request_size=20_000_000) as producer:
        await producer.send_and_wait(frames.source, value, key, headers=headers)


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_a_dead_letter_has_key_value_and_headers_as_they_came(apache_kafka: ApacheKafka, delivery: str) -> None:
    frames = Frames(apache_kafka.address(), partitions=1)
    await frames.create()
    came: list[tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]] = [
        (b"\xff\xfe\x00\x01\xc8", POISON, [("null", None), ("bin", b"\xff"), ("dup", b"1"), ("dup", b"2")]),
        (None, b"junk", [("ce_id", b"orig")]),
        (b"", None, []),
    ]
    for record in came:
        await poison(frames, *record)
    async with running(frames.configuration(delivery)) as app:
        await until(lambda: ended(app) == 3, timeout_s=60)
        await until(lambda: consumer(app)["dead_letters"]["records"]["acknowledged"] == 3, timeout_s=20)
        (partition,) = consumer(app)["partitions"].values()
        assert (partition["dead_letters"], consumer(app)["dead_letters"]["error"]) == (3, None)
    letters = await frames.dead_letters()
    ours = 5
    assert [(letter.key, letter.value, list(letter.headers[:-ours])) for letter in letters] == came


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_what_cannot_be_read_is_passed_and_the_other_partitions_go_on(
    apache_kafka: ApacheKafka, delivery: str
) -> None:
    """A batch whose bytes changed on the broker's disk, and a header whose name is no UTF-8."""
    frames = Frames(apache_kafka.address(), partitions=2)
    await frames.create()
    async with AIOKafkaProducer(bootstrap_servers=frames.servers) as producer:
        for number in range(6):
            where = {"partition": number % 2, "headers": [("zone", b"north")]}
            await producer.send_and_wait(frames.source, strip(number), b"door", **where)
    damaged: list[bytes] = []

    def damage(batch: bytes) -> bytes:
        damaged.append(batch[:-30] + bytes([batch[-30] ^ 1]) + batch[-29:])
        return damaged[0]

    change_batch(apache_kafka, frames.source, 0, lambda batch: sealed(batch.replace(b"zone", b"z\xf6ne")))
    change_batch(apache_kafka, frames.source, 1, damage)
    async with running(frames.configuration(delivery, headers=["z\\xf6ne"])) as app:
        await until(lambda: ended(app) == 6, timeout_s=60)
        await until(lambda: consumer(app)["dead_letters"]["records"]["acknowledged"] == 1, timeout_s=20)
        counted = consumer(app)["frames"]
        assert (counted["acknowledged"], counted["failed"]) == (5, {"UnreadableRecord": 1})
    assert await frames.committed() == 6
    (letter,) = await frames.dead_letters()
    assert (letter.key, letter.value, place_of(letter)) == (None, damaged[0], Place(frames.source, 0, 1))
    kind, error = error_of(letter)
    assert (kind, error[:45]) == ("UnreadableRecord", "The records at offsets 1 to 1 cannot be read,")
    written = await frames.results()
    assert [dict(each.headers).get("z\\xf6ne") for each in written].count(b"north") == 1


class Junk(NamedTuple):
    """A record that is no picture, and what of its dead letter is said to be cut."""

    value: int
    header: int
    cut: bytes | None


@pytest.mark.parametrize("delivery", DELIVERIES)
@pytest.mark.parametrize(
    ("junk", "configured", "taken"),
    [
        (
            [
                Junk(5_000, 1_200_000, b"headers: 1200005 bytes"),
                Junk(2_000_000, 50_000, b"value: 2000000 bytes"),
                Junk(2_000_000, 1_200_000, b"value: 2000000 bytes, headers: 1200005 bytes"),
                Junk(500_000, 400_000, None),
            ],
            {},
            LARGE,
        ),
        ([Junk(60_000, 5_000, b"value: 60000 bytes")], {}, {"max.message.bytes": "20000"}),
        ([Junk(2_000_000, 1_200_000, None)], {"max_record_bytes": 5_000_000}, LARGE),
    ],
    ids=["by default", "where the broker takes less than was thought", "where more is allowed"],
)
async def test_what_a_dead_letter_has_no_room_for_is_cut_and_said(
    apache_kafka: ApacheKafka, delivery: str, junk: list[Junk], configured: dict[str, Any], taken: dict[str, str]
) -> None:
    frames = Frames(apache_kafka.address(), partitions=1)
    await frames.create(source_configs=LARGE, dead_configs=taken)
    for one in junk:
        await frames.send([("door", b"\0" + os.urandom(one.value - 1))], headers=[("thumb", os.urandom(one.header))])
    frames.sent.clear()
    await frames.send(frames.pictures(20, keys=3))
    letters = {"topic": frames.dead, **configured}
    async with running(frames.configuration(delivery, dead_letters=letters)) as app:
        await until(lambda: consumer(app)["dead_letters"]["records"]["acknowledged"] == len(junk), timeout_s=60)
        await until(lambda: consumer(app)["frames"]["acknowledged"] == 20, timeout_s=60)
    for letter, one in zip(await frames.dead_letters(), junk, strict=True):
        headers, cut = dict(letter.headers), one.cut or b""
        assert headers.get("visaged-cut") == one.cut
        assert len(letter.value) == (0 if b"value" in cut else one.value)
        assert len(headers.get("thumb", b"")) == (0 if b"headers" in cut else one.header)
        assert error_of(letter)[0] == "UnsupportedImage"
    assert tally(frames.sent, await frames.results()) == Tally(0, 0, 0, 0)
    assert await frames.committed() == 20 + len(junk)


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_no_offset_passes_a_dead_letter_that_was_not_written(apache_kafka: ApacheKafka, delivery: str) -> None:
    """As the user has no WRITE on their topic: which is told, and gone on from when it has."""
    kafka = apache_kafka
    frames = Frames(kafka.address(), partitions=1)
    await frames.create()
    await kafka.allow("topic", frames.dead, "describe")
    await frames.send([("door", strip(0)), ("door", POISON), *frames.pictures(20, keys=3)])
    configuration = frames.configuration(delivery)
    configuration["clusters"]["own"]["bootstrap_servers"] = kafka.address("sasl")
    configuration["clusters"]["own"]["sasl"] = {"username": kafka.user, "password": kafka.password}
    async with running(configuration) as app:
        await until(lambda: f"not allowed at topic {frames.dead}" in (consumer(app)["error"] or ""), timeout_s=20)
        assert consumer(app)["state"] == "stalled"
        assert await frames.committed() <= 1
        assert consumer(app)["dead_letters"]["records"]["acknowledged"] == 0
        (partition,) = consumer(app)["partitions"].values()
        assert (partition["dead_letters"], "this user needs" in partition["error"]) == (0, True)
        await kafka.allow("topic", frames.dead, "write")
        await until(
            lambda: consumer(app)["state"] == "running" and consumer(app)["frames"]["pending"] == 0, timeout_s=60
        )
        await until(lambda: consumer(app)["dead_letters"]["records"]["acknowledged"] == 1, timeout_s=20)
    assert await frames.committed() == 22
    assert len(await frames.dead_letters()) == 1


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_a_record_whose_time_the_output_refuses_stops_nothing(
    apache_kafka: ApacheKafka, delivery: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Its own topic takes any time; those of documents and dead letters take an hour ahead, as is the default."""
    frames = Frames(apache_kafka.address(), partitions=1)
    await frames.create(source_configs={"message.timestamp.after.max.ms": str(2**62)})
    ahead, year_20000 = round((time.time() + MONTH_S) * 1000), 569_000_000_000_000
    await frames.send(frames.pictures(10, keys=3))
    await frames.send([("skewed", strip(0)), ("skewed", POISON)], timestamp_ms=ahead)
    await frames.send([("skewed", strip(1)), ("skewed", POISON)], timestamp_ms=year_20000)
    await frames.send(frames.pictures(40, keys=3, seed=1))
    async with running(frames.configuration(delivery)) as app:
        await until(lambda: ended(app) >= 54 and consumer(app)["frames"]["pending"] == 0, timeout_s=90)
        await until(lambda: consumer(app)["state"] == "running")
    letters, results = await frames.dead_letters(), await frames.results()
    good = {place: key for place, key in frames.sent.items() if place.offset not in (11, 13)}
    skewed = list({place_of(record): record for record in results if record.key == b"skewed"}.values())
    found = tally(good, results)
    assert found._replace(doubled=0) == Tally(0, 0, 0, 0)
    assert delivery == "at_least_once" or found.doubled == 0
    for record, came in zip([*skewed, *letters], [ahead, year_20000] * 2, strict=True):
        assert dict(record.headers)["visaged-original-timestamp"] == str(came).encode()
        assert abs(record.timestamp / 1000 - time.time()) < 120
    assert await frames.committed() == 54
    told = [message for message in caplog.messages if "refuses a record's time" in message]
    assert len(told) == 2, told  # by each of the two topics, once
