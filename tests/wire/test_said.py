"""What a document says, read back for the drawing, against what wrote it."""

from dataclasses import replace

import numpy as np
import pytest

from daemon.errors import InvalidDocument
from daemon.pictures.draw import words_of
from daemon.wire.blob import EncodedPicture
from daemon.wire.said import said
from daemon.wire.v1 import V1
from daemon.wire.v2 import V2
from daemon.wire.version import Received, Size, Version, written
from processors.age import Age
from processors.emotion import Emotions
from processors.gender import Gender
from processors.liveness import Liveness
from processors.mask import Mask
from processors.tracker import Predicted
from processors.types import Box, Confidence, Frame, Landmarks, Object, Pose, Sample
from tests.wire.test_members import QUALITY

SIZE = Size(200, 100)
RESULTS = (
    Confidence(0.9),
    Gender(0.1),
    Age(34.0),
    Emotions((0, 0, 0, 0.75, 0.25, 0, 0)),
    Mask(0.75, worn=True),
    Liveness(0.25, real=False),
    Landmarks(np.full((21, 2), 50.0)),
    Pose(yaw=5, pitch=-3, roll=1),
    replace(QUALITY, total_score=0.63),
)


def received(*objects: dict[str, object]) -> Received:
    return Received({}, list(objects), EncodedPicture(b""))


@pytest.mark.parametrize("version", [V1, V2])
def test_what_a_service_says_is_drawn(version: Version) -> None:
    face, body = (Object(label, np.array([20.0, 10, 80, 90])) for label in ("face", "body"))
    for result in RESULTS:
        face.put(result)
    emits = frozenset({Box, *map(type, RESULTS)})
    sample = Sample(Frame.of(np.zeros((100, 200, 3), np.uint8)), [face, body])
    read, other = said(version, received(*written(version, sample, sample.objects, emits)), SIZE)
    assert (read.label, other.label) == ("face", "body")
    np.testing.assert_allclose(read.box_xyxy, face.box_xyxy)
    np.testing.assert_allclose(read[Landmarks].points_xy, face[Landmarks].points_xy)
    assert read[Pose] == face[Pose]
    assert list(words_of(read)) == list(words_of(face))
    assert [text for text, _ in words_of(read)] == [
        "face 0.90",
        "female, 34, happy, mask",
        "not real, quality 63",
    ]


def test_what_a_stream_says_is_drawn() -> None:
    on_a_track = {"class": "body", "bbox": [0.1, 0.1, 0.5, 0.9], "track_id": "7c1e-4", "predicted": True}
    (body,) = said(V2, received(on_a_track | {"zones": ["till", "door"]}), SIZE)
    assert Predicted in body
    assert [text for text, _ in words_of(body)] == ["body 4", "in till, door"]


def test_what_has_no_place_is_not_drawn() -> None:
    assert said(V2, received({"class": "face", "liveness": {"confidence": 0.9, "value": "real"}}), SIZE) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"bbox": [0, 0, 1]},
        {"age": "old"},
        {"confidence": 2},
        {"emotions": [{"emotion": "happy"}]},
        {"liveness": "real"},
        {"class": 3},
        {"quality": {"qaa": {}}},
        {"zones": "till"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_what_cannot_be_read_is_told_with_its_place(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidDocument) as caught:
        said(V2, received({"bbox": [0.1, 0.1, 0.5, 0.5]} | wrong), SIZE)
    assert caught.value.problems[0].loc[:3] == ("objects", 0, next(iter(wrong)))
