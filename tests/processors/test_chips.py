import cv2
import numpy as np
import pytest

from processors.arrays import crop_matrix
from processors.chips import DLIB_POINTS, DLIB_TEMPLATE, about_box, aligned, upright
from processors.types import Floats, Image, Pyramid


@pytest.fixture(scope="module")
def picture() -> Image:
    """Smooth, so that interpolation is exact to about a grey level."""
    noise = np.random.default_rng(3).uniform(0, 255, (200, 240, 3)).astype(np.float32)
    blurred = cv2.GaussianBlur(noise, (0, 0), 6)
    return cv2.normalize(blurred, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)  # type: ignore[call-overload,no-any-return]


def sampled(picture: Image, points_xy: Floats) -> Floats:
    """(n, 3): the picture at pixels that need not be whole."""
    xy = points_xy.astype(np.float32)
    return cv2.remap(picture, xy[:, :1], xy[:, 1:], cv2.INTER_LINEAR)[:, 0].astype(np.float64)


def mesh_with(points: dict[int, tuple[float, float]]) -> Floats:
    mesh = np.zeros((468, 3))
    mesh[:, :2] = np.mean(list(points.values()), axis=0)
    for i, xy in points.items():
        mesh[i, :2] = xy
    return mesh


@pytest.mark.parametrize("angle", [0.0, 0.4, -2.0])
def test_aligned_puts_the_five_points_where_the_template_has_them(picture: Image, angle: float) -> None:
    template = (DLIB_TEMPLATE + 0.2) / 1.4 * 64
    matrix = crop_matrix(np.array([120.0, 100.0]), 90, angle, 64)
    places = template @ matrix[:, :2].T + matrix[:, 2]
    chip = aligned(Pyramid(picture), mesh_with(dict(zip(DLIB_POINTS, map(tuple, places), strict=True))), 64)
    np.testing.assert_allclose(sampled(chip, template), sampled(picture, places), atol=3)


@pytest.mark.parametrize("degrees", [0, 25, -70])
def test_upright_levels_the_eyes_and_holds_the_mesh(picture: Image, degrees: float) -> None:
    """A level face of 60 x 80 pixels, turned: the chip's corners are those of the square about it, turned too."""
    turn = cv2.getRotationMatrix2D((120, 100), -degrees, 1)
    level = {33: (100, 90), 133: (112, 90), 362: (128, 90), 263: (140, 90), 10: (120, 60), 152: (120, 140)}
    level |= {234: (90, 100), 454: (150, 100)}
    mesh = mesh_with({i: tuple(turn @ (*xy, 1)) for i, xy in level.items()})
    chip = upright(Pyramid(picture), mesh, 1.1, 88)  # pixel for pixel: 80 x 1.1
    inside = np.array([(8, 8), (44, 44), (80, 20), (20, 70)], np.float64)
    places = (inside + (120.0 - 44, 100.0 - 44)) @ turn[:, :2].T + turn[:, 2]  # noqa: RUF005  # a sum
    np.testing.assert_allclose(sampled(chip, inside), sampled(picture, places), atol=3)


def test_about_box_is_the_square_of_its_longer_side(picture: Image) -> None:
    chip = about_box(Pyramid(picture), np.array([60.0, 40.0, 100.0, 120.0]), 1.2, 96)
    np.testing.assert_array_equal(chip, picture[32:128, 32:128])


def test_outside_the_picture_it_is_black_or_the_border_repeated(picture: Image) -> None:
    box = np.array([-40.0, -40.0, 40.0, 40.0])
    pyramid = Pyramid(picture)
    black, repeated = about_box(pyramid, box, 1.0, 80), about_box(pyramid, box, 1.0, 80, replicate=True)
    np.testing.assert_array_equal(black[40:, 40:], picture[:40, :40])
    assert not black[:40].any()
    assert not black[:, :40].any()
    np.testing.assert_array_equal(repeated[:40, 40:], np.broadcast_to(picture[:1, :40], (40, 40, 3)))
    np.testing.assert_array_equal(repeated[:40, :40], np.broadcast_to(picture[0, 0], (40, 40, 3)))


@pytest.mark.parametrize("shrinks", [1.9, 2.1, 5.0])
def test_a_shrunk_chip_shows_the_same_place(picture: Image, shrinks: float) -> None:
    """Right to half a grey level in the mean: what is shrunk by area first does not move by a part of a pixel."""
    side = 160.0
    size = round(side / shrinks)
    chip = about_box(Pyramid(picture), np.array([40.0, 20.0, 200.0, 180.0]), 1.0, size)
    grid = np.stack(np.meshgrid(np.arange(2, size - 2), np.arange(2, size - 2)), axis=-1).reshape(-1, 2)
    expected = sampled(picture, grid * (side / size) + (40, 20))
    difference = chip[2:-2, 2:-2].reshape(-1, 3) - expected
    slope = np.abs(np.diff(picture.astype(float), axis=1)).mean() * shrinks  # of a pixel of the chip
    assert np.abs(difference).mean() < 0.15 * slope


def test_what_is_shrunk_does_not_alias() -> None:
    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[:, ::2] = 255
    chip = about_box(Pyramid(stripes), np.array([0.0, 0.0, 400.0, 400.0]), 1.0, 40)
    assert np.abs(chip[2:-2, 2:-2].astype(int) - 127).max() < 20


@pytest.mark.parametrize(
    "box",
    [(10, 10, 11, 11), (0.2, 0.2, 0.4, 0.3), (-900, -900, -800, -700), (5000, 10, 5001, 4000), (-1e5, -1e5, 1e5, 1e5)],
)
@pytest.mark.parametrize("replicate", [False, True])
def test_any_box(picture: Image, box: tuple[float, ...], replicate: bool) -> None:
    assert about_box(Pyramid(picture), np.array(box), 1.3, 64, replicate=replicate).shape == (64, 64, 3)
    assert about_box(Pyramid(picture[:1, :1]), np.array(box), 1.3, 64, replicate=replicate).shape == (64, 64, 3)
