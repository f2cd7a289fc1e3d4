"""What documents and events say of zones and lines. A face of 56 pixels walks through a picture of 640x360.

Its point is for good beyond an edge by 4.5 pixels: who walks is so one frame after the first beyond it.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from daemon.flow.place_counts import PlaceCounts
from daemon.flow.receipts import Counts, LookCounts
from daemon.wire.v2 import MEMBERS, OF_TRACKS_ALONE
from daemon.wire.version import members_of
from daemon.work.documents import Documents, EventPictures, PlaceEvents, TrackEvents
from daemon.work.emission import Emission, Policy
from daemon.work.events import HEARTBEAT_S, Events
from daemon.work.jobs import ShotJobs
from daemon.work.journal import Journal
from daemon.work.looks import Looking, Looks
from daemon.work.places.places import StreamPlaces, places_of
from daemon.work.places.settings import LineSettings, ZoneSettings
from daemon.work.tracked import Schedule, Tracked
from daemon.work.untracked import Untracked
from processors.age import Age
from processors.emotion import EMOTIONS, Emotions
from processors.gender import Gender
from processors.liveness import Liveness
from processors.mask import Mask
from processors.template_extractor import Template
from processors.tracker import Predicted, Tracker, TrackerSettings
from processors.types import BodyId, Box, Confidence, Landmarks, Object, Pose, Processor, Sample, TrackId, Zones
from sinks.base import Record
from tests.wire.test_members import POINTS, QUALITY
from tests.work.scenes import FPS, START, Detector, body, face, frame

EMITS = frozenset({Box, Confidence, TrackId, Predicted, Zones})
RIGHT = {"name": "right", "polygon": [(0.5, 0), (1, 0), (1, 1), (0.5, 1)]}
MIDDLE = {"name": "middle", "points": [(0.5, 1), (0.5, 0)], "directions": ("in", "out")}
Scene = Sequence[Sequence[Object]]


def places(
    *zones: dict[str, Any], lines: Sequence[dict[str, Any]] = (), counts: PlaceCounts | None = None
) -> StreamPlaces:
    settings = SimpleNamespace(
        zones=[ZoneSettings.model_validate(zone) for zone in zones],
        lines=[LineSettings.model_validate(line) for line in lines],
    )
    return places_of(settings, {"face"}, counts or PlaceCounts())


def work(
    scene: Scene,
    of: StreamPlaces,
    *,
    journal: Path | None = None,
    every: int | None = 1,
    policy: Policy = "every",
    events: bool = True,
    detector: Processor | None = None,
    emits: frozenset[type] = EMITS,
) -> Tracked:
    looks = [Looks("face", detector or Detector(*scene), every)]
    records = TrackEvents("hall", "tracks", EventPictures()), PlaceEvents("hall", "tracks", EventPictures())
    made = Tracked(
        Schedule(looks, [], []),
        Looking(looks, Tracker(TrackerSettings(lost_after=0.5)), LookCounts()),
        3,
        Emission(Documents("hall", emits), policy, "run"),
        Events(*records, emits, None if journal is None else Journal(journal)) if events else None,
        "hall",
        "run",
        keep_crops=False,
        jobs=ShotJobs([], Counts()),
        places=of,
    )
    made.begin()
    return made


def told(run: Tracked | Untracked, frames: int) -> list[Record]:
    return [record for index in range(frames) for record in run.tell(run.look(frame(index), index))]


def documents(records: Sequence[Record]) -> list[dict[str, Any]]:
    return [json.loads(record.value) for record in records if record.about.schema == "visaged.frame"]


def events(records: Sequence[Record]) -> list[dict[str, Any]]:
    return [json.loads(record.value) for record in records if record.about.schema == "visaged.place"]


def said(records: Sequence[Record]) -> list[tuple[str, str, int]]:
    """Of events of tracks and of places, but for `updated`."""
    values = [json.loads(record.value) for record in records if record.topic == "tracks"]
    return [
        (event["event"], _place(event), event["stream"]["frame"]) for event in values if event["event"] != "updated"
    ]


def _place(event: dict[str, Any]) -> str:
    return str((event.get("zone") or event.get("line") or {"name": "track"})["name"])


def ids(records: Sequence[Record]) -> list[str]:
    return [(dict(record.headers)["ce_id"] or b"").decode() for record in records if record.topic == "tracks"]


def walk(frames: int, step: float = 8, begin: float = 260) -> list[list[Object]]:
    return [[face(begin + step * index)] for index in range(frames)]


def seconds(time: str) -> float:
    """Since the scene's start."""
    return float(time[17:-1]) - START % 60


