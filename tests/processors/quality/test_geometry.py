import numpy as np
import pytest

from processors.quality import geometry
from processors.types import Floats, Pose


@pytest.fixture
def points_xy() -> Floats:
    """A mesh of which only what is measured has a place: eyes 100 pixels apart, the chin 150 below them."""
    points = np.zeros((478, 2))
    points[[33, 133]] = (80, 200), (120, 200)
    points[[362, 263]] = (180, 200), (220, 200)
    points[152] = 150, 350
    return points


def test_eyes_distance_is_between_the_middles_of_the_corners(points_xy: Floats) -> None:
    assert geometry.eye_centres(points_xy).tolist() == [[100, 200], [200, 200]]
    assert geometry.eyes_distance(points_xy) == 100


def test_openings_are_the_widest_of_three_over_the_distance_to_the_chin(points_xy: Floats) -> None:
    for pairs, opening in ((geometry.LEFT_LIDS, 6), (geometry.RIGHT_LIDS, 12), (geometry.INNER_LIPS, 30)):
        for (upper, lower), share in zip(pairs, (0.5, 1, 0.8), strict=True):
            points_xy[upper] = 150, 200
            points_xy[lower] = 150, 200 + opening * share
    assert geometry.openings(points_xy) == geometry.Openings(6 / 150, 12 / 150, 30 / 150)


def test_a_mesh_in_one_point_has_no_openings() -> None:
    nothing = np.full((478, 2), 7.0)
    assert geometry.openings(nothing) == geometry.Openings(0, 0, 0)
    assert geometry.eyes_distance(nothing) == 0


def test_mouth_closed_is_half_at_a_fifth() -> None:
    assert geometry.mouth_closed(0.2) == pytest.approx(0.5)
    assert geometry.mouth_closed(0) > 0.96
    assert geometry.mouth_closed(0.5) < 0.01


@pytest.mark.parametrize(
    ("pose", "expected"),
    [
        (Pose(yaw=1, pitch=-8.4, roll=3), -8),
        (Pose(yaw=12.6, pitch=-8.4, roll=3), 13),
        (Pose(yaw=0, pitch=0, roll=-90), -90),
        (Pose(yaw=0, pitch=0, roll=0), 0),
    ],
)
def test_the_worst_angle_keeps_its_sign(pose: Pose, expected: int) -> None:
    assert geometry.worst_angle(pose) == expected
    assert isinstance(geometry.worst_angle(pose), int)


def test_inner_margin_of_the_specifications_example() -> None:
    """Its picture is 512 pixels high, its face 258: printed 25."""
    assert geometry.inner_margin(np.array([0.0, 100.0, 200.0, 358.0]), 512, 0.6) == pytest.approx(24.6)


@pytest.mark.parametrize(("height", "expected"), [(100, 100), (200, 50), (299, 0.5), (300, 0), (400, 0)])
def test_inner_margin_is_what_the_box_lacks_a_side(height: float, expected: float) -> None:
    assert geometry.inner_margin(np.array([10.0, 20.0, 110.0, 20.0 + height]), 500, 0.6) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((100, 100, 300, 400), 0),
        ((0, 0, 360, 450), 0),  # touches the border and takes exactly nine tenths
        ((0, 0, 400, 450), 20),  # a tenth too wide
        ((20, 0, 380, 500), 25),  # a tenth too high
        ((-7, 100, 300, 400), 7),
        ((100, -8, 300, 400), 8),
        ((100, 100, 409, 400), 9),
        ((100, 100, 300, 510), 10),
        ((-7, -8, 300, 400), 8),
    ],
)
def test_outer_margin_is_what_is_too_large_or_cut_off(box: tuple[float, ...], expected: float) -> None:
    assert geometry.outer_margin(np.array(box, np.float64), 400, 500, 0.9) == pytest.approx(expected)
