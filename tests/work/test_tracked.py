import json
import re
from collections.abc import Sequence
from typing import Any, ClassVar

import pytest

from daemon.flow.receipts import Counts, LookCounts
from daemon.work.documents import Documents, EventPictures, PlaceEvents, TrackEvents
from daemon.work.emission import Emission, Policy
from daemon.work.events import Events
from daemon.work.hiding import Hides
from daemon.work.jobs import LEFT, ShotJob, ShotJobs
from daemon.work.looks import Looking, Looks
from daemon.work.privacy import PrivacySettings
from daemon.work.tracked import Schedule, Tracked
from processors.age import Age
from processors.tracker import Predicted, Tracker, TrackerSettings
from processors.types import BodyId, Box, Confidence, Label, Object, Pose, Processor, Sample, TrackId
from sinks.base import Record
from tests.work.scenes import Detector, Name, Namer, body, face, frame

EMITS = frozenset({Age, Box, Confidence, Pose, TrackId, BodyId, Predicted})
LOST_AFTER = 0.5
NOBODY = Hides(PrivacySettings(), ())
"""Is hidden."""

Scene = Sequence[Sequence[Object]]


def tracked(
    scene: Scene,
    *,
    every_nth: Sequence[tuple[int, Processor]] = (),
    shots: Sequence[Processor] = (),
    policy: Policy = "every",
    events: bool = True,
    image: bool = False,
    counts: Counts | None = None,
    every: int | None = 1,
    looks: Sequence[Looks] = (),
    present_every: float | None = None,
) -> Tracked:
    looks = looks or [Looks("face", Detector(*scene), every)]
    return Tracked(
        Schedule(looks, every_nth, shots),
        Looking(
            looks, Tracker(TrackerSettings(lost_after=LOST_AFTER)), LookCounts(), hides=Hides(PrivacySettings(), ())
        ),
        3,
        Emission(Documents("hall", EMITS), policy, "run"),
        Events(
            TrackEvents("hall", "tracks", EventPictures()),
            PlaceEvents("hall", "tracks", EventPictures()),
            EMITS,
            None,
            present_every,
        )
        if events
        else None,
        "hall",
        "run",
        keep_crops=image,
        jobs=ShotJobs(shots, counts or Counts()),
    )


def told(work: Tracked, frames: int, first: int = 0) -> list[Record]:
    return [record for index in range(first, frames) for record in work.tell(work.look(frame(index), index))]


def documents(records: Sequence[Record]) -> list[dict[str, Any]]:
    return [json.loads(record.value) for record in records if record.topic is None]


def events(records: Sequence[Record]) -> list[dict[str, Any]]:
    return [json.loads(record.value) for record in records if record.topic == "tracks"]


def said(records: Sequence[Record]) -> list[tuple[str, int]]:
    return [(event["event"], event["stream"]["frame"]) for event in events(records)]


def anonymous(records: Sequence[Record]) -> list[str]:
    """Without the part of the tracks' ids that no two runs share."""
    return [re.sub("[0-9a-f]{32}", "", record.value.decode()) for record in records]


def ids(document: dict[str, Any]) -> list[str]:
    return [obj["track_id"] for obj in document["objects"]]


