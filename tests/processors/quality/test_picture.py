"""Watermarks and backgrounds that are drawn."""

from collections.abc import Callable

import numpy as np
import pytest

from models.store import ModelStore
from processors.chain import Chain
from processors.quality import picture
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
from tests.processors.quality.pictures import checkered, watermarked

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


def probability(detector: WatermarkDetector, scene: Image, *boxes_xyxy: tuple[float, ...]) -> list[float]:
    return [mark.probability for mark in detector(Pyramid(scene), [np.array(box, float) for box in boxes_xyxy])]


FACES = {"astronaut": (140, 61, 231, 177), "biden": (212, 92, 411, 368), "obama": (212, 68, 397, 337)}


@every_portrait
def test_a_watermark_is_found_and_none_where_none_is(detector: WatermarkDetector, name: str) -> None:
    assert probability(detector, watermarked(portrait(name)), FACES[name])[0] > 0.6
    assert probability(detector, portrait(name), FACES[name])[0] < 0.5


def test_what_is_written_outside_the_portrait_is_no_watermark_of_it(detector: WatermarkDetector) -> None:
    """Three faces wide and high; between the two pictures is a grey one of their width."""
    clean = portrait("astronaut")
    scene = np.hstack([clean, np.full_like(clean, 128), watermarked(portrait("biden"))[: clean.shape[0]]])
    x1, y1, x2, y2 = FACES["biden"]
    first, second = FACES["astronaut"], (x1 + 2 * clean.shape[1], y1, x2 + 2 * clean.shape[1], y2)
    assert probability(detector, scene, first)[0] < 0.3
    assert probability(detector, scene, second)[0] > 0.5
    assert probability(detector, scene, first, second)[0] < 0.3  # in one look


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((100, 100, 140, 150), (45, 50, 195, 200)),
        ((0, 0, 40, 50), (0, 0, 95, 100)),  # as far as the picture has it
        ((390, 290, 430, 340), (335, 240, 400, 300)),
        ((-500, 100, -300, 300), (0, 0, 1, 300)),  # beside it: the pixels nearest to it
    ],
)
def test_a_portrait_is_three_face_sizes(box: tuple[float, ...], expected: tuple[float, ...]) -> None:
    assert picture.portrait(np.array(box, float), 400, 300).tolist() == list(expected)


@pytest.mark.parametrize(
    ("part", "expected"),
    [((10, 20, 45, 40), 0.9), ((35, 30, 36, 31), 0.9), ((10, 20, 30, 40), 0.0), ((44, 39, 45, 40), 0.0)],
)
def test_a_portrait_has_its_own_cells_of_the_view(part: tuple[float, ...], expected: float) -> None:
    """Of 16 of 448 pixels: here 1.25 of the view's 35 by 20."""
    cells = np.zeros((28, 28), np.float32)
    cells[8, 20] = 0.9
    view = np.array([10.0, 20.0, 45.0, 40.0])
    assert picture.largest(cells, picture.within(np.array(part, float), view)) == pytest.approx(expected)


@pytest.mark.parametrize("view", [(0, 0, 60, 80), (0, 0, 400, 1), (10, 10, 11, 11)])
def test_a_view_becomes_a_square_of_448(view: tuple[float, ...]) -> None:
    assert picture.squared(Pyramid(portrait("obama")), np.array(view, float)).shape == (448, 448, 3)


def test_a_wide_view_is_mirrored_below() -> None:
    look = picture.squared(Pyramid(portrait("obama")), np.array([0.0, 0.0, 400.0, 200.0]))
    assert (look[:223] == look[223 + 223 : 223 : -1]).all()


@every_portrait
def test_the_person_of_the_portraits_masks_is_found(segmenter: PersonSegmenter, name: str) -> None:
    """The face is the person's, the upper corners are not."""
    people = segmenter(Pyramid(portrait(name))).probabilities
    assert people.shape == (256, 256)
    assert people[110:130, 110:150].min() > 0.9
    assert people[:20, :20].mean() < 0.2


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
