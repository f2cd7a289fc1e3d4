import numpy as np
import pytest

from daemon.pictures.draw import AXES, POINT, drawn, rotation
from models.store import ModelStore
from processors.face_fitter import pose, weighted
from processors.types import Confidence, Frame, Image, Landmarks, Object, Pose, Sample

NOSE = (100.0, 110.0)


def face(*results: object) -> Object:
    obj = Object("face", np.array([60.0, 50.0, 140.0, 150.0]))
    for result in results:
        obj.put(result)
    return obj


def landmarks() -> Landmarks:
    return Landmarks(np.tile(NOSE, (21, 1)))


def picture_of(*objects: Object) -> Image:
    return drawn(Sample(Frame.of(np.zeros((200, 200, 3), np.uint8)), objects))


def pixels(picture: Image, colour: tuple[int, int, int]) -> np.ndarray:
    """(n, 2) x, y of the pixels that are exactly of this colour."""
    return np.argwhere((picture == colour).all(axis=2))[:, ::-1]


def test_a_box_is_drawn_on_a_copy() -> None:
    image = np.zeros((200, 200, 3), np.uint8)
    picture = drawn(Sample(Frame.of(image), [face()]))
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


def test_a_face_outside_the_picture_without_landmarks() -> None:
    outside = Object("face", np.array([-500.0, -500.0, -400.0, 4000.0]))
    outside.put(Confidence(0.5))
    outside.put(Pose(0, 0, 0))
    assert not picture_of(outside)[:, 10:].any()
