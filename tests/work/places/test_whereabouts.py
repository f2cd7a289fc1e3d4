"""One face of 100 pixels, whose point counts beyond an edge from 8 pixels on, at 10 frames a second."""

from collections.abc import Iterable, Sequence

import numpy as np
import pytest

from daemon.work.places.geometry import Area, Polyline
from daemon.work.places.whereabouts import (
    MARGIN,
    Change,
    Crossed,
    Entered,
    Left,
    Line,
    Loitered,
    Spot,
    Whereabouts,
    Zone,
)
from tests.work.places.truth import Sighting, passings, stays
from tests.work.scenes import HEIGHT, WIDTH, face

RIGHT_HALF = [(0.5, 0), (1, 0), (1, 1), (0.5, 1)]  # from x = 320 on
EDGE = WIDTH / 2
SIZE = 100


def zone(name: str = "right", loitering: float | None = None) -> Zone:
    return Zone(name, Area(RIGHT_HALF), ("face",), loitering=loitering)


def line() -> Line:
    """From the bottom to the top, so that its right is the picture's."""
    return Line("middle", Polyline([(0.5, 1), (0.5, 0)]), ("in", "out"), ("face",))


def walked(xs: Iterable[float], *, zones: Sequence[Zone] = (), lines: Sequence[Line] = ()) -> Whereabouts:
    where = Whereabouts(zones, lines)
    for index, x in enumerate(xs):
        where.see(Spot(face(x, 180, SIZE), (WIDTH, HEIGHT), index / 10))
    return where


def told(changes: Sequence[Change]) -> list[tuple[object, ...]]:
    return [_told(change) for change in changes]


def _told(change: Change) -> tuple[object, ...]:
    match change:
        case Entered(visit):
            return "entered", visit.entered_at
        case Left(visit, ended):
            return "ended" if ended else "left", visit.entered_at, visit.left_at
        case Loitered(visit, at):
            return "loitered", visit.entered_at, at
        case Crossed(_, _, direction, at):
            return direction, at


def tremble(about: float, by: float, frames: int) -> list[float]:
    return [about + (by if index % 2 else -by) for index in range(frames)]


class TestZones:
    def test_the_time_is_that_of_the_first_frame_on_the_other_side(self) -> None:
        xs = [300, 316, 322, 326, 340, 330, 318, 314, 300]  # 8 pixels beyond the edge by the frames 4 and 8
        where = walked(xs, zones=[zone()])
        assert told(where.take()) == [("entered", 0.2), ("left", 0.2, 0.6)]
        assert where.visits == []

    def test_a_box_that_trembles_on_the_edge_enters_once(self) -> None:
        xs = [250, 300, *tremble(EDGE, 7, 50), 335, 400, *tremble(EDGE, 7, 51), 400]
        assert told(walked(xs, zones=[zone()]).take()) == [("entered", 5.1)]

    def test_who_turns_back_at_the_edge_has_not_entered(self) -> None:
        assert told(walked([250, *tremble(EDGE, 7, 50), 250], zones=[zone()]).take()) == []

    @pytest.mark.parametrize(("frames", "expected"), [(10, []), (11, [("entered", 0.1)])])
    def test_who_stays_just_beyond_the_edge_has_entered_after_a_second(
        self, frames: int, expected: list[tuple[object, ...]]
    ) -> None:
        assert told(walked([300, *[EDGE + 2] * frames], zones=[zone()]).take()) == expected

    def test_a_larger_box_trembles_more(self) -> None:
        where = Whereabouts([zone()], [])
        for index, x in enumerate([300, EDGE + 1.5 * MARGIN * SIZE]):
            where.see(Spot(face(x, 180, 2 * SIZE), (WIDTH, HEIGHT), index / 10))
        assert told(where.take()) == []

    def test_who_is_first_seen_in_a_zone_is_in_it_and_leaves_it_with_the_track(self) -> None:
        where = walked([EDGE + 1, EDGE + 3, EDGE + 2], zones=[zone()])
        assert [visit.zone.name for visit in where.visits] == ["right"]
        assert told(where.take()) == [("entered", 0.0)]
        where.end()
        assert told(where.take()) == [("ended", 0.0, 0.2)]
        assert where.visits == []

    def test_what_an_end_finds_beyond_the_edge_counts(self) -> None:
        came, went = (
            walked([300, EDGE + 2, EDGE + 3], zones=[zone()]),
            walked([340, EDGE - 2, EDGE - 3], zones=[zone()]),
        )
        for where in (came, went):
            where.end()
        assert told(came.take()) == [("entered", 0.1), ("ended", 0.1, 0.2)]
        assert told(went.take()) == [("entered", 0.0), ("left", 0.0, 0.1)]

    def test_loitering_is_told_once_a_visit(self) -> None:
        xs = [400] * 30 + [200] + [400] * 12
        assert told(walked(xs, zones=[zone(loitering=0.95)]).take()) == [
            ("entered", 0.0),
            ("loitered", 0.0, 1.0),
            ("left", 0.0, 3.0),
            ("entered", 3.1),
            ("loitered", 3.1, 4.1),
        ]

    def test_zones_may_overlap(self) -> None:
        where = walked([300, 400], zones=[zone("one"), zone("other")])
        assert [change.number for change in where.take()] == [1, 2]
        assert [visit.zone.name for visit in where.visits] == ["one", "other"]


