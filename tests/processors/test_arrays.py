import cv2
import numpy as np
import pytest

from processors.arrays import (
    angle_of,
    blob,
    crop_matrix,
    cropped,
    fitted,
    levelled_square,
    padded,
    resized,
    rows,
    similarity,
)
from processors.types import Image, Pyramid


def noise(height: int, width: int) -> Image:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)


def test_shrinking_averages() -> None:
    board = np.zeros((8, 8, 3), np.uint8)
    board[::2, 1::2] = board[1::2, ::2] = 255
    assert np.ptp(resized(Pyramid(board), 4, 4)) == 0
    assert resized(Pyramid(board), 4, 4)[0, 0, 0] == pytest.approx(127.5, abs=1)


@pytest.mark.parametrize("size", [(400, 300), (211, 160), (150, 110), (101, 75)])
def test_shrinking_is_near_to_the_mean_of_each_area(size: tuple[int, int]) -> None:
    picture = cv2.GaussianBlur(noise(608, 808), (0, 0), 8)
    expected = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    assert np.abs(resized(Pyramid(picture), *size).astype(int) - expected).max() <= 2  # type: ignore[arg-type]
    stripes = np.zeros((608, 808, 3), np.uint8)
    stripes[:, ::2] = 255
    assert np.abs(resized(Pyramid(stripes), 101, 75).astype(int) - 127).max() < 10


@pytest.mark.parametrize("length", [607, 613, 639, 640])
def test_shrinking_moves_nothing_by_a_pixel(length: int) -> None:
    slope = np.tile(np.linspace(0, 255, length)[None, :, None], (length, 1, 3)).astype(np.uint8)
    expected = cv2.resize(slope, (75, 75), interpolation=cv2.INTER_AREA)
    assert np.abs(resized(Pyramid(slope), 75, 75).astype(int) - expected).max() < 255 / 75 + 1


@pytest.mark.parametrize(("width", "height"), [(7, 5), (3, 9), (1, 1), (20, 2)])
def test_resized_has_the_size_that_was_asked_for(width: int, height: int) -> None:
    assert resized(Pyramid(noise(5, 7)), width, height).shape == (height, width, 3)


@pytest.mark.parametrize(
    ("shape", "multiple", "expected"), [((5, 7), 4, (8, 8)), ((8, 4), 4, (8, 4)), ((1, 1), 32, (32, 32))]
)
def test_padded(shape: tuple[int, int], multiple: int, expected: tuple[int, int]) -> None:
    image = noise(*shape)
    result = padded(image, multiple)
    assert result.shape[:2] == expected
    np.testing.assert_array_equal(result[: shape[0], : shape[1]], image)
    assert not result[shape[0] :].any()
    assert not result[:, shape[1] :].any()


def test_blob() -> None:
    image = noise(3, 5)
    np.testing.assert_array_equal(blob(image), image.transpose(2, 0, 1)[None].astype(np.float32))
    rgb = image[..., ::-1].transpose(2, 0, 1)[None] / 255
    np.testing.assert_allclose(blob(image, scale=1 / 255, rgb=True), rgb, rtol=1e-6)
    assert blob(image).dtype == np.float32


@pytest.mark.parametrize("shape", [(3, 5), (4, 8), (9, 4)])
def test_blob_of_what_is_padded(shape: tuple[int, int]) -> None:
    image, mean, scale = noise(*shape), (1.0, 20.0, 100.0), (0.5, 0.25, 2.0)
    expected = blob(padded(image, 4), mean=mean, scale=scale)
    np.testing.assert_array_equal(blob(image, mean=mean, scale=scale, multiple=4), expected)


def test_rows() -> None:
    image = noise(3, 5)
    np.testing.assert_array_equal(rows(image), image[None, ..., ::-1].astype(np.float32))
    np.testing.assert_allclose(rows(image, mean=127.5, scale=1 / 127.5), image[None, ..., ::-1] / 127.5 - 1, atol=1e-6)
    assert rows(image, scale=0.5).dtype == np.float32


def test_blob_less_the_mean() -> None:
    image = noise(3, 5)
    mean, scale = (1.0, 20.0, 100.0), (0.5, 0.25, 2.0)
    expected = ((image.astype(np.float64) - mean) * scale).transpose(2, 0, 1)[None]
    np.testing.assert_allclose(blob(image, mean=mean, scale=scale), expected, rtol=1e-6)
    rgb = ((image[..., ::-1].astype(np.float64) - mean) / 256).transpose(2, 0, 1)[None]
    np.testing.assert_allclose(blob(image, mean=mean, scale=1 / 256, rgb=True), rgb, rtol=1e-6)


