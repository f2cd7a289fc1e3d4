"""Real portraits, and what becomes of each member as a portrait is spoilt."""

from collections.abc import Callable
from dataclasses import fields, replace
from functools import cache
from itertools import pairwise

import cv2
import numpy as np
import pytest

from models.store import ModelStore
from processors.chain import Chain
from processors.emotion import EMOTIONS, Emotions
from processors.mask import Mask
from processors.quality import Quality, QualityEstimator, QualityEstimatorSettings
from processors.quality.picture import People, Watermark
from processors.registry import PROCESSORS, build_chain
from processors.types import Confidence, FaceMesh, Frame, Image, Object, Pose, Sample
from tests.processors.pictures import PORTRAITS, mirrored, portrait, rolled, scaled
from tests.processors.quality import pictures as worse

every_portrait = pytest.mark.parametrize("name", PORTRAITS)
STEPS = ["face-fitter", "mask-estimator", "emotion-estimator", "quality-assessment-estimator"]

Look = Callable[[Image], Sample]


@pytest.fixture(scope="module")
def detector(store: ModelStore) -> Chain:
    return build_chain(["face-detector"], {}, store)


@pytest.fixture(scope="module")
def assessor(store: ModelStore) -> Chain:
    return build_chain(STEPS, {}, store)


@pytest.fixture(scope="module")
def look(detector: Chain, assessor: Chain) -> Look:
    """Finds the faces of a picture and assesses them."""

    def assessed(picture: Image) -> Sample:
        sample = Sample(Frame.of(picture))
        detector([sample])
        assessor([sample])
        return sample

    return assessed


@pytest.fixture(scope="module")
def seen(look: Look) -> Callable[[str], Sample]:
    """Each portrait as it is, and its one face."""

    @cache
    def only(name: str) -> Sample:
        sample = look(portrait(name))
        assert len(sample.objects) == 1
        return sample

    return only


@pytest.fixture(scope="module")
def estimator(store: ModelStore) -> QualityEstimator:
    return QualityEstimator(QualityEstimatorSettings.model_validate({}), store)


Spoil = Callable[[str, worse.Worse, float], Quality]


@pytest.fixture(scope="module")
def spoilt(seen: Callable[[str], Sample], estimator: QualityEstimator) -> Spoil:
    """The quality of a portrait that has got worse; what is not measured on the face's pixels stays as it was."""

    def spoilt(name: str, spoil: worse.Worse, amount: float) -> Quality:
        clean = seen(name)
        sample = Sample(Frame.of(spoil(portrait(name), clean.objects[0], amount)), [same(clean.objects[0])])
        sample.put(clean[People])
        estimator([sample])
        return sample.objects[0][Quality]

    return spoilt


def same(face: Object) -> Object:
    copy = Object("face", face.box_xyxy)
    for result in (face[FaceMesh], face[Pose], face[Mask], face[Emotions], face[Confidence], face[Watermark]):
        copy.put(result)
    return copy


@pytest.fixture(scope="module")
def quality_of(look: Look) -> Callable[[Image], Quality]:
    def of_largest(picture: Image) -> Quality:
        faces = look(picture).objects
        return max(faces, key=lambda face: float(np.prod(face.box_xyxy[2:] - face.box_xyxy[:2])))[Quality]

    return of_largest


def at(assessor: Chain, picture: Image, *box_xyxy: float) -> Quality:
    sample = Sample(Frame.of(picture), [Object("face", np.array(box_xyxy, np.float64))])
    assessor([sample])
    return sample.objects[0][Quality]


def test_it_is_registered_and_needs_what_the_services_make() -> None:
    assert PROCESSORS["quality-assessment-estimator"] is QualityEstimator
    assert {Mask, Emotions, FaceMesh} < QualityEstimator.needs


@every_portrait
def test_portraits_are_good(seen: Callable[[str], Sample], name: str) -> None:
    quality = seen(name).objects[0][Quality]
    assert quality.total_score > 0.8
    assert quality.is_sharp
    assert quality.is_evenly_illuminated
    assert quality.no_flare
    assert quality.is_left_eye_opened
    assert quality.is_right_eye_opened
    assert quality.is_rotation_acceptable
    assert quality.not_masked
    assert quality.is_not_noisy
    assert quality.is_dynamic_range_acceptable
    assert not quality.has_watermark


