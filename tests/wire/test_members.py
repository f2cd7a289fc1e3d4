"""Which result makes which members, in numbers that can be checked by hand."""

from typing import Any

import numpy as np
import pytest

from daemon.wire.codec import encode
from daemon.wire.members import verification
from daemon.wire.v1 import V1
from daemon.wire.v2 import V2, V2_WITH_LIVENESS_OF_V1
from daemon.wire.version import Version, written
from processors.age import Age
from processors.emotion import EMOTIONS, Emotions
from processors.gender import Gender
from processors.liveness import Liveness
from processors.mask import Mask
from processors.matcher import Verification
from processors.quality import Quality
from processors.template_extractor import Template
from processors.tracker import Predicted
from processors.types import (
    LANDMARK_NAMES,
    BodyId,
    Box,
    Confidence,
    Frame,
    Landmarks,
    Object,
    Pose,
    Sample,
    TrackId,
    Zones,
)

POINTS = np.arange(42, dtype=np.float64).reshape(21, 2)
FACE = Object("face", np.array([-10.0, 20.0, 50.0, 140.0]))
FACE.put(Confidence(0.75))
FACE.put(Landmarks(POINTS))
FACE.put(Pose(yaw=1.0, pitch=2.0, roll=3.0))
SAMPLE = Sample(Frame.of(np.zeros((100, 200, 3), np.uint8)), [FACE])
ALL = frozenset({Confidence, Box, Landmarks, Pose})

COMMON = {"id": 0, "class": "face", "confidence": 0.75, "bbox": [0.0, 0.2, 0.25, 1.0]}
ANGLES = {"yaw": 1.0, "roll": 3.0, "pitch": 2.0}


def face(version: Version, emits: frozenset[type]) -> dict[str, Any]:
    (members,) = written(version, SAMPLE, SAMPLE.objects, emits)
    return members


def test_v1_is_in_pixels() -> None:
    fitter = {
        "fitter_type": "fda",
        "keypoints": [number for n in range(21) for number in (2.0 * n, 2.0 * n + 1, 0)],
        "left_eye": [14.0, 15.0],
        "right_eye": [20.0, 21.0],
    }
    assert face(V1, ALL) == COMMON | {"fitter": fitter, "angles": ANGLES}


def test_v2_is_relative() -> None:
    keypoints = {name: {"proj": [2 * n / 200, (2 * n + 1) / 100]} for n, name in enumerate(LANDMARK_NAMES)}
    assert face(V2, ALL) == COMMON | {"keypoints": {**keypoints, "fitter_type": "fda"}, "pose": ANGLES}


@pytest.mark.parametrize("version", [V1, V2])
def test_only_what_is_emitted_is_written(version: Version) -> None:
    assert face(version, frozenset()) == {"id": 0, "class": "face"}
    assert face(version, frozenset({Box, int})).keys() == {"id", "class", "bbox"}


@pytest.mark.parametrize("version", [V1, V2])
def test_an_object_without_a_result_lacks_its_members(version: Version) -> None:
    body = Object("body", np.array([0.0, 0.0, 100.0, 100.0]))
    bare, whole = written(version, SAMPLE, [body, FACE], ALL, first_id=4)
    assert bare == {"id": 4, "class": "body", "bbox": [0.0, 0.0, 0.5, 1.0]}
    assert whole["id"] == 5


def test_the_third_coordinate_of_v1_is_a_whole_zero() -> None:
    assert b'"keypoints":[0.0,1.0,0,2.0,3.0,0,' in encode(face(V1, ALL))


QUALITY = Quality(
    total_score=0.909,
    is_sharp=True,
    sharpness_score=0.996,
    is_evenly_illuminated=True,
    illumination_score=0.774,
    no_flare=True,
    is_left_eye_opened=True,
    left_eye_openness_score=0.985,
    is_right_eye_opened=True,
    right_eye_openness_score=0.0,
    is_rotation_acceptable=True,
    max_rotation_deviation=-8,
    not_masked=True,
    not_masked_score=1.0,
    is_neutral_emotion=True,
    neutral_emotion_score=0.92,
    is_eyes_distance_acceptable=True,
    eyes_distance=99,
    is_margins_acceptable=False,
    margin_outer_deviation=0,
    margin_inner_deviation=25,
    is_not_noisy=True,
    noise_score=0.9999,
    watermark_score=0.02,
    has_watermark=False,
    dynamic_range_score=247,
    is_dynamic_range_acceptable=True,
    background_uniformity_score=0.67,
    is_background_uniform=False,
)


def written_by(version: Version, result: object) -> str:
    """The JSON of what a result makes, without what every object has."""
    face = Object("face", np.zeros(4))
    face.put(result)
    (members,) = written(version, SAMPLE, [face], {type(result)})
    return encode({name: value for name, value in members.items() if name not in ("id", "class")}).decode()


