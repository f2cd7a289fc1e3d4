"""Pictures that are turned: their labels lie where the same things are in them."""

import math

import numpy as np
import pytest

from daemon.commands.evaluate.labels import BOX, POINTS, Label
from daemon.commands.evaluate.turns import Turns, turned, turned_label
from processors.types import Floats, Image

WIDTH, HEIGHT = 80, 50
BLOB = (20, 10, 30, 16)
"""x1, y1, x2, y2."""


def with_a_blob() -> Image:
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    x1, y1, x2, y2 = BLOB
    picture[y1:y2, x1:x2] = 255
    return picture


def label(**values: object) -> Label:
    return Label("labels.csv:2", {name: str(value) for name, value in values.items()})


def box_of(one: Label) -> Floats:
    box = one.box()
    assert box is not None
    return box


@pytest.mark.parametrize("degrees", [-90, 30, 45, 90, 135, 180, 270, 300])
def test_a_labelled_box_stays_on_what_it_is_about(degrees: float) -> None:
    picture = turned(with_a_blob(), degrees)
    box = box_of(turned_label(label(**dict(zip(BOX, BLOB, strict=True))), WIDTH, HEIGHT, degrees))
    rows, columns = np.nonzero(picture[..., 0] > 127)
    middle = np.array([columns.mean(), rows.mean()]) + 0.5
    np.testing.assert_allclose((box[:2] + box[2:]) / 2, middle, atol=0.6)
    assert picture.astype(float).sum() == pytest.approx(with_a_blob().astype(float).sum(), rel=0.02)  # none is cut off


@pytest.mark.parametrize(("degrees", "sides"), [(90, (6, 10)), (180, (10, 6)), (45, (math.sqrt(68), math.sqrt(68)))])
def test_a_box_is_that_of_the_turned_ellipse(degrees: float, sides: tuple[float, float]) -> None:
    box = box_of(turned_label(label(**dict(zip(BOX, BLOB, strict=True))), WIDTH, HEIGHT, degrees))
    np.testing.assert_allclose(box[2:] - box[:2], sides, atol=1e-6)


@pytest.mark.parametrize(
    ("degrees", "place"), [(0, (20, 10)), (90, (HEIGHT - 10, 20)), (180, (WIDTH - 20, HEIGHT - 10)), (-90, (10, 60))]
)
def test_points_are_turned_clockwise(degrees: float, place: tuple[float, float]) -> None:
    points = {f"x{i}": 20 for i in range(POINTS)} | {f"y{i}": 10 for i in range(POINTS)}
    found = turned_label(label(**points), WIDTH, HEIGHT, degrees).points()
    np.testing.assert_allclose(found, np.broadcast_to(place, (POINTS, 2)), atol=1e-9)


@pytest.mark.parametrize(
    ("roll", "degrees", "expected"), [(5, 90, -85), (-10, 180, 170), (10, 180, -170), (0, -45, 45)]
)
def test_the_roll_is_counter_clockwise(roll: float, degrees: float, expected: float) -> None:
    after = turned_label(label(yaw=3, pitch=4, roll=roll), WIDTH, HEIGHT, degrees)
    assert [after.number(angle) for angle in ("yaw", "pitch", "roll")] == [3, 4, expected]


def test_a_line_without_a_box_stays_so() -> None:
    after = turned_label(label(x1="", y1="", x2="", y2="", gender="male"), WIDTH, HEIGHT, 90)
    assert after.box() is None
    assert after.text("gender") == "male"


def test_turns_are_named_in_order() -> None:
    assert Turns([180, 45.0, 22.5, 45]).names == ("22.5", "45", "180")