class TestTracks:
    def test_objects_keep_their_ids_whatever_their_order(self) -> None:
        left, right = [face(100 + 4 * n) for n in range(10)], [face(500 - 4 * n) for n in range(10)]
        scene = [(a, b) if n % 2 else (b, a) for n, (a, b) in enumerate(zip(left, right, strict=True))]
        pairs = [ids(document) for document in documents(told(tracked(scene), 10))]
        assert len({tuple(pair[:: 1 if n % 2 else -1]) for n, pair in enumerate(pairs)}) == 1
        assert len(set(pairs[0])) == 2

    def test_no_run_uses_an_id_again(self) -> None:
        first, second = (documents(told(tracked([[face(100)]]), 1)) for _ in range(2))
        assert ids(first[0]) != ids(second[0])

    def test_a_frame_makes_the_document_that_it_would_without_tracks(self) -> None:
        (document,) = documents(told(tracked([[face(100, 100, 64)]]), 1))
        (obj,) = document["objects"]
        assert obj.keys() == {"id", "class", "confidence", "bbox", "track_id"}
        assert (document["stream"]["run"], document["stream"]["frame"]) == ("run", 0)

    def test_a_face_belongs_to_the_body_that_it_is_in_on_most_frames(self) -> None:
        left, right = body(200), body(400)
        scene = [[face(200, 80), face(400, 80), left, right] for _ in range(3)]
        scene.append([face(200, 80), face(400, 80), right])  # the left body was missed
        for document in documents(told(tracked(scene), 4)):
            one, other, *bodies = document["objects"]
            if len(bodies) == 2:
                known = [obj["track_id"] for obj in bodies]
            assert [one["body_id"], other["body_id"]] == known
            assert all("body_id" not in obj for obj in bodies)

    def test_a_body_that_has_left_is_nobodys(self) -> None:
        scene: list[list[Object]] = [[face(200, 80), body(200)]] + [[face(200, 80)]] * 8
        found = documents(told(tracked(scene), 9))
        assert "body_id" in found[5]["objects"][0]
        assert "body_id" not in found[8]["objects"][0]

    @pytest.mark.parametrize(
        ("x", "y", "belongs"), [(200, 80, True), (200, 400, False), (120, 80, False), (300, 80, False)]
    )
    def test_a_face_beside_a_body_does_not_belong_to_it(self, x: float, y: float, belongs: bool) -> None:
        (document,) = documents(told(tracked([[face(x, y), body(200)]]), 1))
        assert ("body_id" in document["objects"][0]) == belongs

    def test_of_two_bodies_around_a_face_it_is_the_one_whose_head_is_there(self) -> None:
        behind, own = body(215, 150, 280), body(200, 180, 240)
        (document,) = documents(told(tracked([[face(200, 90), face(215, 40), behind, own]]), 1))
        near, far, *bodies = document["objects"]
        assert [far["body_id"], near["body_id"]] == [obj["track_id"] for obj in bodies]


class TestWhatIsDue:
    def test_a_tracks_few_shots(self) -> None:
        namer = Namer()
        told(tracked([[face(100)]] * 40, shots=[namer]), 40)
        assert namer.frames == [0, 5, 10]

    def test_a_face_that_comes_near_is_looked_at_again(self) -> None:
        namer = Namer()
        told(tracked([[face(100, size=20)]] * 20 + [[face(100, size=30)]] * 20, shots=[namer]), 40)
        assert namer.frames == [0, 5, 10, 20, 25, 30]

    def test_every_nth_of_a_tracks_frames(self) -> None:
        namer = Namer()
        scene: list[list[Object]] = [[], [face(100)], [face(100)], [], *[[face(100)]] * 6]
        told(tracked(scene, every_nth=[(3, namer)]), 10)
        assert namer.frames == [1, 5, 8]

    def test_each_label_by_its_own(self) -> None:
        of_faces, of_bodies = Namer("face"), Namer("body")
        told(tracked([[face(100, 80), body(400)]], shots=[of_faces], every_nth=[(2, of_bodies)]), 1)
        assert (of_faces.frames, of_bodies.frames) == ([0], [0])

    @pytest.mark.parametrize("by_shots", [True, False])
    def test_what_was_found_stays_on_the_tracks_objects(self, by_shots: bool) -> None:
        namer = Namer()
        work = tracked(
            [[face(100), face(400)]] * 4, shots=[namer] if by_shots else [], every_nth=[] if by_shots else [(9, namer)]
        )
        for index in range(4):
            sample = work.look(frame(index), index)
            work.tell(sample)
            assert [obj[Name].value for obj in sample.objects] == [1, 2]


class TestDocuments:
    SCENE: Sequence[Sequence[Object]] = [[], [face(100)], [face(100)], *[[]] * 7, [face(100, size=90)]]

    def test_those_with_objects(self) -> None:
        found = documents(told(tracked(self.SCENE, policy="objects"), 11))
        assert [document["stream"]["frame"] for document in found] == [1, 2, 10]

    def test_those_on_which_a_track_begins_ends_or_is_known_better(self) -> None:
        scene = [*self.SCENE, [face(100, size=90)], [face(100, size=112)]]
        found = documents(told(tracked(scene, policy="change"), 13))
        # nobody at first; one; gone after half a second; another; a clearly better view of it
        assert [document["stream"]["frame"] for document in found] == [0, 1, 8, 10, 12]

    def test_a_frame_without_a_document_still_brings_its_events(self) -> None:
        records = told(tracked([[face(100)]] * 3, policy="change"), 3)
        assert [document["stream"]["frame"] for document in documents(records)] == [0]
        assert said(records) == [("appeared", 2)]