class TestLines:
    def test_a_crossing_has_its_direction_and_the_time_of_the_first_frame_beyond(self) -> None:
        where = walked([300, 316, 322, 326, 340, 330, 318, 310], lines=[line()])
        assert told(where.take()) == [("in", 0.2), ("out", 0.6)]

    def test_a_box_that_trembles_on_the_line_crosses_once(self) -> None:
        xs = [250, 300, *tremble(EDGE, 7, 50), 335, 400]
        assert told(walked(xs, lines=[line()]).take()) == [("in", 5.1)]

    def test_who_turns_back_at_the_line_has_not_crossed(self) -> None:
        assert told(walked([250, *tremble(EDGE, 7, 51), 250], lines=[line()]).take()) == []

    @pytest.mark.parametrize(("frames", "expected"), [(10, []), (11, [("in", 0.1)])])
    def test_who_stays_just_beyond_the_line_has_crossed_after_a_second(
        self, frames: int, expected: list[tuple[object, ...]]
    ) -> None:
        assert told(walked([300, *[EDGE + 2] * frames], lines=[line()]).take()) == expected

    def test_who_leaves_the_picture_just_beyond_the_line_has_crossed(self) -> None:
        where = walked([300, EDGE + 2, EDGE + 3], lines=[line()])
        where.end()
        assert told(where.take()) == [("in", 0.1)]

    def test_who_was_hidden_goes_straight(self) -> None:
        assert told(walked([100, 600], lines=[line()]).take()) == [("in", 0.1)]

    def test_who_walks_round_the_end_crosses_again_in_the_same_direction(self) -> None:
        short = Line("short", Polyline([(0.5, 0.6), (0.5, 0.4)]), ("in", "out"), ("face",))
        where = Whereabouts([], [short])
        for index, (x, y) in enumerate([(200, 180), (400, 180), (400, 20), (200, 20), (200, 180), (400, 180)]):
            where.see(Spot(face(x, y, SIZE), (WIDTH, HEIGHT), index / 10))
        assert told(where.take()) == [("in", 0.1), ("in", 0.5)]


def test_changes_are_taken_once() -> None:
    where = walked([400], zones=[zone()])
    assert len(where.take()) == 1
    assert where.take() == []


@pytest.mark.parametrize("seed", range(10))
def test_on_a_random_walk_it_is_as_all_boxes_at_once_have_it(seed: int) -> None:
    """Steps are of a margin or so, and the zone and line have corners that stand out and in."""
    random = np.random.default_rng(seed)
    arrow = [(0.2, 0.2), (0.8, 0.2), (0.5, 0.5), (0.8, 0.9), (0.2, 0.8)]
    bent = [(0.1, 0.5), (0.4, 0.4), (0.5, 0.7), (0.9, 0.5)]
    steps = random.normal(0, random.choice([3, 10, 30]), (250, 2))
    points = (np.array([320, 180]) + np.cumsum(steps, axis=0)) % (WIDTH, HEIGHT)
    where = Whereabouts(
        [Zone("arrow", Area(arrow), ("face",))], [Line("bent", Polyline(bent), ("in", "out"), ("face",))]
    )
    for index, (x, y) in enumerate(points):
        where.see(Spot(face(x, y, SIZE), (WIDTH, HEIGHT), index / 10))
    where.end()
    changes = where.take()
    track = [Sighting(index / 10, (x, y), SIZE) for index, (x, y) in enumerate(points.tolist())]
    stayed = [(change.visit.entered_at, change.visit.left_at) for change in changes if isinstance(change, Left)]
    assert stayed == stays(track, arrow, (WIDTH, HEIGHT))
    crossed = [(change.direction == "in", change.at) for change in changes if isinstance(change, Crossed)]
    assert crossed == passings(track, bent, (WIDTH, HEIGHT))
    assert len(stayed) + len(crossed) > 0
