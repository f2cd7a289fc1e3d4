import weakref
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pytest

from processors.types import Confidence, Frame, Image, MissingResult, Object, Pose, Pyramid, Results, Sample


@dataclass(frozen=True, slots=True)
class Age:
    years: float


def noise(height: int, width: int) -> Image:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)


def picture() -> Image:
    return np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)


def test_a_result_is_found_by_its_type_and_replaced_by_the_next() -> None:
    face = Object("face", np.zeros(4))
    face.put(Age(31.0))
    face.put(Confidence(0.9))
    face.put(Age(32.0))
    assert face[Age].years == 32.0
    assert face[Confidence].value == 0.9
    assert Age in face
    assert Pose not in face


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ([], "expected a result Pose, have nothing"),
        ([Confidence(1.0), Age(3.0)], "expected a result Pose, have Age, Confidence"),
    ],
)
def test_missing_result_says_what_there_is(results: list[object], message: str) -> None:
    holder = Results()
    for result in results:
        holder.put(result)
    with pytest.raises(MissingResult) as error:
        holder[Pose]
    assert str(error.value) == message
    assert isinstance(error.value, LookupError)


def test_results_of_a_picture_lie_on_the_sample_and_not_on_its_objects() -> None:
    sample = Sample(Frame.of(picture()), [Object("face", np.zeros(4))])
    sample.put(Age(5.0))
    assert sample[Age].years == 5.0
    assert Age not in sample.objects[0]


def test_a_sample_has_a_list_of_its_own() -> None:
    objects = (Object("face", np.zeros(4)),)
    sample = Sample(Frame.of(picture()), objects)
    sample.objects.clear()
    assert len(objects) == 1


def test_a_frame_is_loaded_on_first_use_alone_and_then_lets_go_of_its_loader() -> None:
    loads = []

    def load() -> Image:
        loads.append("once")
        return picture()

    loader = weakref.ref(load)
    frame = Frame(load, width=3, height=2)
    del load
    assert (loads, frame.width, frame.height) == ([], 3, 2)
    np.testing.assert_array_equal(frame.image, picture())
    assert frame.image is frame.image
    assert loads == ["once"]
    assert loader() is None  # and with it the decoder's buffer


def test_a_frame_as_it_came_is_converted_for_itself_and_not_before() -> None:
    loads = []

    def load() -> Image:
        loads.append("again")
        return picture()

    frame = Frame(load, width=3, height=2, source="door", index=7, pts=0.5, captured_at=9.0, id="x", trace=("a", "b"))
    as_it_came = frame.as_it_came()
    assert frame.image is not None
    assert loads == ["again"]
    np.testing.assert_array_equal(as_it_came.image, frame.image)
    assert loads == ["again", "again"]
    for name in ("width", "height", "source", "index", "pts", "captured_at", "id", "trace"):
        assert getattr(as_it_came, name) == getattr(frame, name)
    assert frame.as_it_came() is frame  # it has its image


def test_a_frame_keeps_its_halves() -> None:
    frame = Frame.of(noise(8, 12))
    assert frame.pyramid.image is frame.image
    assert np.shares_memory(frame.pyramid.level(0), frame.image)
    assert frame.pyramid.level(2).shape == (2, 3, 3)
    assert np.shares_memory(frame.pyramid.level(2), frame.pyramid.level(2))


def test_halves_are_means_of_four() -> None:
    image = noise(4, 6)
    means = image.reshape(2, 2, 3, 2, 3).mean(axis=(1, 3))
    assert np.abs(Pyramid(image).level(1) - means).max() <= 0.5


def test_an_odd_last_row_or_column_has_no_half() -> None:
    image = noise(5, 7)
    np.testing.assert_array_equal(Pyramid(image).level(1), Pyramid(image[:4, :6]).level(1))


@pytest.mark.parametrize(
    ("shrinks", "halvings"), [(0.1, 0), (1, 0), (1.99, 0), (2, 1), (3.99, 1), (4, 2), (15.9, 3), (16, 4), (1e9, 6)]
)
def test_halved_as_often_as_is_shrunk_anyway_and_to_a_pixel_at_last(shrinks: float, halvings: int) -> None:
    pyramid = Pyramid(noise(65, 200))
    assert pyramid.halvings(shrinks) == halvings
    assert min(pyramid.level(halvings).shape[:2]) >= 1


def test_what_is_cut_is_that_of_the_level_whatever_was_cut_before() -> None:
    random = np.random.default_rng(4)
    image = noise(101, 302)
    levels = {halvings: Pyramid(image).level(halvings) for halvings in range(5)}
    for _ in range(50):
        pyramid = Pyramid(image)
        for _ in range(6):
            halvings = int(random.integers(5))
            rows, columns = (
                slice(*sorted(random.choice(length + 1, 2, replace=False).tolist()))
                for length in levels[halvings].shape[:2]
            )
            np.testing.assert_array_equal(pyramid.cut(halvings, rows, columns), levels[halvings][rows, columns])


def test_a_pixel_is_halved_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = 0

    def resize(image: Image, size: tuple[int, int], **options: Any) -> Image:
        nonlocal made
        made += size[0] * size[1]
        return cv2_resize(image, size, **options)  # type: ignore[return-value]

    cv2_resize = cv2.resize
    monkeypatch.setattr(cv2, "resize", resize)
    pyramid = Pyramid(noise(64, 64))
    for first in (10, 4, 12, 10):
        pyramid.cut(1, slice(first, first + 8), slice(first, first + 8))
    assert made == (20 - 4) ** 2
    pyramid.cut(2, slice(2, 10), slice(2, 10))
    assert made == (20 - 4) ** 2 + 8**2


def test_a_frame_that_cannot_be_loaded_says_so_each_time() -> None:
    def load() -> Image:
        raise OSError("gone")

    frame = Frame(load, width=1, height=1)
    for _ in range(2):
        with pytest.raises(OSError, match="gone"):
            _ = frame.image


def test_a_frame_of_a_picture_takes_its_size() -> None:
    frame = Frame.of(picture(), source="door", index=7, pts=0.28, captured_at=1e9)
    assert (frame.width, frame.height) == (3, 2)
    assert (frame.source, frame.index, frame.pts, frame.captured_at) == ("door", 7, 0.28, 1e9)
