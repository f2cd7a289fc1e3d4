import cv2
import numpy as np
import pytest

from models.store import ModelStore
from processors.face_fitter import FaceFitter
from processors.mask import Mask, MaskEstimator
from processors.registry import build_chain
from processors.types import FaceMesh, Frame, Image, Object, Sample
from tests.processors.pictures import PORTRAITS, portrait

every_portrait = pytest.mark.parametrize("name", PORTRAITS)

# Mesh points about what a mask covers: along the jaw from ear to ear, and back over cheeks and the bridge of the nose.
OUTLINE = (227, 93, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 323, 447, 346, 197, 117)


def face_of(store: ModelStore, name: str) -> Object:
    sample = Sample(Frame.of(portrait(name)))
    build_chain(["face-detector", "face-fitter"], {}, store)([sample])
    return sample.objects[0]


def masked(picture: Image, face: Object) -> Image:
    """With a light blue mask drawn over mouth and nose: folds, and shade toward its sides."""
    outline = face[FaceMesh].points_xyz[list(OUTLINE), :2]
    centre = outline.mean(axis=0)
    outline = centre + (outline - centre) * 1.05
    covered = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillPoly(covered, [np.rint(outline).astype(np.int32)], 255)
    height, width = np.ptp(outline[:, 1]), np.ptp(outline[:, 0])
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
    shade = 1 - 0.3 * (2 * (x - centre[0]) / width) ** 2 + 0.06 * np.sin((y - centre[1]) / height * 25)
    cloth = np.clip(np.array([225, 205, 180]) * shade[..., None], 0, 255)
    alpha = cv2.GaussianBlur(covered, (0, 0), 1.0)[..., None] / 255
    drawn: Image = (picture * (1 - alpha) + cloth * alpha).astype(np.uint8)
    return drawn


def estimated(store: ModelStore, picture: Image, face: Object, threshold: float = 0.5) -> Mask:
    estimator = MaskEstimator(MaskEstimator.Settings(threshold=threshold), store)
    obj = Object("face", face.box_xyxy)
    estimator([Sample(Frame.of(picture), [obj])])
    return obj[Mask]


@every_portrait
def test_bare_face(store: ModelStore, name: str) -> None:
    mask = estimated(store, portrait(name), face_of(store, name))
    assert not mask.worn
    assert mask.probability < 0.2


@every_portrait
def test_drawn_mask(store: ModelStore, name: str) -> None:
    face = face_of(store, name)
    mask = estimated(store, masked(portrait(name), face), face)
    assert mask.worn
    assert mask.probability > 0.8


def test_needs_no_mesh(store: ModelStore) -> None:
    assert not MaskEstimator.needs & FaceFitter.makes


@every_portrait
def test_threshold_itself_is_worn(store: ModelStore, name: str) -> None:
    face = face_of(store, name)
    probability = estimated(store, portrait(name), face).probability
    assert estimated(store, portrait(name), face, threshold=probability).worn
    assert not estimated(store, portrait(name), face, threshold=min(probability * 1.01, 1)).worn


def test_probability_is_that_of_the_bare_network(store: ModelStore) -> None:
    """A box with whole pixels whose square of 1.2 x its longer side is 224 pixels: no interpolation."""
    picture = np.ascontiguousarray(np.tile(portrait("obama"), (1, 1, 1)))
    box = np.array([210.0, 60.0, 370.0, 60.0 + 224 / 1.2])
    left, top = 290 - 112, round(60 + 112 / 1.2 - 112)
    box[[1, 3]] += top - (60 + 112 / 1.2 - 112)
    crop = picture[top : top + 224, left : left + 224, ::-1]
    outputs = store.session("mask_mobilenetv2_real").run({"input": crop[None].astype(np.float32) / 127.5 - 1})
    mask = estimated(store, picture, Object("face", box))
    assert mask.probability == pytest.approx(float(outputs["mask_prob"][0, 0]), abs=1e-4)