class TestEvents:
    def test_of_one_who_comes_nearer_and_goes(self) -> None:
        scene: list[list[Object]] = [[face(100, size=40)]] * 5 + [[face(100, size=60)]] * 3 + [[]] * 7
        work = tracked(scene)
        records = told(work, 15)
        assert said(records) == [("appeared", 2), ("updated", 5), ("left", 13)]
        assert {event["track"]["id"] for event in events(records)} == set(ids(documents(records)[0]))
        assert list(work.end()) == []

    def test_none_of_a_passing_error(self) -> None:
        work = tracked([[face(100)], [face(100)], *[[]] * 8])
        assert events(told(work, 10)) == []
        assert list(work.end()) == []

    def test_at_the_end_all_leave(self) -> None:
        work = tracked([[face(100), face(300)]] * 3)
        records = [*told(work, 3), *work.end()]
        assert said(records) == [("appeared", 2), ("appeared", 2), ("left", 2), ("left", 2)]
        assert [event.get("reason") for event in events(records)] == [None, None, "run ended", "run ended"]

    def test_of_a_run_without_frames(self) -> None:
        work = tracked([])
        assert [*work.begin(), *work.end()] == []

    def test_the_best_shot_with_what_all_shots_say(self) -> None:
        work = tracked([[face(150, size=40)]] * 7 + [[face(160, size=64)]] * 3 + [[face(160, size=62)]] * 9)
        event = events(told(work, 19))[-1]
        assert event["event"] == "updated"
        assert event["stream"]["frame"] > event["track"]["best_shot"]["frame"] == 7
        assert event["object"]["bbox"] == pytest.approx([128 / 640, 68 / 360, 192 / 640, 132 / 360])
        assert event["object"]["track_id"] == event["track"]["id"]
        assert event["track"]["frames"] == event["stream"]["frame"] + 1

    def test_a_crop_where_asked(self) -> None:
        with_crop = told(tracked([[face(100)]] * 3, image=True), 3)
        without = told(tracked([[face(100)]] * 3), 3)
        assert events(with_crop)[0]["object"]["_image"]["format"] == "IMAGE"
        assert "_image" not in events(without)[0]["object"]
        bare = next(record for record in with_crop if record.topic == "tracks").smaller
        assert bare is not None
        assert "_image" not in json.loads(bare)["object"]

    def test_without_events_none(self) -> None:
        work = tracked([[face(100)]] * 3, events=False)
        assert events([*work.begin(), *told(work, 3), *work.end()]) == []

    def test_a_frame_that_fails_leaves_its_events_to_the_next(self) -> None:
        work = tracked([[face(100)]] * 5 + [[]] * 6 + [[face(500)]] * 2)
        records = told(work, 2)
        work._emit = Broken(work._emit)  # type: ignore[assignment]
        with pytest.raises(ZeroDivisionError):
            work.tell(work.look(frame(2), 2))
        assert said([*records, *told(work, 13, first=3)]) == [("appeared", 2), ("left", 10)]

    def test_a_frame_whose_estimators_fail_loses_no_track(self) -> None:
        namer = Namer()
        work = tracked([[face(100)]] * 4 + [[]] * 6, shots=[namer])
        namer.broken = True
        for index in range(3):
            with pytest.raises(ZeroDivisionError):
                work.tell(work.look(frame(index), index))
        namer.broken = False
        assert said(told(work, 10, first=3)) == [("appeared", 3), ("left", 9)]


