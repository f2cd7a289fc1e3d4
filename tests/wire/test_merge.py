from typing import Any

import numpy as np
import pytest

from daemon.wire.codec import encode
from daemon.wire.merge import with_found
from daemon.wire.request import read
from daemon.wire.v1 import V1
from daemon.wire.v2 import V2
from daemon.wire.version import Version
from processors.types import Box, Confidence, Frame, Object, Sample

EMITS = frozenset({Box, Confidence})


def found(*scores: float) -> Sample:
    sample = Sample(Frame.of(np.zeros((10, 10, 3), np.uint8)))
    for score in scores:
        face = Object("face", np.array([0.0, 0.0, 10.0, 10.0]))
        face.put(Confidence(score))
        sample.objects.append(face)
    return sample


def answer(version: Version, document: dict[str, Any], sample: Sample) -> dict[str, Any]:
    received = read(version, encode(document), max_objects=10)
    return with_found(version, received, sample, EMITS, "face")


@pytest.mark.parametrize(
    ("version", "image"),
    [
        (V1, {"$image": "AAAA"}),
        (V2, {"_image": {"blob": "AAAA", "format": "IMAGE", "mine": 1}}),
        (V2, {"$image": "AAAA"}),
    ],
)
def test_the_image_comes_back_and_other_members_do_not(version: Version, image: dict[str, Any]) -> None:
    document = answer(version, image | {"mine": 1}, found(0.9, 0.8))
    assert list(document) == [*image, "objects"]
    assert document | {"objects": []} == image | {"objects": []}
    assert [(o["id"], o["confidence"]) for o in document["objects"]] == [(0, 0.9), (1, 0.8)]


def test_no_face_is_an_empty_list() -> None:
    assert answer(V1, {"$image": "AAAA"}, found()) == {"$image": "AAAA", "objects": []}


@pytest.mark.parametrize(
    ("sent", "ids"),
    [
        ([{"class": "face", "id": 7}], [0]),
        ([{"class": "body", "id": 7}], [8]),
        ([{"class": "body", "id": 7}, {"class": "hat", "id": 2}], [8]),
        ([{"class": "body"}], [0]),
        ([{"class": "body", "id": -5}], [0]),
        ([{"class": "body", "id": "7"}, {"class": "body", "id": 1.5}, {"class": "body", "id": True}], [0]),
        ([{"id": 3}, {"class": None, "id": 4}, {"class": ["face"], "id": 5}], [6]),
        ([{"class": "body", "id": 10**30}], [10**30 + 1]),
    ],
)
def test_faces_are_replaced_and_what_is_kept_comes_first(sent: list[dict[str, Any]], ids: list[int]) -> None:
    sent = [members | {"mine": {"deep": [1, 2.0, None]}} for members in sent]
    objects = answer(V2, {"_image": {"blob": "AAAA"}, "objects": sent}, found(0.9))["objects"]
    kept = [members for members in sent if members.get("class") != "face"]
    assert objects[: len(kept)] == kept
    assert [members["id"] for members in objects[len(kept) :]] == ids
