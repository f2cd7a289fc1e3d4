import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from daemon.wire.v2 import Reason, StreamInfo
from daemon.work.documents import EventPictures, PlaceEvents, TrackEvents
from daemon.work.events import Events
from daemon.work.followed import Followed, Sight
from daemon.work.journal import Journal
from daemon.work.shots import Shot, Shots
from processors.age import Age
from processors.gender import Gender
from processors.types import Box, TrackId
from sinks.base import Record
from tests.work.scenes import HEIGHT, START, WIDTH, face

EMITS = frozenset({Box, Age, Gender, TrackId})


def moment(frame: int) -> StreamInfo:
    return StreamInfo("hall", "run-1", frame, frame / 10, START + frame / 10, WIDTH, HEIGHT)


def followed(name: str, **results: object) -> Followed:
    track = Followed(name, "face", Shots(3), first_seen=START, last_seen=START + 1, frames=11)
    obj = face(320, 180, 72)
    track.shots.add(Shot(0.5, {Age: Age(20.0)}), START)
    track.best = Sight(obj, 0.5, WIDTH, HEIGHT, 3, START + 0.3, None)
    return track


def events(journal: Path | None, every: float | None = None) -> Events:
    return Events(
        TrackEvents("hall", "tracks", EventPictures()),
        PlaceEvents("hall", "tracks", EventPictures()),
        EMITS,
        None if journal is None else Journal(journal),
        every,
    )


def values(records: Sequence[Record]) -> list[dict[str, Any]]:
    return [json.loads(record.value) for record in records]


def event_ids(records: Sequence[Record]) -> list[str]:
    return [(dict(record.headers)["ce_id"] or b"").decode() for record in records]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hall.jsonl"


def test_what_an_event_says() -> None:
    record = events(None).left(followed("t-1"), moment(12), Reason.GONE)
    assert json.loads(record.value) == {
        "event": "left",
        "reason": "gone",
        "track": {
            "id": "t-1",
            "first_seen": "2023-11-14T22:13:20.000000Z",
            "last_seen": "2023-11-14T22:13:21.000000Z",
            "frames": 11,
            "best_shot": {"frame": 3, "captured_at": "2023-11-14T22:13:20.300000Z"},
        },
        "object": {
            "class": "face",
            "age": "20",
            "bbox": [pytest.approx(value) for value in (284 / 640, 144 / 360, 356 / 640, 216 / 360)],
            "track_id": "t-1",
        },
        "stream": moment(12).members(),
    }
    assert (record.key, record.topic, record.durable, record.timestamp) == ("hall", "tracks", True, START + 1.2)
    headers = dict(record.headers)
    assert (headers["schema_id"], headers["ce_type"]) == (b"visaged.track", b"visaged.track")
    assert headers["ce_source"] == b"/streams/hall"


def test_the_object_has_what_is_known_by_now() -> None:
    track = followed("t-1")
    said = events(None)
    assert "gender" not in values([said.appeared(track, moment(3))])[0]["object"]
    track.shots.add(Shot(0.4, {Age: Age(40.0), Gender: Gender(0.9)}), START + 1)  # not the best, but it has a say
    obj = values([said.updated(track, moment(4))])[0]["object"]
    assert (obj["age"], obj["gender"]) == ("30", "male")


def test_every_event_has_an_id_of_its_own() -> None:
    said, track = events(None), followed("t-1")
    records = [said.appeared(track, moment(1))]
    for revision in (1, 2):
        track.revision = revision
        records.append(said.updated(track, moment(2)))
    records.append(said.left(track, moment(3), Reason.GONE))
    assert event_ids(records) == ["t-1-appeared", "t-1-updated-1", "t-1-updated-2", "t-1-left"]


def test_a_track_is_present_where_nothing_else_was_said_for_so_long() -> None:
    said, track = events(None, every=2.0), followed("t-1")
    said.appeared(track, moment(0))
    records = []
    for frame in range(1, 70):
        track.frames = frame
        if frame == 30:
            said.updated(track, moment(frame))
        elif record := said.present(track, moment(frame)):
            records.append(record)
    assert [(value["event"], value["stream"]["frame"]) for value in values(records)] == [
        ("present", 20),
        ("present", 50),
    ]
    assert event_ids(records) == ["t-1-present-20", "t-1-present-50"]


def test_without_every_no_track_is_said_to_be_present(path: Path) -> None:
    said, track = events(path), followed("t-1")
    said.appeared(track, moment(0))
    assert [said.present(track, moment(frame)) for frame in range(1, 200)] == [None] * 199


class TestAfterACrash:
    def test_last_seen_is_seconds_old_at_most(self, path: Path) -> None:
        before, track = events(path), followed("t")
        before.appeared(track, moment(0))
        for frame in range(1, 500):  # 10 a second
            track.last_seen, track.frames = START + frame / 10, frame
            before.present(track, moment(frame))
        (left,) = values(events(path).begin())
        assert (left["event"], left["track"]["frames"]) == ("left", 450)
        assert left["track"]["last_seen"] == "2023-11-14T22:14:05.000000Z"

    def test_the_open_tracks_leave(self, path: Path) -> None:
        before = events(path)
        before.begin()
        before.appeared(followed("gone"), moment(0))
        before.appeared(followed("open"), moment(1))
        before.left(followed("gone"), moment(2), Reason.GONE)
        before.updated(followed("open"), moment(300))
        records = events(path).begin()
        (event,) = values(records)
        assert (event["event"], event["reason"], event["track"]["id"]) == ("left", "restart", "open")
        assert event["stream"] == moment(300).members()
        assert event_ids(records) == ["open-left"]
        assert records[0].durable

    def test_what_left_just_before_is_said_again_as_it_was(self, path: Path) -> None:
        before = events(path)
        before.appeared(followed("t"), moment(0))
        left = before.left(followed("t"), moment(5), Reason.GONE)
        (again,) = events(path).begin()
        assert again.value == left.value
        assert event_ids([again]) == event_ids([left])

    def test_after_another_crash_at_once_the_same_is_said(self, path: Path) -> None:
        events(path).appeared(followed("t"), moment(0))
        first, second = events(path).begin(), events(path).begin()
        assert values(first) == values(second)
        assert event_ids(first) == event_ids(second)

    def test_what_left_by_a_restart_long_ago_is_not_said_again(self, path: Path) -> None:
        events(path).appeared(followed("old"), moment(0))
        run = events(path)
        run.begin()
        run.appeared(followed("new"), moment(500))
        assert [event["track"]["id"] for event in values(events(path).begin())] == ["new"]

    def test_nothing_is_left_of_a_run_that_ended_well(self, path: Path) -> None:
        run = events(path)
        run.begin()
        run.appeared(followed("t"), moment(0))
        run.left(followed("t"), moment(5), Reason.RUN_ENDED)
        run.settle()
        assert events(path).begin() == []
        assert not path.exists()

    def test_without_a_journal_nothing_is_known(self) -> None:
        run = events(None)
        assert list(run.begin()) == []
        run.settle()
