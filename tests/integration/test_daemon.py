"""The daemon from a real camera to a real broker, through outages of each, counted frame by frame."""

import asyncio
import contextlib
import gc
import json
import os
import threading
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiokafka import ConsumerRecord

from daemon.commands.run import App
from daemon.config.model import Config
from daemon.flow.pipeline import OVERLOAD
from daemon.simulator.camera import Camera
from daemon.simulator.clip import Scene, make_clip
from daemon.simulator.rtp import Clip
from tests.brokers import ApacheKafka, Proxy, new_topic, records_of
from tests.waiting import until

SCENE = Scene(width=640, height=360, fps=10, seconds=2)
OUTAGE_S = float(os.environ.get("OUTAGE_S", "3"))  # the full form: OUTAGE_S=30
SLOW_S = 0.7


@pytest.fixture(scope="module")
def clip_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "faces.mp4"
    make_clip(path, SCENE, gop=5)
    return path


@pytest.fixture
async def camera(clip_path: Path) -> AsyncIterator[Camera]:
    clip = await asyncio.to_thread(Clip.read, clip_path)
    async with Camera({"door": clip}) as camera:
        yield camera


def configured(source: str, to: dict[str, Any], **others: Any) -> Config:
    streams = {"door": {"source": source, "read_timeout": 2}}
    return Config(**{"streams": streams, "http": None} | to | others)


def to_topic(servers: str, topic: str, **sinks: Any) -> dict[str, Any]:
    kafka = {"type": "kafka", "topic": topic, "create_topic": {}}
    return {"clusters": {"own": {"bootstrap_servers": servers}}, "sinks": {"kafka": kafka, **sinks}}


@contextlib.asynccontextmanager
async def running(config: Config) -> AsyncIterator[App]:
    """The daemon, asked to stop at the end and awaited."""
    app, stop = App(config), asyncio.Event()
    task = asyncio.create_task(app.run(stop))
    try:
        await until(lambda: task.done() or bool(app.status()["streams"]))
        yield app
    finally:
        stop.set()
        async with asyncio.timeout(15):
            await task


def frames(app: App, what: str = "acknowledged") -> int:
    count: int = app.status()["streams"]["door"]["frames"][what]
    return count


def check_records(records: list[ConsumerRecord], app: App) -> list[dict[str, Any]]:
    """In order, without repetition, as many as were acknowledged; gives the documents."""
    status = app.status()["streams"]["door"]["frames"]
    assert status["pending"] == 0
    assert status["received"] == status["acknowledged"] + sum(status["dropped"].values())
    assert status["failed"] == {}
    documents = [json.loads(record.value) for record in records]
    streams = [document["stream"] for document in documents]
    runs = list(dict.fromkeys(stream["run"] for stream in streams))
    places = [(runs.index(stream["run"]), stream["frame"]) for stream in streams]
    assert places == sorted(set(places))
    assert len(records) == status["acknowledged"]
    assert {record.key for record in records} == {b"door"}
    return documents


async def test_documents_arrive_in_order_and_once_through_outages(camera: Camera, embedded_proxy: Proxy) -> None:
    await through_outages(camera, embedded_proxy)


async def test_documents_arrive_so_in_apache_kafka(camera: Camera, apache_kafka: ApacheKafka) -> None:
    async with apache_kafka.proxy() as broker:
        await through_outages(camera, broker)


async def through_outages(camera: Camera, broker: Proxy) -> None:
    topic = new_topic()
    async with running(configured(camera.url("door"), to_topic(broker.address, topic))) as app:
        await until(lambda: frames(app) >= 10)

        await camera.stop()
        await until(lambda: app.status()["streams"]["door"]["state"] == "waiting")
        seen = frames(app, "received")
        await asyncio.sleep(OUTAGE_S)
        assert frames(app, "received") == seen
        await camera.start()
        await until(lambda: frames(app) >= seen + 10, timeout_s=20)
        assert app.status()["streams"]["door"]["restarts"] >= 1

        broker.cut()
        acknowledged = frames(app)
        await asyncio.sleep(OUTAGE_S)

        def held() -> int:
            return int(app.status()["sinks"]["kafka"]["records"]["pending"])

        await until(lambda: held() > 20)  # the camera goes on, and its documents are kept
        kept = held()
        assert frames(app) <= acknowledged + 3  # what was on its way when the connection was cut
        await broker.restore()
        await until(lambda: frames(app) >= acknowledged + kept, timeout_s=30)
    # It was stopped while the camera ran: what was under way has arrived.
    documents = check_records(await records_of(broker.address, topic), app)
    assert len({document["stream"]["run"] for document in documents}) == 2
    faces = [len(document["objects"]) for document in documents]
    assert sum(faces) / len(faces) > 2  # three people walk about, and hide each other now and then


async def test_a_slow_broker_gets_all_in_larger_batches(camera: Camera, embedded_proxy: Proxy) -> None:
    topic = new_topic()
    async with running(configured(camera.url("door"), to_topic(embedded_proxy.address, topic))) as app:
        await until(lambda: frames(app) >= 10)
        embedded_proxy.slow_down(SLOW_S)
        before = frames(app)
        await asyncio.sleep(OUTAGE_S)
        assert frames(app) > before  # it is slow, not away
        assert app.status()["sinks"]["kafka"]["records"]["pending"] < 10 * SCENE.fps * SLOW_S
        await embedded_proxy.restore()
        await until(lambda: frames(app) >= before + SCENE.fps * OUTAGE_S - 5, timeout_s=20)
        # None for the sink; a busy machine may drop some before the detector.
        assert app.status()["streams"]["door"]["frames"]["dropped"].keys() <= {OVERLOAD}
    check_records(await records_of(embedded_proxy.address, topic), app)