class TestDocuments:
    def test_objects_say_the_zones_that_they_are_in_and_the_document_how_many_are(self) -> None:
        made = documents(told(work(walk(20), places(RIGHT, lines=[MIDDLE])), 20))
        assert [len(document["objects"][0]["zones"]) for document in made] == [0] * 9 + [1] * 11
        assert [document["places"]["zones"]["right"]["now"]["face"] for document in made] == [0] * 9 + [1] * 11
        assert made[8]["places"]["lines"]["middle"] == {"in": {"face": 0}, "out": {"face": 0}}
        assert made[9]["places"] == {
            "zones": {"right": {"now": {"face": 1}, "entered": {"face": 1}}},
            "lines": {"middle": {"in": {"face": 1}, "out": {"face": 0}}},
        }

    def test_who_is_not_confirmed_yet_is_somewhere_and_does_not_count(self) -> None:
        made = documents(told(work(walk(4, 1, 400), places(RIGHT)), 4))
        assert [document["objects"][0]["zones"] for document in made] == [["right"]] * 4
        assert [document["places"]["zones"]["right"]["now"]["face"] for document in made] == [0, 0, 1, 1]

    def test_who_is_hidden_is_still_there_until_the_track_ends(self) -> None:
        scene: list[Sequence[Object]] = [*walk(5, 1, 400), *[[]] * 10]
        made = documents(told(work(scene, places(RIGHT)), 15))
        now = [document["places"]["zones"]["right"]["now"]["face"] for document in made]
        assert now == [0, 0, *[1] * 8, *[0] * 5]  # lost after half a second

    def test_a_predicted_object_is_where_it_was_seen_last(self) -> None:
        records = told(work(walk(30), places(RIGHT, lines=[MIDDLE]), every=4), 30)
        zones = [document["objects"][0]["zones"] for document in documents(records)]
        assert zones == [*[[]] * 12, *[["right"]] * 18]  # beyond the edge on frame 8, and predicted to be on 9
        assert said(records) == [("appeared", "track", 8), ("entered", "right", 12), ("crossed", "middle", 12)]

    @pytest.mark.parametrize(
        ("of", "expected"), [(places(RIGHT), True), (places(lines=[MIDDLE]), True), (places(), False)]
    )
    def test_a_change_of_places_is_a_change(self, of: StreamPlaces, expected: bool) -> None:
        scene = [[face(312)]] * 20 + [[face(328)]] * 20
        made = documents(told(work(scene, of, policy="change"), 40))
        assert (20 in [document["stream"]["frame"] for document in made]) == expected

    def test_without_events_places_are_counted_all_the_same(self) -> None:
        made = documents(told(work(walk(20), places(RIGHT, lines=[MIDDLE]), events=False), 20))
        assert made[-1]["places"]["zones"]["right"] == {"now": {"face": 1}, "entered": {"face": 1}}
        assert made[-1]["places"]["lines"]["middle"]["in"] == {"face": 1}


class TestWithoutTracks:
    def test_zones_are_those_of_the_frame_and_nobody_is_known_to_have_entered(self) -> None:
        scene = [[face(100), face(400), face(500)], [face(319)], [body(400)]]
        run = Untracked(Detector(*scene), Emission(Documents("hall", EMITS), "every", "run"), places(RIGHT))
        assert run.in_order
        run.begin()
        made = documents(told(run, 3))
        assert [[obj["zones"] for obj in document["objects"]] for document in made] == [
            [[], ["right"], ["right"]],
            [[]],
            [[]],  # of another class
        ]
        numbers = [document["places"]["zones"] for document in made]
        assert numbers == [{"right": {"now": {"face": number}}} for number in (2, 0, 0)]

    def test_without_zones_nothing_is_said_of_them(self) -> None:
        run = Untracked(Detector([face(100)]), Emission(Documents("hall", EMITS - {Zones}), "every", "run"), places())
        assert not run.in_order
        run.begin()
        (document,) = documents(told(run, 1))
        assert "places" not in document
        assert "zones" not in document["objects"][0]


