"""Tracked streams with the real models: what comes of the people of the demo's clip, through stops and crashes."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence, Set
from itertools import groupby
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from daemon.commands.run import App
from daemon.config.model import Config
from daemon.simulator.camera import Camera
from daemon.simulator.clip import PEOPLE, Scene, make_clip
from daemon.simulator.rtp import Clip
from daemon.wire.blob import decode_base64
from daemon.wire.v2 import TEMPLATE
from models.store import ModelStore
from processors.boxes import iou
from processors.matcher import Matcher
from processors.registry import build_chain
from processors.template_extractor import Template
from processors.types import Frame, Sample
from tests.brokers import records_of
from tests.kafka_frames import Frames
from tests.processors.pictures import portrait
from tests.waiting import until

SCENE = Scene(width=640, height=360, fps=8, seconds=4)
SAME = 0.9
"""The matcher's score from which on two templates are one person's."""

Event = dict[str, Any]


@pytest.fixture(scope="module")
def clip_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "faces.mp4"
    make_clip(path, SCENE, gop=4)
    return path


def configuration(source: str, folder: Path, chain: Sequence[str], **others: Any) -> dict[str, Any]:
    stream = {
        "source": source,
        "chain": chain,
        "tracking": {"events": {}, "lost_after": 1.0},
        "zones": [{"name": "picture", "polygon": [[0, 0], [1, 0], [1, 1], [0, 1]]}],
        "lines": [{"name": "middle", "points": [[0.5, 1], [0.5, 0]], "directions": ["right", "left of it"]}],
    }
    return {
        "streams": {"hall": stream},
        "sinks": {"out": {"type": "file", "path": str(folder / "out.jsonl"), "linger": 0.01}},
        "http": None,
        **others,
    }


def documents_and_events(folder: Path) -> tuple[list[dict[str, Any]], list[Event]]:
    path = folder / "out.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []  # the last one is not whole yet
    values = [json.loads(line) for line in lines]
    return [value for value in values if "event" not in value], [value for value in values if "event" in value]


def of_tracks(events: Sequence[Event]) -> list[Event]:
    """And not of places."""
    return [event for event in events if not event.keys() & {"zone", "line"}]


def check_contract(
    events: Sequence[Event], zones: Sequence[str] = ("entered", "left"), cut: Set[str] = frozenset()
) -> None:
    """What a consumer builds on. `zones`: what each track does in the zone that is the whole picture.

    `cut`: tracks that were open at a crash, by which an `entered` on its way to the sink may be lost.
    """
    all_by_track: dict[str, list[Event]] = {}
    for event in events:
        all_by_track.setdefault(event["track"]["id"], []).append(event)
    for track, all_of_track in all_by_track.items():
        of_track = [event["event"] for event in of_tracks(all_of_track)]
        of_zone = [event["event"] for event in all_of_track if "zone" in event]
        assert of_zone == list(zones) or (track in cut and of_zone in (["left"], []))
        assert all_of_track[0]["event"] == "appeared"
        assert all_of_track[-1] in of_tracks(all_of_track)
        assert of_track[-1] == "left"
        assert Counter(of_track)["appeared"] == Counter(of_track)["left"] == 1
    runs = [(run, list(group)) for run, group in groupby(events, lambda event: event["stream"]["run"])]
    assert len({run for run, _ in runs}) == len(runs)  # one after the other
    for _, of_run in runs:
        for said_anew in (False, True):  # after a restart, as of each track's last event
            frames = [e["stream"]["frame"] for e in of_run if (e.get("reason") == "restart") == said_anew]
            assert frames == sorted(frames)


def template_of(obj: dict[str, Any]) -> bytes:
    return decode_base64(obj["template"][TEMPLATE]["blob"])


@pytest.fixture
def matcher(store: ModelStore) -> Matcher:
    return Matcher(store)


@pytest.fixture
def of_people(store: ModelStore) -> dict[str, bytes]:
    """Templates of the portraits that the clip is made of."""
    chain = build_chain(["face-detector", "face-fitter", "template-extractor"], {}, store)
    found = {}
    for person in PEOPLE:
        small = cv2.resize(portrait(person.name), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        sample = Sample(Frame.of(small))  # type: ignore[arg-type]
        chain([sample])
        found[person.name] = sample.objects[0][Template].blob
    return found


async def test_the_people_of_a_clip_each_once(
    clip_path: Path, tmp_path: Path, matcher: Matcher, of_people: dict[str, bytes]
) -> None:
    chain = ["face-detector", "face-fitter", "template-extractor"]
    app = App(Config(**configuration(str(clip_path), tmp_path, chain)))
    async with asyncio.timeout(60):
        await app.run(asyncio.Event())
    documents, events = documents_and_events(tmp_path)
    assert [document["stream"]["frame"] for document in documents] == list(range(SCENE.frames))
    assert app.status()["streams"]["hall"]["frames"]["acknowledged"] == SCENE.frames
    check_contract(events)
    assert {event["reason"] for event in events if event["event"] == "left"} <= {"gone", "run ended"}
    places = app.status()["streams"]["hall"]["places"]
    said = Counter(event["line"]["direction"] if "line" in event else event["event"] for event in events)
    assert said["right"] + said["left of it"] == said["entered"] > 0
    assert places["zones"] == {"picture": {"now": {"face": 0}, "entered": {"face": said["entered"]}}}
    assert places["lines"] == {"middle": {way: {"face": said[way]} for way in ("right", "left of it")}}
    assert documents[-1]["places"]["lines"] == places["lines"]

    # Each track is on one person, by the clip's own account, and its template is that person's.
    names: dict[str, Counter[str]] = {}
    for document in documents:
        truth = SCENE.truth(document["stream"]["frame"])
        boxes = np.array([face.box_xyxy for face in truth])
        for obj in document["objects"]:
            box = np.array(obj["bbox"]) * (SCENE.width, SCENE.height, SCENE.width, SCENE.height)
            name = truth[int(np.argmax(iou(box[None], boxes)))].track
            names.setdefault(obj["track_id"], Counter())[name] += 1
    left = {event["track"]["id"]: event for event in of_tracks(events) if event["event"] == "left"}
    assert {name for track in left for name in names[track]} == {person.name for person in PEOPLE}
    for track, event in left.items():
        assert len(names[track]) == 1
        score = {name: matcher.compare(template_of(event["object"]), blob).score for name, blob in of_people.items()}
        (own,) = names[track]
        assert {name for name in score if score[name] >= SAME} == {own}


async def test_a_stop_lets_all_leave(camera: Camera, tmp_path: Path) -> None:
    app, stop = App(Config(**configuration(camera.url("hall"), tmp_path, ["face-detector"]))), asyncio.Event()
    running = asyncio.create_task(app.run(stop))
    await until(lambda: bool(documents_and_events(tmp_path)[1]))
    stop.set()
    await asyncio.wait_for(running, 15)
    check_contract(documents_and_events(tmp_path)[1])


async def test_a_change_of_the_work_and_a_pause_at_run_time_let_all_leave(camera: Camera, tmp_path: Path) -> None:
    config = configuration(camera.url("hall"), tmp_path, ["face-detector"], state_dir=tmp_path / "state")
    door = config["streams"]["hall"]
    changed = door | {"zones": [door["zones"][0] | {"name": "whole"}]}
    changes = iter([changed, changed | {"paused": True}])

    def read() -> Config:
        return Config(**config | {"streams": {"hall": next(changes)}})

    def open_tracks() -> set[str]:
        events = of_tracks(documents_and_events(tmp_path)[1])
        appeared, left = (
            {event["track"]["id"] for event in events if event["event"] == what} for what in ("appeared", "left")
        )
        return appeared - left

    def runs() -> list[str]:
        return list(dict.fromkeys(document["stream"]["run"] for document in documents_and_events(tmp_path)[0]))

    app, stop = App(Config(**config), read), asyncio.Event()
    running = asyncio.create_task(app.run(stop))
    await until(lambda: bool(open_tracks()))
    app.read_soon()
    await until(lambda: len(runs()) == 2 and bool(open_tracks()))
    assert app.status()["streams"]["hall"]["restarts"] == 0
    assert app.status()["streams"]["hall"]["places"]["zones"].keys() == {"whole"}
    app.read_soon()
    await until(lambda: app.status()["streams"]["hall"]["state"] == "paused" and not open_tracks())
    await until(lambda: not list((tmp_path / "state" / "tracks").rglob("*.jsonl")))
    check_contract(documents_and_events(tmp_path)[1])
    stop.set()
    await asyncio.wait_for(running, 15)
    assert app.status()["streams"]["hall"]["frames"]["pending"] == 0


async def test_a_lost_camera_lets_all_leave(camera: Camera, tmp_path: Path) -> None:
    app, stop = App(Config(**configuration(camera.url("hall"), tmp_path, ["face-detector"]))), asyncio.Event()
    running = asyncio.create_task(app.run(stop))
    await until(lambda: bool(documents_and_events(tmp_path)[1]))
    await camera.stop()
    await until(lambda: app.status()["streams"]["hall"]["state"] == "waiting")
    await until(lambda: documents_and_events(tmp_path)[1][-1]["event"] == "left")
    check_contract(documents_and_events(tmp_path)[1])
    stop.set()
    await asyncio.wait_for(running, 15)


async def test_what_was_open_when_the_daemon_was_killed_leaves_when_it_is_back(camera: Camera, tmp_path: Path) -> None:
    config = configuration(
        camera.url("hall"), tmp_path, ["face-detector"], state_dir=str(tmp_path / "state"), log={"level": "error"}
    )
    (tmp_path / "mine.yaml").write_text(json.dumps(config))  # YAML too

    def events() -> list[Event]:
        return documents_and_events(tmp_path)[1]

    async with daemon(tmp_path) as process:
        await until(lambda: len(events()) >= 2, timeout_s=30)
        process.kill()
        assert await process.wait() == -signal.SIGKILL
    killed = events()
    still_open = {event["track"]["id"] for event in killed if event["event"] == "appeared"}
    still_open -= {event["track"]["id"] for event in of_tracks(killed) if event["event"] == "left"}
    assert still_open

    async with daemon(tmp_path) as process:
        await until(appeared_again(events, len(killed)), timeout_s=30)
        process.terminate()
        assert await process.wait() == 0
    restarted = events()[len(killed) :]
    assert {event["track"]["id"] for event in restarted if event.get("reason") == "restart"} == still_open
    anew = [event for event in restarted if event not in killed]  # what was said just before may be said again
    of_the_crash = [event.get("reason") == "restart" for event in anew]
    assert of_the_crash == sorted(of_the_crash, reverse=True)  # each leaves before anything else is said
    check_contract([*killed, *anew], cut=still_open)
    assert not list((tmp_path / "state").rglob("*.jsonl"))


async def test_each_key_of_frames_from_kafka_has_tracks_of_its_own(embedded: str, tmp_path: Path) -> None:
    frames = Frames(embedded, partitions=1)
    await frames.create()
    picture = cv2.imencode(".jpg", cv2.resize(portrait("obama"), None, fx=0.3, fy=0.3))[1].tobytes()
    config = frames.configuration(
        tracking={"events": {"topic": f"{frames.out}-events"}}, topic=f"{frames.out}-documents", idle_timeout=1
    )
    config["sinks"]["out"]["create_topic"] = {}
    app, stop = App(Config(**config, state_dir=tmp_path)), asyncio.Event()
    running = asyncio.create_task(app.run(stop))

    async def carried(count: int) -> None:
        await frames.send([(f"door-{number % 2}", picture) for number in range(10)])
        await until(lambda: app.status()["consumers"]["frames"]["frames"]["acknowledged"] == count, timeout_s=30)

    await until(lambda: running.done() or bool(app.status()["consumers"]))
    await carried(10)
    await until(lambda: not list(tmp_path.rglob("*.jsonl")), timeout_s=30)  # the keys are idle: their runs have ended
    await carried(20)
    stop.set()
    await asyncio.wait_for(running, 15)
    events = await records_of(embedded, f"{frames.out}-events")
    for key in (b"door-0", b"door-1"):
        of_key = [json.loads(event.value) for event in events if event.key == key]
        check_contract(of_key, zones=())
        assert [event["event"] for event in of_key if event["event"] != "updated"] == ["appeared", "left"] * 2
    documents = [json.loads(record.value) for record in await records_of(embedded, f"{frames.out}-documents")]
    tracks = Counter(obj["track_id"] for document in documents for obj in document["objects"])
    assert sorted(tracks.values()) == [5, 5, 5, 5]
    assert {json.loads(event.value)["track"]["id"] for event in events} == set(tracks)


def appeared_again(events: Callable[[], list[Event]], after: int) -> Callable[[], bool]:
    return lambda: any(event["event"] == "appeared" for event in events()[after:])


@pytest.fixture
async def camera(clip_path: Path) -> AsyncIterator[Camera]:
    clip = await asyncio.to_thread(Clip.read, clip_path)
    async with Camera({"hall": clip}, speed=2) as camera:
        yield camera


@contextlib.asynccontextmanager
async def daemon(folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of its own."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("VISAGED_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "daemon", "run", str(folder / "mine.yaml"), env=environ
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
