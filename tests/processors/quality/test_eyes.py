import numpy as np
import pytest

from processors.quality.eyes import BLENDSHAPE_POINTS, eye_crop, openness
from processors.types import Pyramid
from tests.processors.pictures import portrait


@pytest.mark.parametrize(
    ("open_probability", "blink", "is_open"),
    [(0.9, 0.1, True), (0.1, 0.1, True), (0.9, 0.9, True), (0.1, 0.9, False), (0.5, 0.9, True), (0.49, 0.51, False)],
)
def test_an_eye_is_shut_only_where_both_say_so(open_probability: float, blink: float, is_open: bool) -> None:
    assert (openness(open_probability, blink) >= 0.5) is is_open


def test_openness_falls_with_either() -> None:
    levels = np.linspace(0, 1, 11)
    of_both = np.array([[openness(probability, blink) for blink in levels] for probability in levels])
    assert (np.diff(of_both, axis=0) >= 0).all()
    assert (np.diff(of_both, axis=1) <= 0).all()


def test_the_blendshapes_read_146_points_and_all_of_the_irises() -> None:
    assert len(BLENDSHAPE_POINTS) == len(set(BLENDSHAPE_POINTS)) == 146
    assert sorted(BLENDSHAPE_POINTS) == list(BLENDSHAPE_POINTS)
    assert BLENDSHAPE_POINTS[-10:] == tuple(range(468, 478))


def test_the_crop_lies_about_the_middle_of_the_corners() -> None:
    picture = np.zeros((200, 300, 3), np.uint8)
    picture[90:110, 100:140] = 255
    crop = eye_crop(Pyramid(picture), np.array([(100.0, 100.0), (140.0, 100.0)]))  # 64 pixels wide, shown in 32
    assert crop.shape == (32, 32, 3)
    columns, rows = (np.flatnonzero(crop[..., 0].max(axis=axis) > 127) for axis in (0, 1))
    assert (columns[0], columns[-1]) == pytest.approx((6, 25), abs=1)
    assert (rows[0], rows[-1]) == pytest.approx((11, 20), abs=1)


@pytest.mark.parametrize("x", [-500.0, 0.0, 5000.0])
def test_an_eye_beside_the_picture_has_a_crop(x: float) -> None:
    assert eye_crop(Pyramid(portrait("obama")), np.array([(x, 5.0), (x, 5.0)])).shape == (32, 32, 3)
