import cv2
import numpy as np
import pytest

from daemon.pictures.hide import GREY, NOTHING, Hiding, may_leave, public, public_crop
from processors.types import Frame, Image, MissingResult, Object, Sample

NOISE = np.random.default_rng(4).integers(0, 90, (120, 160, 3), np.uint8)
BOX = (60.0, 40.0, 100.0, 90.0)


def sample(*boxes: tuple[float, float, float, float]) -> Sample:
    sample = Sample(Frame.of(NOISE), [Object("face", np.array(box)) for box in boxes])
    sample.put(Hiding(np.array(boxes).reshape(-1, 4)))
    return sample


def changed(image: Image) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the pixels that are not as they were."""
    rows, columns = np.nonzero((image != NOISE).any(axis=2))
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def test_a_box_is_grown_by_half_and_all_else_stays() -> None:
    image = public(sample(BOX))
    assert changed(image) == (50, 27, 110, 103)  # 60 x 75 about the box's centre, and every pixel that is touched
    assert (image[27:103, 50:110] == GREY).all()
    assert NOISE.max() < GREY


@pytest.mark.parametrize("scale", [0.25, 0.37, 1.0])
def test_a_picture_of_another_size_is_hidden_at_the_same_place(scale: float) -> None:
    smaller = cv2.resize(NOISE, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA).astype(np.uint8)
    image = public(sample(BOX), smaller)
    rows, columns = np.nonzero((image == GREY).all(axis=2))
    found = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    half = np.array([30.0, 37.5])
    exact = np.concatenate([np.array([80.0, 65.0]) - half, np.array([80.0, 65.0]) + half])
    exact *= np.tile([smaller.shape[1] / 160, smaller.shape[0] / 120], 2)
    outward = np.array([-1, -1, 1, 1])
    assert ((found - exact) * outward >= -1e-6).all()
    assert ((found - exact) * outward < 1).all()


def test_who_is_outside_is_no_matter() -> None:
    np.testing.assert_array_equal(public(sample((-300.0, 10.0, -250.0, 60.0), (500.0, 10.0, 550.0, 60.0))), NOISE)


def test_a_crop_shows_what_the_whole_picture_does() -> None:
    """Of another face it shows nothing more either."""
    both = sample(BOX, (100.0, 50.0, 130.0, 90.0))
    crop = public_crop(both, np.array(BOX))
    assert crop is not None and crop.shape == (74, 76, 3)
    cut = slice(28, 102), slice(42, 118)
    np.testing.assert_array_equal(crop, public(both)[cut])


def test_nothing_leaves_of_which_nobody_has_said_whom_to_hide() -> None:
    bare = Sample(Frame.of(NOISE))
    for ask in (may_leave, public, lambda sample: public_crop(sample, np.array(BOX))):
        with pytest.raises(MissingResult):
            ask(bare)


def test_where_nobody_is_hidden_the_picture_is_not_copied() -> None:
    shown = Sample(Frame.of(NOISE))
    shown.put(NOTHING)
    assert may_leave(shown) and public(shown) is NOISE


def test_of_a_frame_that_is_withheld_there_is_no_crop() -> None:
    withheld = sample(BOX)
    withheld.put(Hiding(NOTHING.boxes_xyxy, withheld="not looked at for face"))
    assert not may_leave(withheld)
    assert public_crop(withheld, np.array(BOX)) is None
