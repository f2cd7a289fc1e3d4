"""What holds for every estimator of a face."""

from typing import Any

import numpy as np
import pytest

from models.store import ModelStore
from processors.age import Age, AgeEstimator
from processors.chain import Chain
from processors.emotion import EmotionEstimator, Emotions
from processors.estimator import Estimator
from processors.face_fitter import FaceFitter
from processors.gender import Gender, GenderEstimator
from processors.liveness import Liveness, LivenessEstimator
from processors.mask import Mask, MaskEstimator
from processors.registry import PROCESSORS, build_chain
from processors.types import FaceMesh, Floats, Frame, Image, Object, Sample
from tests.processors.pictures import PORTRAITS, mirrored, portrait

ESTIMATORS: dict[str, type[Any]] = {
    "gender-estimator": Gender,
    "age-estimator": Age,
    "emotion-estimator": Emotions,
    "mask-estimator": Mask,
    "liveness-estimator": Liveness,
}
every_estimator = pytest.mark.parametrize("name", ESTIMATORS)


def test_each_is_registered_under_its_name() -> None:
    classes = (GenderEstimator, AgeEstimator, EmotionEstimator, MaskEstimator, LivenessEstimator)
    assert [PROCESSORS[name] for name in ESTIMATORS] == list(classes)
    assert [PROCESSORS[name].makes for name in ESTIMATORS] == [{kind} for kind in ESTIMATORS.values()]


@pytest.fixture(scope="module")
def faces(store: ModelStore) -> Chain:
    return build_chain(["face-detector", "face-fitter"], {}, store)


@pytest.fixture(scope="module")
def fitter(store: ModelStore) -> FaceFitter:
    return FaceFitter(FaceFitter.Settings(), store)


@pytest.fixture
def estimator(store: ModelStore, name: str) -> Estimator:
    made = PROCESSORS[name](PROCESSORS[name].Settings(), store)
    assert isinstance(made, Estimator)
    return made


def values(result: object) -> Floats:
    """A result's numbers."""
    fields = [getattr(result, field) for field in type(result).__dataclass_fields__]  # type: ignore[attr-defined]
    return np.hstack([np.asarray(value, np.float64) for value in fields])


def found(faces: Chain, picture: Image) -> Sample:
    sample = Sample(Frame.of(picture))
    faces([sample])
    return sample


@every_estimator
def test_several_pictures_and_faces_are_as_one_by_one(faces: Chain, estimator: Estimator, name: str) -> None:
    samples = [found(faces, portrait(each)) for each in PORTRAITS]
    samples.append(found(faces, np.hstack([portrait("obama")[:570], portrait("biden")[:570]])))
    assert [len(sample.objects) for sample in samples] == [1, 1, 1, 2]
    estimator(samples)
    together = [obj[ESTIMATORS[name]] for sample in samples for obj in sample.objects]
    singly = []
    for sample in samples:
        for obj in sample.objects:
            estimator([Sample(sample.frame, [obj])])
            singly.append(obj[ESTIMATORS[name]])
    assert together == singly
    assert len(set(together)) == 5


@every_estimator
@pytest.mark.parametrize(
    "box",
    [
        (20, 20, 21, 21),
        (20.3, 20.3, 20.5, 20.4),
        (-60, -50, 30, 40),
        (30, 30, 200, 160),
        (-900, -900, -800, -700),
        (500, 10, 501, 400),
        (-5000, -5000, 5000, 5000),
        (0, 0, 80, 64),
        (10, 31, 70, 32),
    ],
)
def test_any_box_gets_a_result(fitter: FaceFitter, estimator: Estimator, name: str, box: tuple[float, ...]) -> None:
    noise = np.random.default_rng(6).integers(0, 256, (64, 80, 3), np.uint8)
    for picture in (noise, noise[:1, :1], noise[:, :1]):
        sample = Sample(Frame.of(picture), [Object("face", np.array(box, np.float64))])
        fitter([sample])
        estimator([sample])
        assert np.isfinite(values(sample.objects[0][ESTIMATORS[name]])).all()


# Not liveness: what is about the face counts there, and moves when the border does.
@pytest.mark.parametrize("name", [name for name in ESTIMATORS if name != "liveness-estimator"])
@pytest.mark.parametrize("each", PORTRAITS)
def test_a_face_at_the_border_is_judged_by_what_is_seen(
    faces: Chain, fitter: FaceFitter, estimator: Estimator, name: str, each: str
) -> None:
    """A box that reaches a tenth over the border, as detectors make them."""
    sample = found(faces, portrait(each))
    estimator([sample])
    (whole,) = sample.objects
    cut = int(whole.box_xyxy[0] + 0.1 * (whole.box_xyxy[2] - whole.box_xyxy[0]))
    face = Object("face", whole.box_xyxy - (cut, 0, cut, 0))
    rest = Sample(Frame.of(np.ascontiguousarray(portrait(each)[:, cut:])), [face])
    fitter([rest])
    estimator([rest])
    # Years for an age, as far off as one in ten is anyway; probabilities and yes or no for all others.
    tolerance = 13 if name == "age-estimator" else 0.4
    np.testing.assert_allclose(values(face[ESTIMATORS[name]]), values(whole[ESTIMATORS[name]]), rtol=0, atol=tolerance)


@every_estimator
@pytest.mark.parametrize("each", PORTRAITS)
def test_a_mirrored_face_is_judged_alike(faces: Chain, estimator: Estimator, name: str, each: str) -> None:
    samples = [found(faces, portrait(each)), found(faces, mirrored(portrait(each)))]
    estimator(samples)
    face, mirror = (values(sample.objects[0][ESTIMATORS[name]]) for sample in samples)
    # Years for an age; emotions are steep between two that are near, all others are alike.
    tolerance = {"age-estimator": 8, "emotion-estimator": 0.5}.get(name, 0.12)
    np.testing.assert_allclose(mirror, face, rtol=0, atol=tolerance)


@every_estimator
def test_bodies_are_left_alone(estimator: Estimator, name: str) -> None:
    body = Object("body", np.array([0.0, 0.0, 50.0, 50.0]))
    estimator([Sample(Frame.of(portrait("obama")), [body])])
    assert ESTIMATORS[name] not in body


@every_estimator
def test_only_what_it_needs_is_read(faces: Chain, estimator: Estimator, name: str) -> None:
    """A request's face has a box; what else the estimator reads, it must ask for."""
    sample = found(faces, portrait("obama"))
    bare = Object("face", sample.objects[0].box_xyxy)
    if FaceMesh in estimator.needs:
        bare.put(sample.objects[0][FaceMesh])
    estimator([sample, Sample(sample.frame, [bare])])
    assert bare[ESTIMATORS[name]] == sample.objects[0][ESTIMATORS[name]]