@every_portrait
def test_members_are_of_their_types_and_scores_in_hundredths(seen: Callable[[str], Sample], name: str) -> None:
    quality = seen(name).objects[0][Quality]
    for field in fields(Quality):
        value = getattr(quality, field.name)
        assert type(value) is field.type
        if type(value) is float:
            assert 0 <= value <= 1
            assert value == round(value, 2)


@every_portrait
def test_it_agrees_with_the_other_results_of_the_face(seen: Callable[[str], Sample], name: str) -> None:
    face = seen(name).objects[0]
    quality, pose = face[Quality], face[Pose]
    assert quality.not_masked is not face[Mask].worn
    assert quality.not_masked_score == round(1 - face[Mask].probability, 2)
    assert quality.neutral_emotion_score == round(face[Emotions].probabilities[EMOTIONS.index("neutral")], 2)
    assert quality.max_rotation_deviation in {round(pose.yaw), round(pose.pitch), round(pose.roll)}
    assert abs(quality.max_rotation_deviation) == round(max(abs(pose.yaw), abs(pose.pitch), abs(pose.roll)))


TOTAL = "total_score"
# The member, what spoils it, by how much, and how far the score falls at least.
SPOILT: dict[str, tuple[str, worse.Worse, tuple[float, ...], float]] = {
    "blur": ("sharpness_score", worse.blurred, (1, 2, 4), 0.7),
    "motion": ("sharpness_score", worse.shaken, (5, 9, 15), 0.5),
    "resampling": ("sharpness_score", worse.resampled, (2, 3, 5), 0.7),
    "noise": ("noise_score", worse.noisy, (8, 16, 32), 0.8),
    "salt and pepper": ("noise_score", worse.peppered, (0.02, 0.05, 0.1), 0.8),
    "side light": ("illumination_score", worse.shaded, (0.4, 0.7, 0.95), 0.4),
    "contrast": ("dynamic_range_score", worse.flattened, (0.3, 0.6, 0.9), 100),
    "darkness": ("dynamic_range_score", worse.dimmed, (0.3, 0.6, 0.8), 80),
    "veil": ("dynamic_range_score", worse.veiled, (0.2, 0.4, 0.7), 80),
    "total by blur": (TOTAL, worse.blurred, (2, 4), 0.2),
    "total by noise": (TOTAL, worse.noisy, (16, 32), 0.15),
    "total by darkness": (TOTAL, worse.dimmed, (0.5, 0.8), 0.2),
    "total by glare": (TOTAL, worse.burnt, (0.15, 0.4), 0.1),
}


@every_portrait
@pytest.mark.parametrize("case", SPOILT)
def test_scores_fall_step_by_step(seen: Callable[[str], Sample], spoilt: Spoil, name: str, case: str) -> None:
    member, spoil, amounts, fall = SPOILT[case]
    qualities = seen(name).objects[0][Quality], *(spoilt(name, spoil, amount) for amount in amounts)
    scores = [getattr(quality, member) for quality in qualities]
    assert all(later <= before for before, later in pairwise(scores)), scores
    assert scores[-1] <= scores[0] - fall, scores


@every_portrait
def test_thresholds_turn_the_booleans(spoilt: Spoil, name: str) -> None:
    assert not spoilt(name, worse.blurred, 4).is_sharp
    assert not spoilt(name, worse.noisy, 25).is_not_noisy
    assert not spoilt(name, worse.shaded, 0.95).is_evenly_illuminated
    assert not spoilt(name, worse.flattened, 0.7).is_dynamic_range_acceptable
    assert not spoilt(name, worse.veiled, 0.5).no_flare
    assert not spoilt(name, worse.burnt, 0.15).no_flare


@every_portrait
@pytest.mark.parametrize("side", [0, 1])
def test_an_eye_that_is_painted_shut_is_less_open_and_the_other_is_not(
    seen: Callable[[str], Sample], spoilt: Spoil, name: str, side: int
) -> None:
    before, after = seen(name).objects[0][Quality], spoilt(name, worse.shut, side)
    left = before.left_eye_openness_score - after.left_eye_openness_score
    right = before.right_eye_openness_score - after.right_eye_openness_score
    shut, other = (left, right) if side == 0 else (right, left)
    assert shut > 0.25
    assert abs(other) < 0.1


