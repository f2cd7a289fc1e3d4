import numpy as np
import pytest

from daemon.pictures.draw import AXES, LINE, POINT, ZONE, Scale, drawn, rotation, words_of
from models.store import ModelStore
from processors.age import Age
from processors.emotion import Emotions
from processors.face_fitter import pose, weighted
from processors.gender import Gender
from processors.liveness import Liveness
from processors.mask import Mask
from processors.types import (
    Confidence,
    Frame,
    Image,
    Landmarks,
    Object,
    Outline,
    Outlines,
    Pose,
    Sample,
    TrackId,
    Zones,
)

NOSE = (100.0, 110.0)


def face(*results: object) -> Object:
    obj = Object("face", np.array([60.0, 50.0, 140.0, 150.0]))
    for result in results:
        obj.put(result)
    return obj


def landmarks() -> Landmarks:
    return Landmarks(np.tile(NOSE, (21, 1)))


def picture_of(*objects: Object) -> Image:
    image = np.zeros((200, 200, 3), np.uint8)
    return drawn(Sample(Frame.of(image), objects), image)


def pixels(picture: Image, colour: tuple[int, int, int]) -> np.ndarray:
    """(n, 2) x, y of the pixels that are exactly of this colour."""
    return np.argwhere((picture == colour).all(axis=2))[:, ::-1]


def test_a_box_is_drawn_on_a_copy() -> None:
    image = np.zeros((200, 200, 3), np.uint8)
    picture = drawn(Sample(Frame.of(image), [face()]), image)
    assert not image.any()
    points = np.argwhere(picture.any(axis=2))[:, ::-1]
    np.testing.assert_allclose([points.min(axis=0), points.max(axis=0)], [(60, 50), (140, 150)], atol=1)
    assert not picture[60:140, 70:130].any()


def test_landmarks() -> None:
    points = pixels(picture_of(face(landmarks())), POINT)
    np.testing.assert_allclose(points.mean(axis=0), NOSE, atol=1)


@pytest.mark.parametrize(
    ("angles", "axis", "direction"),
    [
        ((0, 0, 0), 0, (1, 0)),
        ((0, 0, 0), 1, (0, -1)),
        ((40, 0, 0), 2, (1, 0)),
        ((-40, 0, 0), 2, (-1, 0)),
        ((0, 40, 0), 2, (0, -1)),
        ((0, -40, 0), 2, (0, 1)),
        ((0, 0, 90), 0, (0, -1)),
    ],
    ids=["to the side", "up", "face to the right", "to the left", "up with pitch", "down", "counter-clockwise"],
)
def test_axes_of_the_pose(angles: tuple[float, float, float], axis: int, direction: tuple[int, int]) -> None:
    """Where each arrow goes from the nose, by the contract's signs."""
    picture = picture_of(face(landmarks(), Pose(*angles)))
    colour = AXES[axis][0]
    far = [point for point in pixels(picture, colour) if np.linalg.norm(point - NOSE) > 12]
    assert far
    towards = np.mean(far, axis=0) - NOSE
    assert np.dot(towards, direction) > 0.95 * np.linalg.norm(towards)


@pytest.mark.parametrize("angles", [(0, 0, 0), (30, -20, 10), (-70, 40, -120)])
def test_rotation_is_the_inverse_of_pose(store: ModelStore, angles: tuple[float, float, float]) -> None:
    with np.load(store.path("facemesh_canonical")) as file:
        points = file["vertices"].astype(np.float64)
    turned = points @ rotation(Pose(*angles)).T
    found = pose(turned * (1, -1, -1), weighted(points, np.ones(len(points))))
    np.testing.assert_allclose([found.yaw, found.pitch, found.roll], angles, atol=1e-6)


def test_on_a_smaller_picture_all_is_where_it_is_there() -> None:
    sample = Sample(Frame.of(np.zeros((200, 200, 3), np.uint8)), [face(landmarks())])
    smaller = np.zeros((150, 150, 3), np.uint8)
    points = np.argwhere(drawn(sample, smaller).any(axis=2))[:, ::-1]
    np.testing.assert_allclose([points.min(axis=0), points.max(axis=0)], [(45, 37), (105, 112)], atol=1)
    np.testing.assert_allclose(pixels(drawn(sample, smaller), POINT).mean(axis=0), (75, 82.5), atol=1)
    assert not smaller.any()


