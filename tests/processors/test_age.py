from typing import Any

import cv2
import numpy as np
import pytest

from models.store import ModelStore
from processors.age import Age, AgeEstimator
from processors.chips import aligned
from processors.faceres import FaceresOutputs
from processors.registry import build_chain
from processors.types import FaceMesh, Floats, Frame, Object, Sample
from tests.processors.pictures import portrait

RECIPE = {"astronaut": 45.124, "biden": 67.923, "obama": 40.725}
"""What the head says of the outputs that models/recipes/face_answers.py keeps."""


def face_of(store: ModelStore, name: str) -> Object:
    sample = Sample(Frame.of(portrait(name)))
    build_chain(["face-detector", "face-fitter", "age-estimator"], {}, store)([sample])
    return sample.objects[0]


# Collins was 42 when her portrait was taken, Biden 70, Obama 51.
@pytest.mark.parametrize(("name", "years"), [("astronaut", 42), ("biden", 70), ("obama", 51)])
def test_portraits(store: ModelStore, name: str, years: float) -> None:
    assert face_of(store, name)[Age].years == pytest.approx(years, abs=13)  # the error that 9 of 10 faces keep within


def faceres_by_hand(store: ModelStore, name: str, box_xyxy: Floats) -> dict[str, Any]:
    """The square of 1.3 x the longer side, which lies inside these pictures, in plain OpenCV."""
    x1, y1, x2, y2 = box_xyxy
    scale, centre = 224 / (1.3 * max(x2 - x1, y2 - y1)), np.array([x1 + x2, y1 + y2]) / 2
    matrix = np.array([[scale, 0, 112 - centre[0] * scale], [0, scale, 112 - centre[1] * scale]])
    chip = cv2.warpAffine(portrait(name), matrix, (224, 224))
    return store.session("faceres_224").run({"input_1:0": chip[None, ..., ::-1].astype(np.float32)})


def test_it_is_the_head_on_what_both_networks_say(store: ModelStore) -> None:
    face = face_of(store, "obama")
    chip = aligned(Frame.of(portrait("obama")).pyramid, face[FaceMesh].points_xyz, 64)
    rgb = (chip[..., ::-1].astype(np.float32) - np.array([122.782, 117.001, 104.298], np.float32)) / 256
    faceres = faceres_by_hand(store, "obama", face.box_xyxy)
    inputs = {
        "age_v1": store.session("age-v1").run({"images": rgb.transpose(2, 0, 1)[None]})["probabilities"],
        "faceres_age": faceres["age_pred/Softmax:0"],
        "faceres_male": faceres["gender_pred/Sigmoid:0"],
        "faceres_features": faceres["global_pooling/Mean:0"],
    }
    (years,) = store.session("age_head").run(inputs)["years"]
    assert face[Age].years == pytest.approx(years, abs=0.5)


@pytest.mark.parametrize(("name", "years"), RECIPE.items())
def test_it_is_what_the_recipe_says(store: ModelStore, name: str, years: float) -> None:
    assert face_of(store, name)[Age].years == pytest.approx(
        years, abs=0.1
    )  # a crop that moves by a hundredth of a pixel


def test_without_the_second_network_it_is_the_first_alone(store: ModelStore) -> None:
    """The mean of its classes by their probability; the youngest is 0.25 years."""
    face = face_of(store, "obama")
    frame = Frame.of(portrait("obama"))
    bare = Object("face", face.box_xyxy)
    bare.put(face[FaceMesh])
    AgeEstimator(AgeEstimator.Settings(second_model=None), store)([Sample(frame, [bare])])
    chip = aligned(frame.pyramid, face[FaceMesh].points_xyz, 64)
    rgb = (chip[..., ::-1].astype(np.float32) - np.array([122.782, 117.001, 104.298], np.float32)) / 256
    (of_classes,) = store.session("age-v1").run({"images": rgb.transpose(2, 0, 1)[None]})["probabilities"]
    assert bare[Age].years == pytest.approx(of_classes[0] * 0.25 + of_classes[1:] @ np.arange(1, 81), abs=0.01)
    assert FaceresOutputs not in bare
