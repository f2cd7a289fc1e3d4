import cv2
import numpy as np
import pytest

from models.store import ModelStore
from processors.quality import face
from processors.quality.geometry import eye_centres
from processors.types import Floats, Pyramid


@pytest.fixture(scope="module")
def mesh_xy(store: ModelStore) -> Floats:
    """The canonical mesh, frontal, 100 wide, its nose at the origin; eyes without irises."""
    with np.load(store.path("facemesh_canonical")) as canonical:
        points: Floats = canonical["vertices"][:, :2] * (1.0, -1.0)
    placed: Floats = (points - points[1]) / np.ptp(points[:, 0]) * 100
    return placed


def placed(mesh_xy: Floats, x: float, y: float, *, scale: float = 1.0, degrees: float = 0.0) -> Floats:
    turn = np.asarray(cv2.getRotationMatrix2D((0, 0), degrees, scale), np.float64)[:, :2]
    moved: Floats = mesh_xy @ turn.T + (x, y)
    return moved


def test_the_canonical_face_is_the_same_wherever_the_face_lies(mesh_xy: Floats) -> None:
    at_home = placed(mesh_xy, 300, 300)
    expected = at_home @ face.to_canonical(at_home)[:, :2].T + face.to_canonical(at_home)[:, 2]
    for place in (placed(mesh_xy, -70, 900, scale=3), placed(mesh_xy, 100, 50, scale=0.3, degrees=77)):
        matrix = face.to_canonical(place)
        np.testing.assert_allclose(place @ matrix[:, :2].T + matrix[:, 2], expected, atol=1e-6)
    left, right = eye_centres(expected)
    assert left == pytest.approx((251, 272), abs=15)
    assert right == pytest.approx((364, 272), abs=15)


def test_a_face_inside_the_picture_is_covered(mesh_xy: Floats) -> None:
    seen = face.canonical_face(Pyramid(np.full((600, 600, 3), 200, np.uint8)), placed(mesh_xy, 300, 300))
    assert seen.region.any()
    assert seen.inside.all()
    assert (seen.image[seen.region] == 200).all()


def test_the_half_outside_the_picture_is_no_region(mesh_xy: Floats) -> None:
    picture = np.full((600, 600, 3), 200, np.uint8)
    whole = face.canonical_face(Pyramid(picture), placed(mesh_xy, 300, 300))
    half = face.canonical_face(Pyramid(picture), placed(mesh_xy, 0, 300))
    assert half.region.sum() == pytest.approx(whole.region.sum() / 2, rel=0.05)
    assert (half.image[half.region] > 0).all()
    assert half.light(masked=False).dark == 0  # the black beside the picture does not count


def test_a_face_beside_the_picture_has_no_region(mesh_xy: Floats) -> None:
    picture = np.full((600, 600, 3), 200, np.uint8)
    light = face.canonical_face(Pyramid(picture), placed(mesh_xy, -500, 300)).light(masked=False)
    assert (light.dark, light.bright) == (1, 1)
    assert (light.dynamic_range, light.overlap, light.balance, light.hot_spots, light.veil) == (0, 0, 0, 0, 0)
    assert face.cutout(Pyramid(picture), placed(mesh_xy, -500, 300), 120) is None


@pytest.mark.parametrize("shift", [-30, 0, 30])
def test_halves_and_cheeks_are_of_their_own_side(mesh_xy: Floats, shift: int) -> None:
    picture = np.full((600, 600, 3), 50, np.uint8)
    picture[:, 300 + shift :] = 200
    seen = face.canonical_face(Pyramid(picture), placed(mesh_xy, 300 + shift, 300))
    left, right = seen.halves()
    assert not (left & right).any()
    assert left.sum() == pytest.approx(right.sum(), rel=0.02)
    assert np.median(seen.image[left]) == 50
    assert np.median(seen.image[right]) == 200
    first, second = seen.cheeks()
    assert first.argmax() == seen.luminance[left].min()
    assert second.argmax() == seen.luminance[right].max()
    assert first.sum() == second.sum() > 500


def test_skin_has_neither_eyes_nor_brows_nor_lips(mesh_xy: Floats) -> None:
    points = placed(mesh_xy, 150, 150)
    skin = face.skin(points, (300, 300))
    assert not (skin & ~face.hull(points, (300, 300))).any()
    for ring in face.NO_SKIN:
        x, y = points[list(ring)].mean(axis=0).round().astype(int)
        assert not skin[y, x]
    x, y = points[205].round().astype(int)  # a cheek
    assert skin[y, x]


def test_a_cutout_is_shrunk_only_where_the_eyes_are_farther_apart(mesh_xy: Floats) -> None:
    picture = np.zeros((900, 900, 3), np.uint8)
    small = face.cutout(Pyramid(picture), placed(mesh_xy, 400, 400), 120)
    large = face.cutout(Pyramid(picture), placed(mesh_xy, 400, 400, scale=6), 120)
    assert small is not None
    assert large is not None
    assert small.eyes_distance == pytest.approx(np.linalg.norm(np.subtract(*eye_centres(mesh_xy))))
    assert large.eyes_distance == pytest.approx(120)
    assert np.ptp(large.points_xy[face.OUTLINE, 0]) == pytest.approx(large.levels.shape[1], rel=0.05)


def test_covered_is_what_lies_on_the_picture() -> None:
    to_picture = np.array([(1.0, 0.0, -2.0), (0.0, 1.0, 1.0)])
    inside = face.covered(to_picture, (4, 6), (3, 3))
    assert inside.tolist() == [[False, False, True, True, True, False]] * 2 + [[False] * 6] * 2