class TestEvents:
    def test_what_they_say(self) -> None:
        scene = [*walk(20), *walk(20, -8, 412)]
        entered, crossed, left, back = events(told(work(scene, places(RIGHT, lines=[MIDDLE])), 40))
        assert (entered["event"], crossed["event"], left["event"]) == ("entered", "crossed", "left")
        assert entered["zone"].keys() == {"name", "entered_at"}
        assert seconds(entered["zone"]["entered_at"]) == pytest.approx(0.8)  # at 324 of 640 pixels
        assert crossed["line"] | {"crossed_at": None} == {"name": "middle", "direction": "in", "crossed_at": None}
        assert seconds(crossed["line"]["crossed_at"]) == pytest.approx(0.8)
        assert (left["reason"], left["zone"]["dwell"]) == ("outside", pytest.approx(2.4))
        assert seconds(left["zone"]["left_at"]) == pytest.approx(3.2)
        assert back["line"]["direction"] == "out"
        assert entered["object"]["zones"] == ["right"]
        assert (left["object"]["zones"], left["object"]["class"]) == ([], "face")
        assert left["track"]["id"] == left["object"]["track_id"]

    def test_one_that_came_and_went_before_it_was_confirmed_is_told_of_then(self) -> None:
        scene = [[face(x)] for x in (315, 325, 315, 315)]
        records = told(work(scene, places(RIGHT, lines=[MIDDLE])), 4)
        assert said(records) == [
            ("appeared", "track", 2),
            ("entered", "right", 2),
            ("crossed", "middle", 2),
            ("left", "right", 2),
            ("crossed", "middle", 2),
        ]

    def test_who_never_appears_is_in_no_zone(self) -> None:
        counts = PlaceCounts()
        run = work([*walk(2, 1, 400), *[[]] * 10], places(RIGHT, counts=counts))
        assert said([*told(run, 12), *run.end()]) == []
        assert counts.entered == {("right", "face"): 0}

    def test_a_zone_is_left_before_the_track_leaves_and_at_the_end_of_a_run(self) -> None:
        scene = [[face(400, y), *([face(500, 280)] if index < 5 else [])] for index, y in enumerate([100] * 14)]
        run = work(scene, places(RIGHT))
        records = [*told(run, 14), *run.end()]
        assert said(records)[4:] == [
            ("left", "right", 10),
            ("left", "track", 10),
            ("left", "right", 13),
            ("left", "track", 13),
        ]
        assert [event["reason"] for event in events(records)[2:]] == ["gone", "run ended"]
        assert len(set(ids(records))) == len(ids(records))
        assert [event["zone"]["dwell"] for event in events(records)[2:]] == [pytest.approx(0.4), pytest.approx(1.3)]

    def test_loitering(self) -> None:
        (_, loitering) = events(told(work(walk(20, 1, 400), places(RIGHT | {"loitering": 0.95})), 20))
        assert (loitering["event"], loitering["zone"]["dwell"]) == ("loitering", pytest.approx(1.0))

    def test_an_event_has_what_is_known_of_its_object_but_no_template(self) -> None:
        scene, known = walk(20), Known(*walk(20))
        records = told(work(scene, places(RIGHT), detector=known, emits=frozenset(MEMBERS)), 20)
        (event,) = events(records)
        appeared = next(json.loads(record.value) for record in records if record.about.event == "appeared")
        of_events = [write for kind, write in MEMBERS.items() if kind not in OF_TRACKS_ALONE]
        assert event["object"].keys() == {"class", *members_of(of_events)}
        assert appeared["object"].keys() == event["object"].keys() | {"template"}

    def test_events_are_never_dropped_and_say_what_they_are(self) -> None:
        record = next(one for one in told(work(walk(20), places(RIGHT)), 20) if one.about.schema == "visaged.place")
        assert (record.durable, record.key, record.about.event) == (True, "hall", "entered")
        assert dict(record.headers)["schema_id"] == b"visaged.place"