PROBABILITIES = (0.125, 0.125, 0.25, 0.0625, 0.25, 0.0625, 0.125)
SEVEN = [{"confidence": p, "emotion": name} for p, name in zip(PROBABILITIES, EMOTIONS, strict=True)]


@pytest.mark.parametrize(
    ("result", "v1", "v2"),
    [
        (Gender(0.75), '{"gender":"MALE"}', '{"gender":"male"}'),
        (Gender(0.25), '{"gender":"FEMALE"}', '{"gender":"female"}'),
        (Age(25.4), '{"age":"25"}', '{"age":"25"}'),
        (Age(0.3), '{"age":"0"}', '{"age":"0"}'),
        (
            Mask(0.0625, False),
            '{"mask":{"confidence":0.0625,"value":false}}',
            '{"has_medical_mask":{"confidence":0.0625,"value":false}}',
        ),
        (
            Liveness(0.75, True),
            '{"liveness":{"confidence":0.75,"value":"REAL"}}',
            '{"liveness":{"confidence":0.75,"value":"real"}}',
        ),
        (
            Liveness(0.25, False),
            '{"liveness":{"confidence":0.25,"value":"FAKE"}}',
            '{"liveness":{"confidence":0.25,"value":"fake"}}',
        ),
        (
            Template(bytes(296)),
            '{"$template":"%s=","template_size":74}' % ("A" * 395),
            '{"template":{"_face_template_extractor_1000_12":{"blob":"%s=","format":"NDARRAY","dtype":"uint8",'
            '"shape":[296]}}}' % ("A" * 395),
        ),
        (
            Emotions(PROBABILITIES),
            encode({"emotions": [score | {"emotion": str(score["emotion"]).upper()} for score in SEVEN]}).decode(),
            encode({"emotions": SEVEN}).decode(),
        ),
        (
            QUALITY,
            '{"quality":{"qaa":{"totalScore":91,"isSharp":true,"sharpnessScore":100,"isEvenlyIlluminated":true,'
            '"illuminationScore":77,"noFlare":true,"isLeftEyeOpened":true,"leftEyeOpennessScore":98,'
            '"isRightEyeOpened":true,"rightEyeOpennessScore":0,"isRotationAcceptable":true,"maxRotationDeviation":-8,'
            '"notMasked":true,"notMaskedScore":100,"isNeutralEmotion":true,"neutralEmotionScore":92,'
            '"isEyesDistanceAcceptable":true,"eyesDistance":99,"isMarginsAcceptable":false,"marginOuterDeviation":0,'
            '"marginInnerDeviation":25,"isNotNoisy":true,"noiseScore":100,"watermarkScore":2,"hasWatermark":false,'
            '"dynamicRangeScore":247,"isDynamicRangeAcceptable":true,"backgroundUniformityScore":67,'
            '"isBackgroundUniform":false}}}',
            '{"quality":{"total_score":0.91,"is_sharp":true,"sharpness_score":1,"is_evenly_illuminated":true,'
            '"illumination_score":0.77,"no_flare":true,"is_left_eye_opened":true,"left_eye_openness_score":0.98,'
            '"is_right_eye_opened":true,"right_eye_openness_score":0,"is_rotation_acceptable":true,'
            '"max_rotation_deviation":-8,"not_masked":true,"not_masked_score":1,"is_neutral_emotion":true,'
            '"neutral_emotion_score":0.92,"is_eyes_distance_acceptable":true,"eyes_distance":99,'
            '"is_margins_acceptable":false,"margin_outer_deviation":0,"margin_inner_deviation":25,"is_not_noisy":true,'
            '"noise_score":1,"watermark_score":0.02,"has_watermark":false,"dynamic_range_score":2.47,'
            '"is_dynamic_range_acceptable":true,"background_uniformity_score":0.67,"is_background_uniform":false}}',
        ),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_each_result_in_both_versions(result: object, v1: str, v2: str) -> None:
    assert written_by(V1, result) == v1
    assert written_by(V2, result) == v2
    assert V1.members.keys() == V2.members.keys() - {TrackId, BodyId, Predicted, Zones}  # which streams alone have


def test_liveness_of_v1_in_a_document_of_v2() -> None:
    assert written_by(V2_WITH_LIVENESS_OF_V1, Liveness(0.75, True)) == written_by(V1, Liveness(0.75, True))
    assert written_by(V2_WITH_LIVENESS_OF_V1, Gender(0.75)) == written_by(V2, Gender(0.75))


def test_verification_prints_whole_numbers_as_such() -> None:
    members = verification(Verification(distance=4796, fa_r=0.0, fr_r=0.5, score=1.0))
    assert encode(members) == b'{"verification":{"distance":4796,"fa_r":0,"fr_r":0.5,"score":1}}'
