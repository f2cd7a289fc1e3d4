"""A shot holds no more of its frame than its processors look at: what they say of it must be the same."""

import math

import cv2
import numpy as np
import pytest

from daemon.work.jobs import made_by
from daemon.work.tracked import GRID, window_about
from models.store import ModelStore
from processors.registry import PROCESSORS, build, reach
from processors.types import Frame, Image, Object, Pyramid, Sample, Window
from tests.processors.pictures import portrait

LOCAL = [name for name in PROCESSORS if math.isfinite(reach(name))]


@pytest.fixture(scope="module")
def scene() -> Image:
    """Portraits of several sizes in a larger picture, some at its edges."""
    picture = np.full((1083, 1917, 3), 90, np.uint8)
    for name, scale, left, top in (
        ("obama", 0.9, 700, 300),
        ("biden", 0.3, 0, 0),
        ("astronaut", 0.5, 1700, 800),
        ("obama", 0.25, 300, 900),
    ):
        small = cv2.resize(portrait(name), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        height, width = min(small.shape[0], 1083 - top), min(small.shape[1], 1917 - left)
        picture[top : top + height, left : left + width] = small[:height, :width]
    return picture


def test_the_processors_that_look_at_a_part_say_so() -> None:
    assert {*LOCAL} == {
        *("gender-estimator", "age-estimator", "emotion-estimator"),
        *("mask-estimator", "liveness-estimator", "template-extractor"),
    }


def test_they_say_the_same_of_a_window_as_of_the_whole(scene: Image, store: ModelStore) -> None:
    frame = Frame.of(scene)
    whole = Sample(frame)
    for processor in build(["face-detector", "face-fitter"], {}, store):
        processor([whole])
    assert len(whole.objects) == 4
    for name in LOCAL:
        (processor,) = build([name], {}, store)
        for found in whole.objects:
            window = window_about(found, reach(name), frame)
            if window is None:  # the large face: a copy would save nothing
                continue
            parts = [Sample(frame, [found.copy()]), Sample(frame.within(window), [found.copy()])]
            processor(parts)
            of_whole, of_window = (made_by(processor, part.objects[0]) for part in parts)
            assert of_whole == of_window, (name, found.box_xyxy, window)


def test_a_window_is_about_the_object_and_on_the_grid() -> None:
    frame = Frame.of(np.zeros((1083, 1917, 3), np.uint8))
    window = window_about(Object("face", np.array([1000.0, 500.0, 1100.0, 600.0])), 2.0, frame)
    assert window == Window(slice(448, 704), slice(896, 1152))
    at_the_edge = window_about(Object("face", np.array([1880.0, 1050.0, 1980.0, 1150.0])), 2.0, frame)
    assert at_the_edge == Window(slice(960, 1083), slice(1792, 1917))
    assert all(part.start % GRID == 0 for part in (*window, *at_the_edge))
    assert window_about(Object("face", np.array([100.0, 100.0, 900.0, 900.0])), 2.0, frame) is None
    assert window_about(Object("face", np.array([0.0, 0.0, 9.0, 9.0])), math.inf, frame) is None


def test_a_pyramid_of_a_window_is_that_of_the_picture_there_and_black_elsewhere() -> None:
    picture = np.random.default_rng(0).integers(1, 255, (301, 403, 3), np.uint8)
    window = Window(slice(64, 192), slice(128, 320))
    of_window = Pyramid(picture[window.rows, window.columns], window, (403, 301))
    whole = Pyramid(picture)
    for halvings in (0, 1, 2):
        assert of_window.size(halvings) == whole.size(halvings)
        rows, columns = slice(64 >> halvings, 192 >> halvings), slice(128 >> halvings, 320 >> halvings)
        np.testing.assert_array_equal(of_window.cut(halvings, rows, columns), whole.cut(halvings, rows, columns))
    beyond = of_window.cut(0, slice(0, 100), slice(100, 140))
    np.testing.assert_array_equal(beyond[64:, 28:], picture[64:100, 128:140])
    assert not beyond[:64].any()
    assert not beyond[:, :28].any()
    assert not of_window.cut(0, slice(250, 260), slice(350, 360)).any()


def test_a_frames_window_is_a_copy() -> None:
    picture = np.zeros((128, 128, 3), np.uint8)
    part = Frame.of(picture, index=7, pts=1.5, captured_at=2.5).within(Window(slice(0, 64), slice(0, 64)))
    picture[:] = 255
    assert not part.image.any()
    assert (part.width, part.height, part.index, part.pts, part.captured_at) == (128, 128, 7, 1.5, 2.5)


def test_objects_of_one_sample_share_what_is_known_of_its_picture() -> None:
    sample = Sample(Frame.of(np.zeros((4, 4, 3), np.uint8)))
    one, other = sample.of([]), sample.of([])
    one.put(Window(slice(0, 1), slice(0, 1)))
    assert Window in other