@every_portrait
@pytest.mark.parametrize("degrees", [-30, 30])
def test_rotation_follows_the_picture(
    seen: Callable[[str], Sample], quality_of: Callable[[Image], Quality], name: str, degrees: int
) -> None:
    quality = quality_of(rolled(portrait(name), degrees)[0])
    assert quality.max_rotation_deviation == pytest.approx(seen(name).objects[0][Pose].roll + degrees, abs=5)
    assert not quality.is_rotation_acceptable


@every_portrait
def test_eyes_distance_follows_the_size(quality_of: Callable[[Image], Quality], name: str) -> None:
    large, small = (quality_of(scaled(portrait(name), factor)) for factor in (1.6, 0.5))
    assert large.eyes_distance == pytest.approx(small.eyes_distance * 3.2, abs=4)
    assert large.is_eyes_distance_acceptable
    assert not small.is_eyes_distance_acceptable


@every_portrait
def test_the_total_falls_with_the_size(seen: Callable[[str], Sample], assessor: Chain, name: str) -> None:
    box = seen(name).objects[0].box_xyxy
    totals = [at(assessor, scaled(portrait(name), size), *(box * size)).total_score for size in (1, 0.5, 0.25)]
    assert totals[0] >= totals[1] > totals[2]


@every_portrait
def test_margins(seen: Callable[[str], Sample], assessor: Chain, name: str) -> None:
    picture, face = portrait(name), seen(name).objects[0]
    x1, y1, x2, y2 = face.box_xyxy
    height = y2 - y1

    def in_a_border_of(pixels: float) -> Quality:
        """The face alone, with so much above and below it, and more at its sides."""
        beside = height  # no limit
        to_window = np.array([(1.0, 0.0, beside - x1), (0.0, 1.0, pixels - y1)])
        size = round(x2 - x1 + 2 * beside), round(height + 2 * pixels)
        window = cv2.warpAffine(picture, to_window, size, borderMode=cv2.BORDER_REPLICATE)
        box = (beside, pixels, beside + x2 - x1, pixels + height)
        return at(assessor, window, *box)  # type: ignore[arg-type]

    wide, right, tight, cut = (in_a_border_of(height * share) for share in (0.6, 0.2, 0.02, -0.1))
    assert wide.margin_inner_deviation == pytest.approx((0.6 * 2.2 - 1) / 2 * height, abs=1)
    assert (wide.margin_outer_deviation, right.margin_inner_deviation, right.margin_outer_deviation) == (0, 0, 0)
    assert tight.margin_outer_deviation == pytest.approx((1 - 0.9 * 1.04) / 2 * height, abs=1)
    assert cut.margin_outer_deviation == pytest.approx(max(0.1, (1 - 0.9 * 0.8) / 2) * height, abs=1)
    assert [quality.is_margins_acceptable for quality in (wide, right, tight, cut)] == [False, True, False, False]


@every_portrait
def test_the_mirrored_face_is_as_good(quality_of: Callable[[Image], Quality], name: str) -> None:
    here, there = quality_of(portrait(name)), quality_of(mirrored(portrait(name)))
    assert here.total_score == pytest.approx(there.total_score, abs=0.03)
    assert here.left_eye_openness_score == pytest.approx(there.right_eye_openness_score, abs=0.1)
    assert here.eyes_distance == pytest.approx(there.eyes_distance, abs=2)
    assert here.background_uniformity_score == pytest.approx(there.background_uniformity_score, abs=0.05)


def test_a_face_found_with_less_confidence_has_a_lower_total(
    seen: Callable[[str], Sample], estimator: QualityEstimator
) -> None:
    totals = []
    for confidence in (0.95, 0.8, 0.65):
        face = same(seen("obama").objects[0])
        face.put(Confidence(confidence))
        estimator([Sample(Frame.of(portrait("obama")), [face])])
        totals.append(face[Quality].total_score)
    assert totals[0] > totals[1] > totals[2]


