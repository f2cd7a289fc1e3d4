import numpy as np
import pytest

from daemon.work.places.geometry import Area, Point, Polyline, Which, point_of
from processors.types import Object

SIZE = (200, 100)
ACROSS = [(0.1, 0.5), (0.9, 0.5)]  # of the picture, from the left to the right, at half its height
ANGLE = [(0.25, 0.5), (0.5, 0.5), (0.5, 1.0)]  # to the right, then down


@pytest.mark.parametrize(
    ("label", "which", "expected"),
    [
        ("body", None, (30, 80)),
        ("face", None, (30, 50)),
        ("body", "centre", (30, 50)),
        ("body", "top", (30, 20)),
        ("face", "bottom", (30, 80)),
    ],
)
def test_the_point_that_says_where_an_object_is(label: str, which: Which | None, expected: Point) -> None:
    assert point_of(Object(label, np.array([20.0, 20, 40, 80])), SIZE, which) == expected


def test_a_point_outside_the_picture_is_taken_at_its_edge() -> None:
    assert point_of(Object("body", np.array([190.0, 60, 230, 140])), SIZE) == (200, 100)


@pytest.mark.parametrize(
    ("point", "expected"), [((100, 50), 25), ((60, 50), 10), ((50, 50), 0), ((40, 50), -10), ((47, 21), -5)]
)
def test_how_deep_a_point_lies_in_an_area(point: Point, expected: float) -> None:
    area = Area([(0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75)])
    assert area.depth(point, SIZE) == pytest.approx(expected)
    assert area.depth((point[0] * 2, point[1] * 2), (400, 200)) == pytest.approx(2 * expected)


@pytest.mark.parametrize(
    ("points", "before", "after", "expected"),
    [
        (ACROSS, (100, 40), (100, 60), 1),  # down: from the left of who walks to the right, to his right
        (ACROSS, (100, 60), (100, 40), -1),
        (ACROSS, (100, 40), (120, 49), 0),
        (ACROSS, (10, 40), (10, 60), 0),  # beyond its end
        (ACROSS, (10, 40), (30, 60), 1),  # through its end
        (ACROSS, (100, 40), (100, 50), 1),  # on the line is to its right
        (ACROSS, (100, 50), (100, 60), 0),
        (ACROSS, (100, 50), (100, 40), -1),
        (ACROSS, (100, 50), (140, 50), 0),  # along it
        (ACROSS, (100, 40), (100, 40), 0),
        (ANGLE, (80, 40), (80, 80), 1),
        (ANGLE, (120, 80), (80, 80), 1),
        (ANGLE, (80, 40), (120, 80), 0),  # out and in again
        (ANGLE, (120, 30), (80, 70), 1),  # through the joint
        (ANGLE, (80, 70), (120, 30), -1),
    ],
)
def test_a_way_crosses_a_line_from_its_left_to_its_right(
    points: list[Point], before: Point, after: Point, expected: int
) -> None:
    assert Polyline(points).crossings(before, after, SIZE) == expected


@pytest.mark.parametrize(
    ("point", "expected"), [((80, 40), 10), ((40, 40), np.hypot(10, 10)), ((110, 90), 10), ((100, 50), 0)]
)
def test_how_far_a_point_is_from_a_line(point: Point, expected: float) -> None:
    assert Polyline(ANGLE).distance(point, SIZE) == pytest.approx(expected)
