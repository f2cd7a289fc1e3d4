"""The network that age and gender read, which runs once a face, whoever comes first."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from models.store import ModelStore
from processors.age import Age, AgeEstimator
from processors.faceres import Faceres, FaceresOutputs
from processors.gender import Gender, GenderEstimator
from processors.registry import build_chain
from processors.types import FaceMesh, Frame, Object, Sample
from tests.models.conftest import MODELS
from tests.models.edits import replace
from tests.processors.pictures import portrait

ORDERS = [["age-estimator", "gender-estimator"], ["gender-estimator", "age-estimator"]]


@pytest.fixture(scope="module")
def sample(store: ModelStore) -> Sample:
    """A face with its mesh."""
    sample = Sample(Frame.of(portrait("biden")))
    build_chain(["face-detector", "face-fitter"], {}, store)([sample])
    return sample


@pytest.fixture
def face(sample: Sample) -> Object:
    (known,) = sample.objects
    face = Object("face", known.box_xyxy)
    face.put(known[FaceMesh])
    return face


@pytest.mark.parametrize("order", ORDERS)
def test_it_runs_once_a_face_whoever_comes_first(
    store: ModelStore, sample: Sample, face: Object, order: list[str]
) -> None:
    first, second = (build_chain([name], {}, store) for name in order)
    first([Sample(sample.frame, [face])])
    said = face[FaceresOutputs]
    second([Sample(sample.frame, [face])])
    assert face[FaceresOutputs] is said


@pytest.mark.parametrize("name", ORDERS[0])
def test_what_is_on_the_face_is_what_is_read(store: ModelStore, sample: Sample, face: Object, name: str) -> None:
    """Another face's outputs: then the answer is another one."""
    kind = {"age-estimator": Age, "gender-estimator": Gender}[name]
    estimator = build_chain([name], {}, store)
    estimator([Sample(sample.frame, [face])])
    own = face[kind]
    said = face[FaceresOutputs]
    child = np.zeros_like(said.age)
    child[0, 5] = 1
    face.put(dataclasses.replace(said, age=child, male=1 - said.male))
    estimator([Sample(sample.frame, [face])])
    assert face[kind] != own


def test_answers_do_not_depend_on_the_chain(store: ModelStore, sample: Sample) -> None:
    answers = []
    for names in (*ORDERS, ["age-estimator"], ["gender-estimator"]):
        face = Object("face", sample.objects[0].box_xyxy)
        face.put(sample.objects[0][FaceMesh])
        build_chain(names, {}, store)([Sample(sample.frame, [face])])
        answers.append({kind: face[kind] for kind in (Age, Gender) if kind in face})
    both, other, age, gender = answers
    assert both == other == age | gender


def test_outputs_of_another_network_are_not_read(sample: Sample, face: Object, tmp_path: Path) -> None:
    """Two estimators that were told to read different networks each read their own."""
    for name in ("manifests", "files"):
        shutil.copytree(MODELS / name, tmp_path / name)
    mine = tmp_path / "manifests" / "mine.yaml"
    shutil.copy(tmp_path / "manifests" / "faceres_224.yaml", mine)
    replace(mine, "name: faceres_224", "name: mine")
    models = ModelStore(tmp_path)
    target = [Sample(sample.frame, [face])]
    AgeEstimator(AgeEstimator.Settings(), models)(target)
    assert face[FaceresOutputs].model == "faceres_224"
    GenderEstimator(GenderEstimator.Settings(second_model="mine"), models)(target)
    assert face[FaceresOutputs].model == "mine"


def test_shapes_are_those_that_the_heads_take(store: ModelStore, sample: Sample, face: Object) -> None:
    said = Faceres("faceres_224", store)(sample.frame.pyramid, face)
    assert (said.age.shape, said.male.shape, said.features.shape) == ((1, 100), (1, 1), (1, 1024))
    assert said.age.sum() == pytest.approx(1, abs=1e-4)