async def test_a_broker_that_is_away_at_the_start_is_waited_for(camera: Camera, embedded_proxy: Proxy) -> None:
    topic = new_topic()
    embedded_proxy.cut()
    async with running(configured(camera.url("door"), to_topic(embedded_proxy.address, topic))) as app:
        await until(lambda: frames(app, "received") >= 10)
        assert frames(app) == 0
        assert app.status()["sinks"]["kafka"]["error"]
        await embedded_proxy.restore()
        await until(lambda: frames(app) >= 10, timeout_s=20)
    check_records(await records_of(embedded_proxy.address, topic), app)


async def test_what_a_broker_that_stays_away_did_not_get_is_counted(camera: Camera, embedded_proxy: Proxy) -> None:
    topic = new_topic()
    config = configured(camera.url("door"), to_topic(embedded_proxy.address, topic), stop_timeout=2)
    async with running(config) as app:
        await until(lambda: frames(app) >= 5)
        embedded_proxy.cut()
        await asyncio.sleep(2)
    dropped = app.status()["streams"]["door"]["frames"]["dropped"]
    assert sum(dropped.values()) >= 15
    assert frames(app, "pending") == 0
    await embedded_proxy.restore()
    records = await records_of(embedded_proxy.address, topic)
    # What was on its way when the connection was cut may have been written without an answer.
    assert frames(app) <= len(records) <= frames(app) + 3


async def test_two_sinks_get_the_same_and_a_file_ends_the_daemon(
    clip_path: Path, embedded: str, tmp_path: Path
) -> None:
    topic = new_topic()
    lines = tmp_path / "documents.jsonl"
    to = to_topic(embedded, topic, lines={"type": "file", "path": str(lines)})
    app = App(configured(str(clip_path), to))
    async with asyncio.timeout(30):
        await app.run(asyncio.Event())
    records = await records_of(embedded, topic)
    check_records(records, app)
    assert len(records) == SCENE.frames  # a file waits for room: nothing is dropped
    assert lines.read_bytes().splitlines() == [record.value for record in records]


async def test_headers_say_what_a_record_is(clip_path: Path, embedded: str) -> None:
    topic = new_topic()
    async with asyncio.timeout(30):
        await App(configured(str(clip_path), to_topic(embedded, topic))).run(asyncio.Event())
    records = await records_of(embedded, topic)
    headers = dict(records[0].headers)
    stream = json.loads(records[0].value)["stream"]
    assert headers["content-type"] == b"application/json"
    assert (headers["schema_id"], headers["schema_version"]) == (b"visaged.frame", b"2.1")
    assert headers["ce_id"].decode() == f"{stream['run']}-0"
    assert headers["ce_source"] == b"/streams/door"
    assert headers["ce_time"].decode() == stream["captured_at"]
    assert len({dict(record.headers)["ce_id"] for record in records}) == len(records)
    assert all(a.timestamp <= b.timestamp for a, b in pairwise(records))


async def test_pictures_go_along_where_asked_and_are_left_out_where_they_do_not_fit(
    clip_path: Path, embedded: str
) -> None:
    topic = new_topic()
    to = to_topic(embedded, topic)
    to["sinks"]["kafka"]["max_record_bytes"] = 20_000
    streams = {"door": {"source": str(clip_path), "image": "full", "chain": ["face-detector"]}}
    app = App(Config(streams=streams, http=None, **to))
    async with asyncio.timeout(30):
        await app.run(asyncio.Event())
    records = await records_of(embedded, topic)
    check_records(records, app)
    without = [record for record in records if "visaged-without-pictures" in dict(record.headers)]
    assert all("_image" not in json.loads(record.value) for record in without)
    assert len(without) == app.status()["sinks"]["kafka"]["notes"]["without_pictures"] == len(records)


async def test_nothing_is_left_after_a_stop(camera: Camera, embedded: str) -> None:
    async def once() -> None:
        async with running(configured(camera.url("door"), to_topic(embedded, new_topic()))) as app:
            await until(lambda: frames(app) >= 3)

    def open_things() -> tuple[set[str], int, int]:
        gc.collect()
        process = psutil.Process()
        names = {thread.name for thread in threading.enumerate() if not thread.name.startswith("asyncio_")}
        return names, process.num_fds(), len(asyncio.all_tasks())

    await once()  # what is loaded once stays
    await until(lambda: camera.connections == 0)
    before = open_things()
    await once()
    await until(lambda: camera.connections == 0)
    assert open_things() == before


async def test_credentials_of_a_camera_are_shown_nowhere(
    embedded: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    source = "rtsp://admin:s3cret@127.0.0.1:1/door?token=t0ken"
    async with running(configured(source, to_topic(embedded, new_topic()))) as app:
        await until(lambda: app.status()["streams"]["door"]["state"] == "waiting")
        shown = json.dumps(app.status()) + caplog.text + "".join(capfd.readouterr())
    assert "rtsp://***@127.0.0.1:1/door" in shown
    assert "s3cret" not in shown
    assert "t0ken" not in shown
