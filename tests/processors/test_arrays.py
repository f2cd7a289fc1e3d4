import cv2
import numpy as np
import pytest

from processors.arrays import angle_of, blob, crop_matrix, cropped, padded, resized
from processors.types import Image


def noise(height: int, width: int) -> Image:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)


def test_shrinking_averages() -> None:
    board = np.zeros((8, 8, 3), np.uint8)
    board[::2, 1::2] = board[1::2, ::2] = 255
    assert np.ptp(resized(board, 4, 4)) == 0
    assert resized(board, 4, 4)[0, 0, 0] == pytest.approx(127.5, abs=1)


@pytest.mark.parametrize(("width", "height"), [(7, 5), (3, 9), (1, 1), (20, 2)])
def test_resized_has_the_size_that_was_asked_for(width: int, height: int) -> None:
    assert resized(noise(5, 7), width, height).shape == (height, width, 3)


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


def test_a_level_crop_of_its_own_size_is_a_cut() -> None:
    image = noise(40, 50)
    matrix = crop_matrix(np.array([20.0, 15.0]), 10, 0.0, 10)
    np.testing.assert_array_equal(cropped(image, matrix, 10), image[10:20, 15:25])


def test_a_crop_is_turned_so_that_the_line_is_level() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    cv2.line(image, (30, 20), (70, 80), (255, 255, 255), 3)  # falls to the right
    angle = angle_of(np.array([30.0, 20.0]), np.array([70.0, 80.0]))
    assert np.degrees(angle) == pytest.approx(56.31, abs=0.01)
    crop = cropped(image, crop_matrix(np.array([50.0, 50.0]), 40, angle, 80), 80)
    rows, columns = np.nonzero(crop[..., 0] > 127)
    assert (columns.min(), columns.max()) == (0, 79)
    assert (rows.min() >= 35, rows.max() <= 45) == (True, True)


def test_outside_the_picture_its_border_goes_on() -> None:
    image = noise(4, 4)
    crop = cropped(image, crop_matrix(np.array([0.0, 0.0]), 4, 0.0, 4), 4)
    np.testing.assert_array_equal(crop[:2, :2], np.broadcast_to(image[0, 0], (2, 2, 3)))
    np.testing.assert_array_equal(crop[2:, 2:], image[:2, :2])