@pytest.mark.parametrize(
    ("shape", "expected"), [((30, 60), (50, 100)), ((400, 200), (100, 50)), ((1, 900), (1, 100)), ((7, 7), (100, 100))]
)
def test_fitted_scales_up_and_down(shape: tuple[int, int], expected: tuple[int, int]) -> None:
    assert fitted(Pyramid(noise(*shape)), 100).shape[:2] == expected


@pytest.mark.parametrize("degrees", [0, 30, -120])
def test_similarity_finds_the_turn_scale_and_shift(degrees: float) -> None:
    points = np.random.default_rng(2).uniform(0, 100, (5, 2))
    matrix = cv2.getRotationMatrix2D((30, 70), degrees, 1.7)
    moved = points @ matrix[:, :2].T + matrix[:, 2]
    np.testing.assert_allclose(similarity(points, moved), matrix, atol=1e-9)


def test_similarity_is_the_least_squares_fit() -> None:
    """As a general solver has it: x' = ax - by + c, y' = bx + ay + d."""
    random = np.random.default_rng(4)
    points, others = random.uniform(0, 100, (2, 5, 2))
    rows = [row for x, y in points for row in ((x, -y, 1, 0), (y, x, 0, 1))]
    a, b, c, d = np.linalg.lstsq(np.array(rows), others.reshape(-1))[0]
    np.testing.assert_allclose(similarity(points, others), [[a, -b, c], [b, a, d]])


@pytest.mark.parametrize("angle", [0.0, 0.5, -2.0])
def test_levelled_square_is_about_the_points_turned_level(angle: float) -> None:
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    level = np.array([(10.0, 20), (50, 40), (30, 100)])
    centre, side = levelled_square(level @ turn.T, angle, 1.5)
    assert side == pytest.approx(80 * 1.5)
    np.testing.assert_allclose(centre, turn @ (30, 60))


def test_a_level_crop_of_its_own_size_is_a_cut() -> None:
    image = noise(40, 50)
    matrix = crop_matrix(np.array([20.0, 15.0]), 10, 0.0, 10)
    np.testing.assert_array_equal(cropped(Pyramid(image), matrix, 10), image[10:20, 15:25])


def test_a_crop_is_turned_so_that_the_line_is_level() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    cv2.line(image, (30, 20), (70, 80), (255, 255, 255), 3)  # falls to the right
    angle = angle_of(np.array([30.0, 20.0]), np.array([70.0, 80.0]))
    assert np.degrees(angle) == pytest.approx(56.31, abs=0.01)
    crop = cropped(Pyramid(image), crop_matrix(np.array([50.0, 50.0]), 40, angle, 80), 80)
    rows, columns = np.nonzero(crop[..., 0] > 127)
    assert columns.min() == 0
    assert columns.max() == 79
    assert rows.min() >= 35
    assert rows.max() <= 45


def test_outside_the_picture_its_border_goes_on() -> None:
    image = noise(4, 4)
    crop = cropped(Pyramid(image), crop_matrix(np.array([0.0, 0.0]), 4, 0.0, 4), 4, replicate=True)
    np.testing.assert_array_equal(crop[:2, :2], np.broadcast_to(image[0, 0], (2, 2, 3)))
    np.testing.assert_array_equal(crop[2:, 2:], image[:2, :2])


@pytest.mark.parametrize("size", [20, 100], ids=["small", "large"])
@pytest.mark.parametrize("shrinks", [2.5, 9.0])
@pytest.mark.parametrize("replicate", [False, True])
def test_a_crop_is_the_same_whether_or_not_the_halves_are_there(size: int, shrinks: float, replicate: bool) -> None:
    image = noise(1200, 1600)
    made, fresh = Pyramid(image), Pyramid(image)
    made.level(3)
    for centre in ((100.0, 80.0), (1590.0, 1190.0), (-400.0, 600.0)):
        matrix = crop_matrix(np.array(centre), size * shrinks, 0.3, size)
        crop, other = (cropped(pyramid, matrix, size, replicate=replicate) for pyramid in (made, fresh))
        np.testing.assert_array_equal(crop, other)