class TestPredictions:
    """A look on every third frame."""

    def test_a_document_has_what_is_known_of_the_track_and_nothing_that_is_true_of_a_look_alone(self) -> None:
        shown = documents(told(tracked([[face(100)]] * 4, shots=[Aged(), Turned()], every=3), 4))
        members = [document["objects"][0].keys() for document in shown]
        looked = {"id", "class", "age", "confidence", "bbox", "track_id"}
        assert members == [looked | {"pose"}, *[looked - {"confidence"} | {"predicted"}] * 2, looked]
        assert [document["objects"][0].get("predicted") for document in shown] == [None, True, True, None]
        assert len({obj["track_id"] for document in shown for obj in document["objects"]}) == 1

    def test_events_come_of_looks_alone_and_count_them(self) -> None:
        work = tracked([[face(100)]] * 13 + [[]] * 9, every=3, present_every=0.2)
        records = told(work, 22)
        assert said(records) == [("appeared", 6), ("present", 9), ("updated", 12), ("left", 18)]
        left = events(records)[-1]["track"]
        assert (left["frames"], left["last_seen"][17:23]) == (5, "21.200")

    def test_shots_are_of_looks_alone(self) -> None:
        namer = Namer()
        told(tracked([[face(100)]] * 20, shots=[namer], every=3), 20)
        assert namer.frames == [0, 6, 12]

    def test_nth_are_those_of_the_looks(self) -> None:
        namer = Namer()
        told(tracked([[face(100)]] * 20, every_nth=[(2, namer)], every=3), 20)
        assert namer.frames == [0, 6, 12, 18]

    def test_a_face_belongs_to_the_body_that_it_is_in_whichever_of_them_is_predicted(self) -> None:
        scene = [[face(200, 80), body(200)]] * 6
        looks = [Looks("face", Only("face", Detector(*scene)), 2), Looks("body", Only("body", Detector(*scene)), 3)]
        for document in documents(told(tracked(scene, looks=looks), 6)):
            by_class = {obj["class"]: obj for obj in document["objects"]}
            assert by_class["face"]["body_id"] == by_class["body"]["track_id"]

    def test_documents_do_not_depend_on_which_frames_are_looked_at_first(self) -> None:
        scene = [[face(100 + 4 * n)] for n in range(12)]
        one, other = tracked(scene, every=3), tracked(scene, every=3)
        samples = [other.look(frame(index), index) for index in reversed(range(12))][::-1]
        records = [record for sample in samples for record in other.tell(sample)]
        assert anonymous(records) == anonymous(told(one, 12))


