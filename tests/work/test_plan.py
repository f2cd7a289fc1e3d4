import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from daemon.work.plan import Plan
from daemon.work.settings import ProcessorSettings, WorkSettings
from models.store import ModelStore
from processors.types import Frame
from tests.processors.pictures import portrait

CHAIN = ["face-detector", "face-fitter", "age-estimator"]


def plan(store: ModelStore, journals: Path | None = None, **settings: Any) -> Plan:
    work = WorkSettings.model_validate({"chain": CHAIN, **settings})
    return Plan(work, ProcessorSettings(), store, journals)


def frames(count: int) -> list[Frame]:
    picture = cv2.resize(portrait("obama"), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    wide = np.hstack([picture, picture[:, ::-1]])
    return [Frame.of(wide, index=index, pts=index / 5, captured_at=index / 5) for index in range(count)]


def documents(plan: Plan, count: int) -> list[dict[str, Any]]:
    work = plan.work("hall", "run")
    records = [record for frame in frames(count) for record in work.tell(work.look(frame, frame.index))]
    return [json.loads(record.value) for record in records if not record.durable]


def test_without_tracking_every_frame_stands_alone(store: ModelStore) -> None:
    (document,) = documents(plan(store), 1)
    assert [obj.keys() for obj in document["objects"]] == [
        {"id", "class", "age", "confidence", "bbox", "keypoints", "pose"}
    ] * 2
    assert not plan(store).work("hall", "run").in_order
    assert plan(store, emit="change").work("hall", "run").in_order


def test_with_tracking_the_age_stays_on_the_track(store: ModelStore) -> None:
    first, second = documents(plan(store, tracking={"shots": 1}), 2)
    assert [obj["age"] for obj in first["objects"]] == [obj["age"] for obj in second["objects"]]
    assert [obj["track_id"] for obj in first["objects"]] == [obj["track_id"] for obj in second["objects"]]


def test_a_look_now_and_then_and_the_fitter_on_shots(store: ModelStore) -> None:
    per = {"face-detector": 3, "face-fitter": "track"}
    seldom = plan(store, tracking={"shots": 1, "per": per})
    found = [document["objects"] for document in documents(seldom, 4)]
    known = {"id", "class", "age", "bbox", "track_id"}
    of_look, of_shot = known | {"confidence"}, known | {"confidence", "keypoints", "pose"}
    assert [obj.keys() for obj in found[0]] == [of_shot] * 2
    assert [obj.keys() for obj in (*found[1], *found[2])] == [known | {"predicted"}] * 4
    assert [obj.keys() for obj in found[3]] == [of_look] * 2
    assert {obj["track_id"] for obj in found[0]} == {obj["track_id"] for obj in found[2]}
    assert (seldom.looks.looks, seldom.looks.predictions) == ({"face": 2}, {"face": 2})
    calls = {name: spent.calls for name, spent in seldom.timing.spent.items()}
    assert calls == {"decode": 2, "face-detector": 2, "face-fitter": 1, "age-estimator": 1}


def test_objects_outside_the_regions_are_no_tracks(store: ModelStore) -> None:
    left = [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]
    (document,) = documents(plan(store, tracking={}, regions={"include": [left]}), 1)
    (obj,) = document["objects"]
    assert obj["bbox"][2] < 0.5


def test_settings_of_the_streams_processors(store: ModelStore) -> None:
    (document,) = documents(plan(store, processors={"face_detector": {"score_threshold": 0.99}}), 1)
    assert document["objects"] == []


def test_topics_and_pictures(store: ModelStore) -> None:
    tracking = {"confirmed_after": 1, "events": {"topic": "tracks", "image": True}}
    work = plan(store, tracking=tracking, topic="faces", image="crops").work("hall", "run")
    records = work.tell(work.look(frames(1)[0], 0))
    assert [record.topic for record in records] == ["faces", "tracks", "tracks"]
    assert all(b"_image" in record.value for record in records)


def test_streams_of_the_same_id_have_journals_of_their_own(store: ModelStore, tmp_path: Path) -> None:
    kept = plan(store, tmp_path, tracking={"confirmed_after": 1, "events": {}})
    works = [kept.work("a/b", "run", place) for place in ("", "frames/in-0", "frames/in-1")]
    for work in works:
        work.begin()
        work.tell(work.look(frames(1)[0], 0))
    assert len(list(tmp_path.rglob("*.jsonl"))) == 3
    again = [kept.work("a/b", "run", place).begin() for place in ("", "frames/in-0", "frames/in-1")]
    assert [len(records) for records in again] == [2, 2, 2]
    assert len({record.value for records in again for record in records}) == 6


@pytest.mark.parametrize("stream", ["..", ".", "/etc/passwd", "a\\b", "\x00", "ü" * 300])
def test_no_id_of_a_stream_leads_out_of_the_folder(store: ModelStore, tmp_path: Path, stream: str) -> None:
    journals = tmp_path / "tracks"
    work = plan(store, journals, tracking={"confirmed_after": 1, "events": {}}).work(stream, "run")
    work.begin()
    assert work.tell(work.look(frames(1)[0], 0))
    assert {path.parent for path in tmp_path.rglob("*") if path.is_file()} <= {journals}
