"""`visaged check --connect`."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from daemon.cli import main
from daemon.commands.connect import _needs, refusals
from daemon.config.load import load
from daemon.config.model import Config
from daemon.simulator.camera import Camera
from daemon.simulator.clip import Scene, make_clip
from daemon.simulator.rtp import Clip
from sinks.kafka_rights import (
    UNTOLD,
    Refusal,
    Right,
    _MetadataRequestStruct,
    _refused,
    makes_topics,
    refused_topics,
)
from sinks.kafka_settings import KafkaCluster
from sinks.mqtt_client import Connection
from tests.brokers import ApacheKafka, new_topic
from tests.kafka_frames import Frames
from tests.mqtt import mosquitto, mqtt_settings
from tests.sinks.receiver import Receiver


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        yield taken.getsockname()[1]


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text("http: null\n" + text)
    return path


async def test_cameras_that_answer_and_that_do_not(tmp_path: Path, closed_port: int) -> None:
    await asyncio.to_thread(make_clip, tmp_path / "clip.mp4", Scene(width=320, height=180, fps=5, seconds=1))
    clip = await asyncio.to_thread(Clip.read, tmp_path / "clip.mp4")
    async with Camera({"door": clip}) as camera:
        config = Config(
            streams={
                "there": {"source": camera.url("door")},
                "away": {"source": f"rtsp://me:hunter2@127.0.0.1:{closed_port}/1"},
                "file": {"source": "nowhere.mp4"},
            }
        )
        ((key, said),) = await refusals(config, pytest.fail)
    assert key == ("streams", "away", "source")
    assert said.startswith(f"rtsp://***@127.0.0.1:{closed_port}/1: nobody listens at 127.0.0.1:{closed_port}: ")


def test_what_refuses_is_named_with_its_line(
    tmp_path: Path, closed_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(
        tmp_path,
        f"clusters:\n  own: {{bootstrap_servers: '127.0.0.1:{closed_port}'}}\nsinks: {{k: {{type: kafka, topic: t}}}}\n"
        f"streams:\n  a: {{source: 'rtsp://127.0.0.1:{closed_port}/1', chain: [face-detector]}}\n",
    )
    assert main(["check", str(path)]) == 0  # nothing of the network is asked
    capsys.readouterr()
    assert main(["check", "--connect", str(path)]) == 1
    of_cluster, of_camera = capsys.readouterr().err.splitlines()
    assert of_cluster == f"{path}:3: clusters.own: 127.0.0.1:{closed_port}: connection refused"
    assert of_camera.startswith(f"{path}:6: streams.a.source: rtsp://127.0.0.1:{closed_port}/1: nobody listens at ")


async def test_webhooks_and_mqtt_brokers_that_answer_and_that_do_not(tmp_path: Path, closed_port: int) -> None:
    receiver = Receiver()
    await receiver.start()
    with mosquitto(tmp_path) as broker:
        running = Connection(mqtt_settings(broker.port), "visaged")
        await running.open()
        config = Config(
            sinks={
                "hook": {"type": "webhook", "url": receiver.url},
                "no-hook": {"type": "webhook", "url": f"http://127.0.0.1:{closed_port}/secret"},
                "mqtt": {"type": "mqtt", "host": "127.0.0.1", "port": broker.port},
                "no-mqtt": {"type": "mqtt", "host": "127.0.0.1", "port": closed_port},
            },
            traces={"endpoint": f"http://127.0.0.1:{closed_port}"},
        )
        found = dict(await refusals(config, pytest.fail))
        assert not running.lost.is_set()  # as a second client of the same client_id would have it
        await running.close()
    await receiver.stop()
    assert found == {
        ("sinks", "no-hook"): f"http://127.0.0.1:{closed_port}: connection refused",
        ("sinks", "no-mqtt"): f"127.0.0.1:{closed_port}: connection refused",
        ("traces", "endpoint"): f"http://127.0.0.1:{closed_port}: connection refused",
    }
    assert receiver.requests == []


async def test_topics_that_are_missing_are_named_and_not_made(apache_kafka: ApacheKafka, tmp_path: Path) -> None:
    servers, missing, made = apache_kafka.address(), new_topic(), new_topic()
    config = await asyncio.to_thread(
        load,
        written(
            tmp_path,
            f"clusters: {{own: {{bootstrap_servers: '{servers}'}}}}\n"
            "sinks:\n"
            f"  k: {{type: kafka, topic: {missing}}}\n"
            f"  m: {{type: kafka, topic: {made}, create_topic: {{}}}}\n"
            f"consumers: {{c: {{topics: [{made}-in], dead_letters: {{topic: {made}-dead}}, create_topics: {{}}}}}}\n",
        ),
    )
    for _ in range(2):
        assert await refusals(config, pytest.fail) == [(("sinks", "k", "topic"), f"topic {missing} is missing")]


async def test_what_init_writes_for_a_broker_that_makes_topics_and_tells_no_rights_is_ok(
    embedded: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "clip.mp4").touch()
    path, topic = tmp_path / "mine.yaml", new_topic()
    source = ["--offline", "--source", str(tmp_path / "clip.mp4")]
    assert await asyncio.to_thread(main, ["init", str(path), *source, "--broker", embedded, "--topic", topic]) == 0
    capsys.readouterr()
    for said in ([f"topic {topic} does not exist yet: run asks the brokers to make it"], []):
        assert await asyncio.to_thread(main, ["check", "--connect", str(path)]) == 0
        *notes, ok = capsys.readouterr().out.splitlines()
        assert notes == said
        assert ok.startswith(f"{path}: ok, ")
        async with AIOKafkaProducer(bootstrap_servers=embedded) as producer:
            await producer.send_and_wait(topic, b"{}")


async def test_whether_brokers_make_topics_is_asked_of_them(
    embedded: str, apache_kafka: ApacheKafka, tansu: str
) -> None:
    said = [
        await makes_topics(KafkaCluster(bootstrap_servers=each)) for each in (embedded, apache_kafka.address(), tansu)
    ]
    assert said == [True, False, None]


@pytest.mark.parametrize("delivery", ["at_least_once", "exactly_once"])
def test_who_makes_topics_that_are_missing(delivery: str) -> None:
    consumer = {"topics": ["in"], "topic": "own", "dead_letters": {"topic": "dead"}, "delivery": delivery}
    config = Config(
        clusters={"own": {"bootstrap_servers": "127.0.0.1:1"}},
        sinks={"k": {"type": "kafka", "topic": "out"}},
        consumers={"c": consumer},
    )
    of_consumer = None if delivery == "exactly_once" else "brokers"
    makers = {need.topic: need.made_by for need in _needs(config)}
    assert makers == {"out": "brokers", "own": of_consumer, "in": None, "dead": None}


async def test_a_broker_too_old_to_tell_rights_tells_what_is_missing(
    embedded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    topics = {new_topic(): Right.WRITE for _ in range(2)}
    there, gone = topics
    async with AIOKafkaProducer(bootstrap_servers=embedded) as producer:
        await producer.send_and_wait(there, b"{}")
    monkeypatch.setattr(_MetadataRequestStruct, "API_VERSION", 99)
    found = await refused_topics(KafkaCluster(bootstrap_servers=embedded), topics)
    assert found == {gone: Refusal(f"topic {gone} is missing", is_missing=True)}


async def test_rights_that_a_broker_does_not_give_are_named(apache_kafka: ApacheKafka) -> None:
    """Asked of a broker with rules: each right that is missing alone, and none where all are given."""
    kafka, names = apache_kafka, {each: new_topic() for each in ("in", "out", "dead")}
    frames = Frames(kafka.address(), source=names["in"], out=names["out"], dead=names["dead"])
    await frames.create()
    cluster = {
        "bootstrap_servers": kafka.address("sasl"),
        "sasl": {"username": kafka.user, "password": kafka.password},
    }
    config = Config(
        clusters={"own": cluster},
        sinks={"k": {"type": "kafka", "topic": frames.out}},
        consumers={
            "c": {"topics": [frames.source], "group": frames.group, "dead_letters": {"topic": frames.dead}},
        },
    )
    of_group, of_letters = ("consumers", "c", "group"), ("consumers", "c", "dead_letters", "topic")
    for topic in names.values():
        await kafka.allow("topic", topic)
    await kafka.allow("group", frames.group)
    assert dict(await refusals(config, pytest.fail)) == {
        ("consumers", "c", "topics"): f"we may not see topic {frames.source}: give this user READ on it",
        ("sinks", "k", "topic"): f"we may not see topic {frames.out}: give this user WRITE on it",
        of_letters: f"we may not see topic {frames.dead}: give this user WRITE on it",
        of_group: f"we may not be in group {frames.group}: give this user READ on it",
    }
    for topic in names.values():
        await kafka.allow("topic", topic, "describe")
    assert dict(await refusals(config, pytest.fail)) == {
        ("consumers", "c", "topics"): f"we may not read topic {frames.source}: give this user READ on it",
        ("sinks", "k", "topic"): f"we may not write topic {frames.out}: give this user WRITE on it",
        of_letters: f"we may not write topic {frames.dead}: give this user WRITE on it",
        of_group: f"we may not be in group {frames.group}: give this user READ on it",
    }
    await kafka.allow("topic", frames.source, "read")
    await kafka.allow("topic", frames.out, "write")
    await kafka.allow("group", frames.group, "read")
    assert dict(await refusals(config, pytest.fail)) == {
        of_letters: f"we may not write topic {frames.dead}: give this user WRITE on it"
    }
    await kafka.allow("topic", frames.dead, "write")
    assert await refusals(config, pytest.fail) == []


def test_rights_are_told_by_the_operations_that_a_broker_allows() -> None:
    read, write = 1 << Right.READ, 1 << Right.WRITE
    topics: list[tuple[Any, ...]] = [
        (0, "both", False, [], read | write),
        (0, "read only", False, [], read),
        (0, "untold", False, [], UNTOLD),
        (0, "without rights", False, [], 0),
        (29, "hidden", False, [], 0),
        (3, "missing", False, [], 0),
    ]
    assert dict(_refused(topics, {name: Right.WRITE for _, name, *_ in topics})) == {
        "read only": Refusal("we may not write topic read only: give this user WRITE on it"),
        "hidden": Refusal("we may not see topic hidden: give this user WRITE on it"),
        "missing": Refusal("topic missing is missing", is_missing=True),
    }