class TestALiveStream:
    """Its shots are jobs: done() works on them, as the engine would."""

    def test_a_document_does_not_wait_and_the_next_has_what_is_known(self) -> None:
        namer = Namer()
        work = tracked([[face(100)]] * 4, shots=[namer])
        for index in range(4):
            sample = work.look(frame(index), index)
            work.tell(sample, live=True)
            assert [obj[Name].value for obj in sample.objects if Name in obj] == ([] if index < 2 else [1])
            if index == 1:
                done(work)
        assert namer.frames == [1]  # as good as the look before, and newer

    def test_what_is_found_is_said_by_updated_and_the_event_has_it(self) -> None:
        work = tracked([[face(100)]] * 8, shots=[Aged()])
        records = live(work, 4)
        assert said(records) == [("appeared", 2)]
        done(work)
        records = live(work, 6, first=4)
        assert said(records) == [("updated", 4)]
        assert events(records)[0]["object"]["age"] == "34"
        assert events(records)[0]["track"]["best_shot"]["frame"] == 3

    def test_of_a_track_one_shot_at_most_waits_or_is_under_way(self) -> None:
        work, counts = counted([[face(100)]] * 20)
        live(work, 3)
        job = taken(work)
        live(work, 20, first=3)
        assert (counts.received, counts.pending) == (1, 1)
        job.end()
        assert counts.acknowledged == 1

    def test_left_sheds_what_waits(self) -> None:
        work, counts = counted([[face(100)]] * 3 + [[]] * 7)
        assert said(live(work, 10)) == [("appeared", 2), ("left", 8)]
        assert counts.dropped == {LEFT: 1}
        assert work.aside.take() is None

    def test_left_waits_for_a_shot_under_way_and_has_it(self) -> None:
        work = tracked([[face(100)]] * 3 + [[]] * 9, shots=[Aged()])
        live(work, 3)
        job = taken(work)
        assert said(live(work, 10, first=3)) == []
        run(job)
        records = live(work, 12, first=10)
        assert said(records) == [("left", 10)]
        assert events(records)[0]["object"]["age"] == "34"

    def test_left_does_not_wait_for_ever_and_nothing_follows_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("daemon.work.tracked.LEAVE_S", 0.0)
        work, counts = counted([[face(100)]] * 3 + [[]] * 9)
        live(work, 3)
        job = taken(work)
        assert said(live(work, 10, first=3)) == [("left", 8)]
        run(job)
        assert said([*live(work, 12, first=10), *work.end()]) == []
        assert counts.dropped == {LEFT: 1}

    def test_at_the_end_of_a_run_all_leave_also_those_that_wait_for_a_shot(self) -> None:
        work = tracked([[face(100), face(400)]] * 3 + [[face(400)]] * 6, shots=[Namer()])
        records = live(work, 3)
        jobs = [taken(work), taken(work)]
        records += live(work, 9, first=3)
        records += work.end()
        for job in jobs:
            run(job)
        assert said(records) == [("appeared", 2), ("appeared", 2), ("left", 8), ("left", 8)]
        assert [event["reason"] for event in events(records)[2:]] == ["gone", "run ended"]

    def test_a_shot_that_fails_is_counted_and_tried_again_later(self) -> None:
        work, counts = counted([[face(100)]] * 12)
        live(work, 3)
        taken(work).fail(ZeroDivisionError())
        live(work, 7, first=3)
        assert (counts.failed, counts.pending) == ({"ZeroDivisionError": 1}, 0)
        live(work, 12, first=7)  # half a second later
        assert counts.pending == 1
        done(work)

    def test_without_costly_processors_nothing_is_put_aside(self) -> None:
        work, counts = counted([[face(100, size=40)]] * 5 + [[face(100, size=60)]] * 3, shots=())
        assert said(live(work, 8)) == [("appeared", 2), ("updated", 5)]
        assert counts.received == 0


def counted(scene: Scene, shots: Sequence[Processor] | None = None) -> tuple[Tracked, Counts]:
    counts = Counts()
    return tracked(scene, shots=[Namer()] if shots is None else shots, counts=counts), counts


def live(work: Tracked, frames: int, first: int = 0) -> list[Record]:
    return [record for index in range(first, frames) for record in work.tell(work.look(frame(index), index), live=True)]


def taken(work: Tracked) -> ShotJob:
    job = work.aside.take()
    assert job is not None
    return job


def run(job: ShotJob) -> None:
    for step in job.steps:
        step()
    job.end()


def done(work: Tracked) -> None:
    """All that waits."""
    while (job := work.aside.take()) is not None:
        run(job)


class Aged(Namer):
    """Says that everybody is 34."""

    makes: ClassVar[frozenset[type]] = frozenset({Age})

    def __call__(self, samples: Sequence[Sample]) -> None:
        for sample in samples:
            for obj in sample.objects:
                obj.put(Age(34.0))


class Turned(Namer):
    """Says how a head is turned, as the fitter does."""

    makes: ClassVar[frozenset[type]] = frozenset({Pose})

    def __call__(self, samples: Sequence[Sample]) -> None:
        for sample in samples:
            for obj in sample.objects:
                obj.put(Pose(0, 0, 0))


class Only:
    """Finds the objects of one label that a detector of both finds."""

    needs: ClassVar[frozenset[type]] = frozenset()
    makes: ClassVar[frozenset[type]] = frozenset({Box, Confidence})

    def __init__(self, label: Label, detector: Detector) -> None:
        self.applies_to = label
        self._detector = detector

    def __call__(self, samples: Sequence[Sample]) -> None:
        for sample in samples:
            found = Sample(sample.frame)
            self._detector([found])
            sample.objects += [obj for obj in found.objects if obj.label == self.applies_to]


class Broken:
    """Fails once."""

    def __init__(self, emit: Emission) -> None:
        self._emit = emit
        self._failed = False

    def __call__(self, *arguments: Any) -> Sequence[Record]:
        if not self._failed:
            self._failed = True
            raise ZeroDivisionError
        return self._emit(*arguments)