@pytest.mark.parametrize(
    ("results", "lines"),
    [
        ([], []),
        ([Confidence(0.934)], ["face 0.93"]),
        ([Confidence(0.934), TrackId("7c1e-12")], ["face 12"]),
        ([Gender(0.2), Age(33.6), Emotions((0, 0, 0, 0.9, 0.1, 0, 0))], ["female, 34, happy"]),
        ([Mask(0.1, worn=False)], ["no mask"]),
        ([TrackId("a-3"), Mask(0.9, worn=True), Liveness(0.9, real=True)], ["face 3", "mask", "real"]),
        ([Liveness(0.1, real=False)], ["not real"]),
        ([Confidence(0.9), Zones(("till", "door"))], ["face 0.90", "in till, door"]),
        ([Zones(())], []),
    ],
)
def test_words_say_what_the_document_says(results: list[object], lines: list[str]) -> None:
    assert [text for text, _ in words_of(face(*results))] == lines


def test_zones_and_lines_are_drawn_where_they_are_with_their_names() -> None:
    sample = Sample(Frame.of(np.zeros((200, 200, 3), np.uint8)))
    zone = Outline("till", ((0.25, 0.5), (0.75, 0.5), (0.75, 0.9), (0.25, 0.9)), is_closed=True)
    line = Outline("door", ((0.1, 0.2), (0.9, 0.2)), is_closed=False)
    sample.put(Outlines((zone, line)))
    picture = drawn(sample, sample.frame.image)
    for sides, colour in (((picture[180, 60:140], picture[110:170, 150]), ZONE), ((picture[40, 90:180],), LINE)):
        for side in sides:
            assert (np.abs(side.astype(int) - colour).max(axis=1) < 60).all()
    name = picture[103:118, 53:90].max(axis=2)
    assert (name > 150).sum() > 10
    assert not picture[60:95].any()


def test_words_stay_within_the_picture_and_off_boxes_that_they_would_hide() -> None:
    at_the_edge = Object("face", np.array([150.0, 150.0, 199.0, 199.0]))
    at_the_edge.put(Confidence(0.9))
    picture = picture_of(at_the_edge)
    words = np.argwhere((picture > 200).all(axis=2))
    assert len(words) > 20
    tiny = Object("face", np.array([50.0, 50.0, 62.0, 64.0]))
    tiny.put(Confidence(0.9))
    assert not (picture_of(tiny) > 200).all(axis=2).any()


@pytest.mark.parametrize(("width", "display_width", "height"), [(1280, 360, 46), (480, 360, 17), (300, 900, 13)])
def test_words_are_as_large_as_is_legible_where_the_picture_is_displayed(
    width: int, display_width: int, height: int
) -> None:
    """13 of the display's pixels."""
    sample = Sample(
        Frame.of(np.zeros((width // 2, width, 3), np.uint8)), [Object("face", np.array([0, 0, width, 9.0]))]
    )
    sample.objects[0].put(Confidence(0.9))
    is_ink = (drawn(sample, sample.frame.image, display_width) > 150).all(axis=2)
    assert np.ptp(np.flatnonzero(is_ink.max(axis=1))) == pytest.approx(0.72 * height, abs=2)  # of a digit and an f


def test_words_of_neighbours_do_not_cover_each_other() -> None:
    """Two faces beside each other: the words of the second go below those of the first."""
    faces = [Object("face", np.array([left, 20.0, left + 40, 60.0])) for left in (20.0, 50.0)]
    for obj in faces:
        obj.put(Confidence(0.9))
    alone, other, both = ((picture_of(*shown) > 150).all(axis=2).sum() for shown in (faces[:1], faces[1:], faces))
    assert both == alone + other > 0


def test_a_box_that_is_too_small_for_words_is_so_on_the_display() -> None:
    sample = Sample(Frame.of(np.zeros((200, 400, 3), np.uint8)), [Object("face", np.array([10.0, 10, 50, 50]))])
    sample.objects[0].put(Confidence(0.9))
    wide, narrow = (drawn(sample, sample.frame.image, width) > 150 for width in (300, 200))
    assert wide.all(axis=2).any()
    assert not narrow.all(axis=2).any()


def test_words_have_a_largest_size() -> None:
    sample = Sample(Frame.of(np.zeros((2000, 4000, 3), np.uint8)))
    assert Scale.of(sample, sample.frame.image, 16).words == 144


def test_a_face_outside_the_picture_without_landmarks() -> None:
    outside = Object("face", np.array([-500.0, -500.0, -400.0, 4000.0]))
    outside.put(Confidence(0.5))
    outside.put(Pose(0, 0, 0))
    assert not picture_of(outside)[:, 10:].any()
