import cv2
import numpy as np
import pytest

from models.store import ModelStore
from processors.faceres import FaceresOutputs
from processors.gender import Gender, GenderEstimator
from processors.registry import build_chain
from processors.types import FaceMesh, Frame, Object, Sample
from tests.processors.pictures import portrait

RECIPE = {"astronaut": 0.1120, "biden": 0.9968, "obama": 0.9924}
"""What the head says of the outputs that models/recipes/face_answers.py keeps."""


def face_of(store: ModelStore, name: str) -> Object:
    sample = Sample(Frame.of(portrait(name)))
    build_chain(["face-detector", "face-fitter", "gender-estimator"], {}, store)([sample])
    return sample.objects[0]


@pytest.mark.parametrize(("name", "is_male"), [("astronaut", False), ("biden", True), ("obama", True)])
def test_portraits(store: ModelStore, name: str, is_male: bool) -> None:
    gender = face_of(store, name)[Gender]
    assert gender.is_male == is_male
    assert abs(gender.male - is_male) < 0.15


@pytest.mark.parametrize(("name", "male"), RECIPE.items())
def test_it_is_what_the_recipe_says(store: ModelStore, name: str, male: float) -> None:
    assert face_of(store, name)[Gender].male == pytest.approx(male, abs=5e-3)


def test_either_answer_at_even_odds() -> None:
    assert [Gender(male).is_male for male in (0.49, 0.5, 0.51)] == [False, True, True]


def test_without_the_second_network_it_is_the_first_alone(store: ModelStore) -> None:
    """The package's own way in plain NumPy: dlib's chip by least squares, RGB less the mean, / 256; (woman, man)."""
    face = face_of(store, "astronaut")
    bare = Object("face", face.box_xyxy)
    bare.put(face[FaceMesh])
    alone = GenderEstimator(GenderEstimator.Settings(second_model=None), store)
    alone([Sample(Frame.of(portrait("astronaut")), [bare])])
    template = np.array(
        [
            [0.8595674595992, 0.2134981538014],
            [0.6460604764104, 0.2289674387677],
            [0.1205750620789, 0.2137274526848],
            [0.3340850613712, 0.2290642403242],
            [0.4901123135679, 0.6277978316475],
        ]
    )
    rows, wanted = [], []
    for (x, y), (u, v) in zip(face[FaceMesh].points_xyz[[263, 362, 33, 133, 2], :2], template, strict=True):
        rows += [[x, -y, 1, 0], [y, x, 0, 1]]
        wanted += [(u + 0.2) / 1.4 * 32, (v + 0.2) / 1.4 * 32]
    a, b, right, down = np.linalg.lstsq(np.array(rows), np.array(wanted))[0]
    area = cv2.resize(portrait("astronaut"), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    # Half a pixel: the first pixel's centre is 0.5 pixels from the border in both pictures.
    matrix = np.array([[a, -b, right], [b, a, down]]) @ [[2, 0, 0.5], [0, 2, 0.5], [0, 0, 1]]
    chip = cv2.warpAffine(area, matrix, (32, 32))
    net = (chip[:, :, ::-1].astype(np.float32) - np.array([122.782, 117.001, 104.298], np.float32)) / 256
    male = store.session("gender-v1").run({"images": net.transpose(2, 0, 1)[None]})["probabilities"][0, 1]
    assert bare[Gender].male == pytest.approx(male, abs=0.02)
    assert FaceresOutputs not in bare
