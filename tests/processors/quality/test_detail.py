"""Noise and sharpness of faces that are drawn, with a mesh whose skin is known."""

import math

import cv2
import numpy as np
import pytest

from models.store import ModelStore
from processors.quality import detail
from processors.quality.face import Cutout, eroded, hull
from processors.quality.light import grey
from processors.types import Floats, Image


@pytest.fixture(scope="module")
def points_xy(store: ModelStore) -> Floats:
    """The canonical face's mesh, frontal on a picture of 300 x 300."""
    with np.load(store.path("facemesh_canonical")) as canonical:
        points: Floats = canonical["vertices"][:, :2] * (1.0, -1.0)
    low, high = points.min(axis=0), points.max(axis=0)
    placed: Floats = (points - low) / (high - low).max() * 260 + 20
    return placed


def face(picture: Image, points_xy: Floats) -> Cutout:
    return Cutout(grey(picture), points_xy, 100.0)


def grey_picture(sd: float) -> Image:
    levels = np.random.default_rng(3).normal(128, sd, (300, 300))
    return np.repeat(levels.round().clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("sd", [2, 5, 10, 20])
def test_noise_of_a_flat_face_is_its_standard_deviation(points_xy: Floats, sd: float) -> None:
    rounding = 1 / 12  # the variance of what is cut off to whole levels
    assert detail.noise(face(grey_picture(sd), points_xy)) == pytest.approx(math.sqrt(sd**2 + rounding), rel=0.04)


def test_a_flat_or_evenly_lit_face_has_none(points_xy: Floats) -> None:
    assert detail.noise(face(np.full((300, 300, 3), 90, np.uint8), points_xy)) == 0
    slope = np.tile(np.linspace(50, 200, 300).astype(np.uint8)[:, None, None], (1, 300, 3))
    assert detail.noise(face(slope, points_xy)) < 0.1


def test_noise_outside_the_skin_does_not_count(points_xy: Floats) -> None:
    picture = np.full((300, 300, 3), 90, np.uint8)
    picture[:12] = grey_picture(40)[:12]
    assert detail.noise(face(picture, points_xy)) == 0


def test_too_little_skin_has_no_noise(points_xy: Floats) -> None:
    assert detail.noise(Cutout(grey(grey_picture(20))[:12, :12], points_xy * 0.04, 4.0)) == 0
    assert detail.noise(None) == 0


def test_scores_are_half_at_nine_levels_and_two_pixels() -> None:
    assert detail.noise_score(9) == pytest.approx(0.5)
    assert detail.sharpness_score(2) == pytest.approx(0.5)
    assert detail.sharpness_score(math.inf) == 0


@pytest.fixture(scope="module")
def blur(store: ModelStore) -> detail.Blur:
    return detail.Blur(store.path("quality_sharpness"))


def test_without_a_face_there_is_no_sharpness(blur: detail.Blur) -> None:
    assert blur(None, 0.0) == math.inf


@pytest.mark.parametrize("picture", [np.zeros((1, 1, 3), np.uint8), np.full((300, 300, 3), 255, np.uint8)])
def test_whatever_the_picture_blur_is_a_number(blur: detail.Blur, points_xy: Floats, picture: Image) -> None:
    assert 0 < blur(face(picture, points_xy), 0.0) < math.inf


def test_features_are_36_and_follow_the_contrast_by_its_logarithm(points_xy: Floats) -> None:
    weak, strong = (detail.sharpness_features(face(grey_picture(sd), points_xy), 0.0) for sd in (10, 20))
    assert weak.shape == (36,)
    np.testing.assert_allclose((strong - weak)[8:16], math.log(2), atol=0.05)  # differences from local means
    np.testing.assert_allclose((strong - weak)[22:33], 0, atol=0.05)  # ratios
    assert weak[-1] == pytest.approx(math.log(101))


def test_features_are_the_statistics_of_their_responses(points_xy: Floats) -> None:
    seen = face(grey_picture(20), points_xy)
    mask = eroded(hull(points_xy, seen.levels.shape), 3)
    smooth = cv2.GaussianBlur(seen.levels, (3, 3), 0)
    responses = [
        *(cv2.Laplacian(smooth, cv2.CV_64F, ksize=size) / 4.0**size for size in (1, 3, 5, 7)),
        *(cv2.absdiff(seen.levels, cv2.blur(seen.levels, (size, size))) for size in (3, 5, 7, 11)),
        *(cv2.Sobel(seen.levels, cv2.CV_64F, 1, 1, ksize=size) / 4.0**size for size in (3, 5, 7)),
    ]
    magnitudes = [np.abs(response)[mask].astype(np.float64) for response in responses]
    expected = np.log([(values.mean() + 1e-4, values.std() + 1e-4) for values in magnitudes]).ravel()
    np.testing.assert_allclose(detail.sharpness_features(seen, 3.0)[: len(expected)], expected, rtol=0, atol=1e-4)
