"""Watermarks and backgrounds that are drawn."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from models.store import ModelStore
from processors.chain import Chain
from processors.quality.picture import (
    People,
    PersonSegmenter,
    WatermarkDetector,
    background_gradient,
    uniformity,
)
from processors.registry import build_chain
from processors.types import FaceMesh, Floats, Frame, Image, Pyramid, Sample
from tests.processors.pictures import PORTRAITS, portrait

every_portrait = pytest.mark.parametrize("name", PORTRAITS)


@pytest.fixture(scope="module")
def detector(store: ModelStore) -> WatermarkDetector:
    return WatermarkDetector(store)


@pytest.fixture(scope="module")
def segmenter(store: ModelStore) -> PersonSegmenter:
    return PersonSegmenter(store)


@pytest.fixture(scope="module")
def mesh_of(store: ModelStore) -> Callable[[str], Floats]:
    faces: Chain = build_chain(["face-detector", "face-fitter"], {}, store)

    def points(name: str) -> Floats:
        sample = Sample(Frame.of(portrait(name)))
        faces([sample])
        mesh: Floats = sample.objects[0][FaceMesh].points_xyz[:, :2]
        return mesh

    return points


def watermarked(picture: Image) -> Image:
    """White letters across it, tiled, at half strength."""
    layer = picture.copy()
    for y in range(40, picture.shape[0], 110):
        for x in range(-20 - y % 3 * 40, picture.shape[1], 190):
            cv2.putText(layer, "SAMPLE", (x, y), cv2.FONT_HERSHEY_DUPLEX, 1.1, (255, 255, 255), 2, cv2.LINE_AA)
    return cv2.addWeighted(layer, 0.5, picture, 0.5, 0)  # type: ignore[return-value]


@every_portrait
def test_a_watermark_is_found_and_none_where_none_is(detector: WatermarkDetector, name: str) -> None:
    assert detector(Pyramid(watermarked(portrait(name)))).probability > 0.5
    assert detector(Pyramid(portrait(name))).probability < 0.3


def test_the_whole_picture_is_looked_at_whatever_its_shape(detector: WatermarkDetector) -> None:
    tall = np.vstack([portrait("obama"), portrait("obama")])
    assert detector(Pyramid(watermarked(tall))).probability > 0.5
    assert detector(Pyramid(tall)).probability < 0.5


@every_portrait
def test_the_person_of_the_portraits_masks_is_found(segmenter: PersonSegmenter, name: str) -> None:
    """The face is the person's, the upper corners are not."""
    people = segmenter(Pyramid(portrait(name))).probabilities
    assert people.shape == (256, 256)
    assert people[110:130, 110:150].min() > 0.9
    assert people[:20, :20].mean() < 0.2


def checkered(picture: Image, people: People, contrast: float) -> Image:
    """Before a checkered wall; at 0 it is grey."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[:height, :width] // 28
    wall = 190 + ((x + y) % 2 * 2.0 - 1) * contrast
    person = np.clip(cv2.resize(people.probabilities, (width, height)) * 1.6 - 0.3, 0, 1)[..., None]
    levels: Floats = picture * person + wall[..., None] * (1 - person)
    return np.rint(levels).clip(0, 255).astype(np.uint8)


@every_portrait
def test_a_background_is_less_uniform_with_every_step_of_contrast(
    segmenter: PersonSegmenter, mesh_of: Callable[[str], Floats], name: str
) -> None:
    people, points = segmenter(Pyramid(portrait(name))), mesh_of(name)
    scores = [
        uniformity(background_gradient(Pyramid(checkered(portrait(name), people, contrast)), points, people))
        for contrast in (0, 10, 20, 40, 60)
    ]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0.85
    assert scores[-1] < 0.3


def test_what_is_covered_by_people_cannot_be_judged(mesh_of: Callable[[str], Floats]) -> None:
    everybody = People(np.ones((256, 256), np.float32))
    assert background_gradient(Pyramid(portrait("obama")), mesh_of("obama"), everybody) is None
    assert uniformity(None) == 1


def test_what_is_beside_the_picture_is_no_background(mesh_of: Callable[[str], Floats]) -> None:
    """Of a picture of the nose alone all but the nose lies outside."""
    points = mesh_of("obama")
    left, top = points[1].astype(int) - 6
    nobody = People(np.zeros((256, 256), np.float32))
    nose = portrait("obama")[top : top + 12, left : left + 12]
    assert background_gradient(Pyramid(nose), points - (left, top), nobody) is None
    assert background_gradient(Pyramid(portrait("obama")), points, nobody) is not None


def test_uniformity_of_gradients() -> None:
    assert uniformity(0) == pytest.approx(1.9 / (1 + np.exp(-0.1)), rel=1e-6)
    assert uniformity(10) == pytest.approx(0.95)
    assert uniformity(1e6) == pytest.approx(0, abs=1e-6)
