"""Scenes of walking boxes, looked at as often as a camera would; seconds, pixels of 1280 x 720."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pytest

from daemon.simulator.clip import Scene
from processors.tracker import Predicted, Track, Tracker, TrackerSettings
from processors.types import Confidence, Floats, Frame, Image, Object, Sample

Box = Sequence[float] | Floats
STARTED = 1.7e9
LOST_AFTER = TrackerSettings().lost_after


def face(x: float, y: float = 300, size: float = 100) -> Box:
    return (x - 0.4 * size, y - 0.5 * size, x + 0.4 * size, y + 0.5 * size)


def sample(
    at: float, *boxes: Box, label: str = "face", size: tuple[int, int] = (1280, 720), pts: float | None = None
) -> Sample:
    frame = Frame(
        nothing_to_see, width=size[0], height=size[1], pts=at if pts is None else pts, captured_at=STARTED + at
    )
    return Sample(frame, [Object(label, np.array(box, float)) for box in boxes])


def nothing_to_see() -> Image:
    raise AssertionError("a tracker looks at no picture")


def ids(seen: Sample) -> list[int]:
    return [obj[Track].id for obj in seen.objects]


def look(tracker: Tracker, at: float, *boxes: Box) -> list[int]:
    seen = sample(at, *boxes)
    tracker(seen)
    return ids(seen)


@pytest.fixture
def tracker() -> Tracker:
    return Tracker(TrackerSettings())


Walk = Callable[[float], Box | None]
"""Where somebody is seen at a time; None while hidden."""


def ids_of_walks(walks: Mapping[str, Walk], times: Iterable[float], noise: float = 0.0) -> dict[str, set[int]]:
    """The tracks that each gets; the detector lists its boxes in any order, and shakes them."""
    draw = np.random.default_rng(0)
    tracker = Tracker(TrackerSettings())
    given: dict[str, set[int]] = {name: set() for name in walks}
    for at in times:
        boxes = {name: box for name, walk in walks.items() if (box := walk(at)) is not None}
        names = [list(boxes)[i] for i in draw.permutation(len(boxes))]
        found = look(tracker, at, *(np.array(boxes[name]) + draw.normal(scale=noise, size=4) for name in names))
        for name, track in zip(names, found, strict=True):
            given[name].add(track)
    return given


def apart(given: Mapping[str, set[int]]) -> bool:
    """Each has one track, and no two the same."""
    return all(len(tracks) == 1 for tracks in given.values()) and len(set.union(*given.values())) == len(given)


def seconds(duration: float, fps: float) -> Floats:
    return np.arange(0, duration, 1 / fps)


@pytest.mark.parametrize("fps", [25, 5, 2])
@pytest.mark.parametrize("noise", [0.0, 3.0])
def test_two_who_pass_each_other_keep_their_tracks(fps: float, noise: float) -> None:
    """At one size a second and two frames a second, boxes of one face do not overlap half."""
    walks: dict[str, Walk] = {
        "to the right": lambda t: face(200 + 110 * t, 300),
        "to the left": lambda t: face(1000 - 90 * t, 330),
    }
    assert apart(ids_of_walks(walks, seconds(8, fps), noise))


@pytest.mark.parametrize("fps", [25, 5])
def test_the_farther_one_is_hidden_while_they_cross(fps: float) -> None:
    def behind(t: float) -> Box | None:
        x = 1000 - 100 * t
        return None if abs(x - (200 + 110 * t)) < 60 else face(x, 310, 80)

    walks: dict[str, Walk] = {"before": lambda t: face(200 + 110 * t, 300, 120), "behind": behind}
    assert apart(ids_of_walks(walks, seconds(8, fps), 2.0))


@pytest.mark.parametrize("fps", [25, 5, 2])
def test_who_walks_behind_a_pillar_is_known_after_it(fps: float) -> None:
    """1.5 seconds out of sight."""
    walks: dict[str, Walk] = {"walker": lambda t: None if 3 < t < 4.5 else face(200 + 120 * t)}
    assert apart(ids_of_walks(walks, seconds(8, fps), 2.0))


@pytest.mark.parametrize("fps", [25, 2])
def test_who_stops_behind_a_pillar_is_known_too(fps: float) -> None:
    walks: dict[str, Walk] = {"walker": lambda t: None if 3 < t < 5 else face(200 + 120 * min(t, 3.2))}
    assert apart(ids_of_walks(walks, seconds(8, fps), 2.0))


def test_at_two_frames_a_second_a_fast_walk_leaves_no_overlap() -> None:
    """1.5 sizes from frame to frame."""
    walks: dict[str, Walk] = {"runner": lambda t: face(50 + 300 * t)}
    assert apart(ids_of_walks(walks, seconds(4, 2)))


def test_frames_that_are_dropped_change_nothing() -> None:
    """Steps are measured in seconds, so a walk looks the same through an uneven rate."""
    times = np.cumsum(np.random.default_rng(0).choice([0.04, 0.08, 0.2, 0.6], 60))
    walks: dict[str, Walk] = {
        "a": lambda t: face(100 + 70 * t, 200),
        "b": lambda t: face(1200 - 70 * t, 260),
        "c": lambda t: face(640 + 100 * np.sin(t), 500),
    }
    assert apart(ids_of_walks(walks, times[times < 15], 2.0))


@pytest.mark.parametrize("every", [1, 3, 5])
def test_the_demos_people_keep_their_tracks(every: int) -> None:
    """Three who walk about and cross, for a minute; who is hidden by half is not found."""
    scene = Scene()
    frames = range(0, scene.frames * 6, every)
    given: dict[str, set[int]] = {}
    tracker = Tracker(TrackerSettings())
    for index in frames:
        shown = [one for one in scene.truth(index) if one.hidden < 0.5]
        found = look(tracker, index / scene.fps, *(one.box_xyxy for one in shown))
        for one, track in zip(shown, found, strict=True):
            given.setdefault(one.track, set()).add(track)
    assert len(given) == 3
    assert apart(given)


def test_ids_count_from_1_and_are_never_used_again(tracker: Tracker) -> None:
    assert look(tracker, 0, face(100), face(700)) == [1, 2]
    assert tracker.close() == (1, 2)
    assert look(tracker, 0.04, face(100)) == [3]
    assert look(tracker, 60) == []
    assert look(tracker, 90, face(100)) == [4]


def test_a_track_ends_once_when_it_was_not_seen_for_long(tracker: Tracker) -> None:
    tracker(sample(0, face(300)))
    tracker(sample(1, face(300), face(800)))
    assert tracker(sample(1 + LOST_AFTER - 0.01, face(800))) == ()
    assert tracker(sample(1 + LOST_AFTER + 0.01, face(800))) == (1,)
    assert tracker(sample(1 + LOST_AFTER + 0.02, face(800))) == ()
    assert tracker.close() == (2,)
    assert tracker.close() == ()


def test_what_ends_and_what_comes_at_one_place_are_two_tracks(tracker: Tracker) -> None:
    tracker(sample(0, face(300)))
    tracker(sample(LOST_AFTER - 1))
    after = sample(LOST_AFTER + 1, face(300))
    assert tracker(after) == (1,)
    assert ids(after) == [2]


@pytest.mark.parametrize(("moved", "goes_on"), [(0, True), (85, True), (95, False), (300, False)])
def test_where_looks_are_rare_a_track_goes_on_within_one_size(tracker: Tracker, moved: float, goes_on: bool) -> None:
    """A face of 80 x 100 pixels has a size of 89."""
    look(tracker, 0, face(300), face(900))
    after = sample(20 * LOST_AFTER, face(300 + moved), face(900))
    assert tracker(after) == (() if goes_on else (1,))
    assert ids(after) == [1 if goes_on else 3, 2]


def test_it_outlives_lost_after_by_one_look(tracker: Tracker) -> None:
    look(tracker, 0, face(300))
    assert tracker(sample(10)) == (1,)
    assert look(tracker, 20, face(300)) == [2]


def test_time_does_not_widen_where_an_overdue_track_may_be(tracker: Tracker) -> None:
    """The gate grows with time: after a minute anybody in the picture would pass it."""
    look(tracker, 0, face(300), face(320))
    assert look(tracker, 60, face(700)) == [3]


def test_who_leaves_the_picture_is_not_waited_for(tracker: Tracker) -> None:
    """A track that walks out ends soon; the next one to come in there is somebody else."""
    for at in seconds(1, 25):
        tracker(sample(at, face(1160 + 120 * at)))
    ended = [(at, tracker(sample(at))) for at in 1 + seconds(1, 25)]
    ((at, left),) = [(at, left) for at, left in ended if left]
    assert left == (1,)
    assert at < 1.5
    assert look(tracker, 2, face(1260)) == [2]


def test_who_stands_in_the_border_may_be_missed_for_a_moment(tracker: Tracker) -> None:
    for at in seconds(1, 25):
        assert look(tracker, at, face(1285)) == [1]
    assert tracker(sample(1.1)) == ()
    assert look(tracker, 1.2, face(1285)) == [1]


def test_who_is_hidden_inside_the_picture_is_waited_for(tracker: Tracker) -> None:
    for at in seconds(1, 25):
        tracker(sample(at, face(600)))
    assert not any(tracker(sample(at)) for at in 1 + seconds(LOST_AFTER - 0.1, 25))


def test_a_gap_in_time_ends_tracks_however_few_frames_it_has(tracker: Tracker) -> None:
    """A camera that comes back: its own clock begins anew, the wall clock says how long it was away."""
    tracker(sample(100, face(300), pts=100))
    back = sample(100 + LOST_AFTER + 5, face(600), pts=0)
    assert tracker(back) == (1,)
    assert ids(back) == [2]


def test_a_short_gap_does_not(tracker: Tracker) -> None:
    tracker(sample(100, face(300), pts=100))
    back = sample(101, face(300), pts=0)
    assert tracker(back) == ()
    assert ids(back) == [1]


def test_frames_that_come_in_bursts_are_timed_by_the_sources_clock() -> None:
    """Frames of 25 a second come in tens. By the wall clock nine of ten leaps would be made in no time."""

    def leaps(tracker: Tracker, *, with_pts: bool) -> int:
        tracks: set[int] = set()
        for i in range(100):
            seen = sample((i // 10 + 1) * 0.4, face(100 + 10 * i), pts=i / 25 if with_pts else 0.0)
            tracker(seen)
            tracks.update(ids(seen))
        return len(tracks)

    assert leaps(Tracker(TrackerSettings()), with_pts=True) == 1
    assert leaps(Tracker(TrackerSettings()), with_pts=False) > 1


def test_a_source_without_a_clock_is_timed_by_the_wall(tracker: Tracker) -> None:
    tracker(sample(0, face(300), pts=0))
    assert tracker(sample(LOST_AFTER + 0.1, pts=0)) == (1,)


def test_a_clock_that_is_set_back_stops_time_and_no_more(tracker: Tracker) -> None:
    tracker(sample(100, face(300), pts=0))
    back = sample(50, face(300), pts=0)
    assert tracker(back) == ()
    assert ids(back) == [1]
    assert look(tracker, 50.04, face(300)) == [1]


def test_faces_and_bodies_are_followed_apart(tracker: Tracker) -> None:
    """A face that is as large as a body, and where it was, is still none."""
    first = sample(0, face(300))
    first.objects += sample(0, face(600), label="body").objects
    tracker(first)
    second = sample(0.04, face(600))
    second.objects += sample(0.04, face(300), label="body").objects
    tracker(second)
    assert [obj.label for obj in second.objects] == ["face", "body"]
    assert ids(first) == [1, 2]
    assert sorted(ids(second)) == [3, 4]


def test_a_body_ends_while_only_faces_are_seen(tracker: Tracker) -> None:
    tracker(sample(0, face(300), label="body"))
    assert tracker(sample(LOST_AFTER + 1, face(300))) == (1,)


def test_a_track_is_confirmed_by_its_third_box(tracker: Tracker) -> None:
    tracks = []
    for at in (0, 0.04, 0.08):
        seen = sample(at, face(300))
        tracker(seen)
        tracks.append(seen.objects[0][Track])
    assert tracks == [Track(1, 1, False), Track(1, 2, False), Track(1, 3, True)]


def test_another_picture_size_ends_all_tracks(tracker: Tracker) -> None:
    tracker(sample(0, face(300)))
    other = sample(0.04, face(300), size=(640, 360))
    assert tracker(other) == (1,)
    assert ids(other) == [2]


def test_a_size_that_changes_at_once_is_somebody_else(tracker: Tracker) -> None:
    assert look(tracker, 0, face(300, size=50)) == [1]
    assert look(tracker, 0.04, face(300, size=150)) == [2]


def test_who_comes_nearer_stays_the_same() -> None:
    walks: dict[str, Walk] = {"comer": lambda t: face(640, 360, 40 * 1.4**t)}
    assert apart(ids_of_walks(walks, seconds(6, 5), 1.0))


def test_one_who_is_seen_outbids_one_who_is_lost(tracker: Tracker) -> None:
    """The place where track 1 was lost is crossed by track 2: nobody takes over."""
    for at in seconds(1, 10):
        tracker(sample(at, face(600), face(300 + 200 * at)))
    for at in 1 + seconds(1.4, 10):
        assert look(tracker, at, face(300 + 200 * at)) == [2]


def test_a_box_without_area_is_followed_too(tracker: Tracker) -> None:
    with np.errstate(all="raise"):
        assert look(tracker, 0, (300, 300, 300, 290)) == [1]
        assert look(tracker, 0.04, (300, 300, 300, 290)) == [1]


def test_empty_frames_are_nothing_special(tracker: Tracker) -> None:
    assert tracker(sample(0)) == ()
    assert tracker(sample(0.04)) == ()
    assert look(tracker, 0.08, face(300)) == [1]


def test_the_same_boxes_give_the_same_tracks() -> None:
    def run() -> list[list[int]]:
        draw = np.random.default_rng(7)
        tracker = Tracker(TrackerSettings())
        return [
            look(tracker, at, *(face(*draw.uniform((0, 0), (1280, 720))) for _ in range(draw.integers(6))))
            for at in seconds(10, 10)
        ]

    assert run() == run()


def test_in_a_throng_every_box_has_one_track_and_every_track_ends_once() -> None:
    draw = np.random.default_rng(3)
    tracker = Tracker(TrackerSettings(lost_after=0.5))
    begun: set[int] = set()
    over: list[int] = []
    for at in seconds(20, 10):
        seen = sample(at, *(face(*draw.uniform((0, 0), (1280, 720))) for _ in range(draw.integers(12))))
        over += tracker(seen)
        assert len(set(ids(seen))) == len(seen.objects)
        assert not set(ids(seen)) & set(over)
        begun.update(ids(seen))
    over += tracker.close()
    assert sorted(over) == sorted(begun) == list(range(1, len(begun) + 1))


def test_ten_faces_cost_next_to_nothing() -> None:
    """Mean processor time; 0.4 ms where a detector takes 12."""
    draw = np.random.default_rng(0)
    places = draw.uniform((0, 0), (1280, 720), (10, 2))
    samples = [sample(at, *(face(*(place + draw.normal(size=2))) for place in places)) for at in seconds(10, 10)]
    tracker = Tracker(TrackerSettings())
    began = time.thread_time()
    for seen in samples:
        tracker(seen)
    assert (time.thread_time() - began) / len(samples) < 2e-3


class TestPredictions:
    """Frames at which nobody looked."""

    @pytest.fixture
    def walked(self, tracker: Tracker) -> Tracker:
        """Ten looks a second at who walks a size a second, to .5 s."""
        for n in range(6):
            look(tracker, n / 10, face(300 + 10 * n))
        return tracker

    def predicted(self, tracker: Tracker, at: float) -> list[Object]:
        seen = sample(at)
        assert tracker(seen, {"face"}) == ()
        assert all(Predicted in obj for obj in seen.objects)
        return list(seen.objects)

    def test_are_along_the_way(self, walked: Tracker) -> None:
        for at in (0.6, 0.7):
            (obj,) = self.predicted(walked, at)
            assert obj.box_xyxy == pytest.approx(face(300 + 100 * at), abs=6)
            assert obj[Track] == Track(1, 6, confirmed=True)
        assert look(walked, 0.8, face(380)) == [1]

    def test_none_of_whom_the_last_look_missed(self, walked: Tracker) -> None:
        look(walked, 0.6)
        assert self.predicted(walked, 0.7) == []
        assert look(walked, 0.8, face(380)) == [1]

    def test_none_of_whom_they_lead_out_of_the_picture(self, tracker: Tracker) -> None:
        for n in range(4):
            look(tracker, n / 10, face(1225 + 15 * n))
        assert self.predicted(tracker, 0.4) == []
        gone = sample(0.7)
        assert tracker(gone) == (1,)

    def test_no_track_ends_of_too_few_looks(self, tracker: Tracker) -> None:
        """Rarer ones than `lost_after`: the next look decides."""
        for at in (0.0, 5.0, 10.0):
            assert look(tracker, at, face(300)) == [1]
            for between in (1.0, 2.5, 4.5):
                assert len(self.predicted(tracker, at + between)) == 1

    def test_a_track_that_was_missed_ends_between_looks_too(self, walked: Tracker) -> None:
        look(walked, 0.6)
        seen = sample(0.6 + LOST_AFTER)
        assert walked(seen, {"face"}) == (1,)

    @pytest.mark.parametrize(
        ("boxes", "confidences", "sure"),
        [
            ([300] * 6, [0.9] * 6, True),
            ([300] * 2, [0.9] * 2, False),  # new
            ([300, 312, 324, 336, 348, 360], [0.9] * 6, True),
            ([300, 330, 360, 390, 420, 450], [0.9] * 6, False),  # fast
            ([300] * 6, [0.9] * 5 + [0.6], False),  # about to be hidden
            ([300] * 6, [0.6] * 6, True),
            ([300] * 5 + [None], [0.9] * 6, False),  # missed
            ([300] * 2 + [None] * 4, [0.9] * 6, True),  # of an error of the detector
            ([300] * 6 + [None] * 6, [0.9] * 12, True),  # long ago
            ([], [], False),
        ],
    )
    def test_where_the_tracker_is_sure(
        self, tracker: Tracker, boxes: Sequence[float | None], confidences: Sequence[float], sure: bool
    ) -> None:
        for n, (x, confidence) in enumerate(zip(boxes, confidences, strict=True)):
            seen = sample(n / 10, *([] if x is None else [face(x)]))
            for obj in seen.objects:
                obj.put(Confidence(confidence))
            tracker(seen)
        assert tracker.is_sure("face", sample(len(boxes) / 10).frame) == sure
        assert not tracker.is_sure("face", sample(len(boxes) / 10 + 0.4).frame)
