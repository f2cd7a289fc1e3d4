"""Which result makes which members, in numbers that can be checked by hand."""

from typing import Any

import numpy as np
import pytest

from daemon.wire.codec import encode
from daemon.wire.v1 import V1
from daemon.wire.v2 import V2
from daemon.wire.version import Version, written
from processors.types import LANDMARK_NAMES, Box, Confidence, Frame, Landmarks, Object, Pose, Sample

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