class TestCounts:
    def test_they_go_on_from_run_to_run_but_nobody_is_there_between(self) -> None:
        counts = PlaceCounts()
        for number in (1, 2):
            run = work(walk(20), places(RIGHT, lines=[MIDDLE], counts=counts))
            told(run, 20)
            assert counts.now == {("right", "face"): 1}
            run.end()
            assert counts.now == {("right", "face"): 0}
            assert counts.entered == {("right", "face"): number}
            assert counts.crossed == {("middle", "in", "face"): number, ("middle", "out", "face"): 0}

    def test_a_run_that_was_cut_off_leaves_nobody_behind(self) -> None:
        counts = PlaceCounts()
        told(work(walk(20), places(RIGHT, counts=counts)), 20)
        work(walk(20), places(RIGHT, counts=counts))
        assert counts.now == {("right", "face"): 0}

    def test_a_zone_that_is_no_more_has_no_figures(self) -> None:
        counts = PlaceCounts()
        told(work(walk(20), places(RIGHT, lines=[MIDDLE], counts=counts)), 20)
        work(walk(20), places(RIGHT | {"name": "other"}, RIGHT, counts=counts))
        assert counts.entered == {("other", "face"): 0, ("right", "face"): 1}
        assert counts.crossed == {}


class TestAfterACrash:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "hall.jsonl"

    def again(self, path: Path) -> list[Record]:
        return list(
            Events(
                TrackEvents("hall", "tracks", EventPictures()),
                PlaceEvents("hall", "tracks", EventPictures()),
                EMITS,
                Journal(path),
            ).begin()
        )

    def test_open_visits_are_left_before_their_tracks(self, path: Path) -> None:
        scene = [[face(400, 100), face(100 + 4 * index, 280)] for index in range(80)]
        records = told(work(scene, places(RIGHT), journal=path), 80)
        again = self.again(path)
        assert [name for _, name, _ in said(again)] == ["right", "track", "right", "track"]
        assert {
            (event, value["reason"])
            for event, value in zip(["left"] * 4, map(json.loads, map(_value, again)), strict=True)
        } == {("left", "restart")}
        frames = [frame for *_, frame in said(again)]
        assert frames == sorted(frames)
        entered = {i.removesuffix("-entered") for i in ids(records) if i.endswith("-entered")}
        assert entered == {i.removesuffix("-left") for i in ids(again)[::2]}

    def test_the_dwell_time_is_seconds_too_short_at_most(self, path: Path) -> None:
        frames = int(3.5 * HEARTBEAT_S * FPS)
        told(work([[face(400)]] * frames, places(RIGHT), journal=path), frames)
        (left, _) = (json.loads(record.value) for record in self.again(path))
        assert frames / FPS - HEARTBEAT_S <= left["zone"]["dwell"] <= frames / FPS
        assert seconds(left["zone"]["left_at"]) == pytest.approx(left["zone"]["dwell"])

    def test_what_has_just_left_or_crossed_is_said_again_as_it_was(self, path: Path) -> None:
        scene = [*walk(20), *walk(20, -8, 412)]
        records = told(work(scene, places(RIGHT, lines=[MIDDLE]), journal=path), 40)
        before = {
            i: record.value for i, record in zip(ids(records), (r for r in records if r.topic == "tracks"), strict=True)
        }
        again = dict(zip(ids(self.again(path)), self.again(path), strict=True))
        assert [event["event"] for event in map(json.loads, map(_value, again.values()))] == [
            *("crossed", "left", "crossed"),
            "left",  # of the track
        ]
        *places_again, _ = again
        assert [again[i].value for i in places_again] == [before[i] for i in places_again]

    def test_a_run_that_ends_leaves_nothing(self, path: Path) -> None:
        run = work(walk(20), places(RIGHT, lines=[MIDDLE]), journal=path)
        told(run, 20)
        run.end()
        run.settle()
        assert self.again(path) == []

    def test_a_journal_of_tracks_alone_can_be_read(self, path: Path) -> None:
        told(work(walk(20), places(), journal=path), 20)
        old = [json.loads(line)[:4] for line in path.read_text().splitlines()]
        path.write_text("".join(json.dumps(line) + "\n" for line in old))
        assert [name for _, name, _ in said(self.again(path))] == ["track"]


class Known(Detector):
    """Finds faces of whom all is known."""

    def __call__(self, samples: Sequence[Sample]) -> None:
        super().__call__(samples)
        results = (
            *(Age(34.0), Gender(0.9), Emotions((1 / len(EMOTIONS),) * len(EMOTIONS)), Mask(0.1, False)),
            *(Liveness(0.9, True), QUALITY, Pose(1, 2, 3), Landmarks(POINTS), Template(b"template"), BodyId("b")),
        )
        for obj in samples[0].objects:
            for result in results:
                obj.put(result)


def _value(record: Record) -> bytes:
    return record.value