def test_a_face_without_a_confidence_is_taken_for_sure(seen: Callable[[str], Sample], assessor: Chain) -> None:
    face = seen("obama").objects[0]
    assert at(assessor, portrait("obama"), *face.box_xyxy).total_score == pytest.approx(
        face[Quality].total_score, abs=0.02
    )


def test_the_picture_is_looked_at_once_for_all_of_its_faces(look: Look, estimator: QualityEstimator) -> None:
    both = np.hstack([portrait("obama")[:570], portrait("biden")[:570]])
    sample = look(both)
    assert len(sample.objects) == 2
    first, second = (face[Quality] for face in sample.objects)
    assert first.total_score != second.total_score

    for face in sample.objects:
        assert face[Quality].watermark_score == round(face[Watermark].probability, 2)
        face.put(Watermark(0.77))
    sample.put(People(np.ones((256, 256), np.float32)))
    estimator([sample])
    for face, before in zip(sample.objects, (first, second), strict=True):
        assert face[Quality] == replace(
            before,
            watermark_score=0.77,
            has_watermark=True,
            background_uniformity_score=1.0,
            is_background_uniform=True,
        )


def test_several_samples_are_as_one_by_one(seen: Callable[[str], Sample], estimator: QualityEstimator) -> None:
    samples = [Sample(Frame.of(portrait(name)), [same(seen(name).objects[0])]) for name in PORTRAITS]
    estimator(samples)
    assert [s.objects[0][Quality] for s in samples] == [seen(name).objects[0][Quality] for name in PORTRAITS]


def test_what_is_no_face_is_left_alone(assessor: Chain) -> None:
    body = Object("body", np.array([0.0, 0.0, 100.0, 200.0]))
    sample = Sample(Frame.of(portrait("obama")), [body])
    assessor([sample])
    assert Quality not in body
    assert Watermark not in body
    assert People not in sample


@pytest.mark.parametrize(
    "box",
    [
        (100, 100, 101, 101),
        (-300, -300, 900, 900),
        (-500, 100, -300, 300),
        (5000, 5000, 5100, 5200),
        (0, 0, 1, 570),
        (600, 560, 608, 576),
    ],
)
def test_any_box_gets_an_answer(assessor: Chain, box: tuple[int, ...]) -> None:
    quality = at(assessor, portrait("obama"), *box)
    for field in fields(Quality):
        assert type(getattr(quality, field.name)) is field.type


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (400, 2), (3000, 20)])
def test_any_picture_gets_an_answer(assessor: Chain, size: tuple[int, int]) -> None:
    height, width = size
    quality = at(assessor, np.full((height, width, 3), 130, np.uint8), 0, 0, width, height)
    assert quality.total_score < 0.5


@pytest.mark.parametrize("is_reached", [True, False])
def test_thresholds_are_those_of_the_settings(
    seen: Callable[[str], Sample], store: ModelStore, is_reached: bool
) -> None:
    """Each reached exactly, or missed by the least step."""
    before = seen("biden").objects[0][Quality]
    step = 0 if is_reached else 1
    settings = QualityEstimatorSettings(
        sharpness=before.sharpness_score + step / 100,
        illumination=before.illumination_score + step / 100,
        eye_openness=(max if step else min)(before.left_eye_openness_score, before.right_eye_openness_score)
        + step / 100,
        rotation=abs(before.max_rotation_deviation) - step,
        neutral_emotion=before.neutral_emotion_score + step / 100,
        eyes_distance=before.eyes_distance + step,
        noise=before.noise_score + step / 100,
        watermark=before.watermark_score + step / 100,
        dynamic_range=before.dynamic_range_score + step,
        background_uniformity=before.background_uniformity_score + step / 100,
    )
    face = same(seen("biden").objects[0])
    QualityEstimator(settings, store)([Sample(Frame.of(portrait("biden")), [face])])
    assert face[Quality] == replace(
        before,
        is_sharp=is_reached,
        is_evenly_illuminated=is_reached,
        is_left_eye_opened=is_reached,
        is_right_eye_opened=is_reached,
        is_rotation_acceptable=is_reached,
        is_neutral_emotion=is_reached,
        is_eyes_distance_acceptable=is_reached,
        is_not_noisy=is_reached,
        has_watermark=is_reached,
        is_dynamic_range_acceptable=is_reached,
        is_background_uniform=is_reached,
    )
