from typing import Any

import numpy as np
import pytest

from daemon.wire.codec import encode
from daemon.wire.merge import with_found, with_results
from daemon.wire.request import read, read_faces
from daemon.wire.v1 import V1
from daemon.wire.v2 import V2
from daemon.wire.version import Size, Version
from processors.age import Age
from processors.template_extractor import Template
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


def estimated(version: Version, objects: list[dict[str, Any]], emits: frozenset[type], *results: object) -> Any:
    document = {"$image" if version is V1 else "_image": "AAAA" if version is V1 else {"blob": "AAAA"}}
    received, faces = read_faces(version, encode(document | {"objects": objects}), max_objects=10)
    sample = Sample(
        Frame.of(np.zeros((10, 10, 3), np.uint8)), [face.to_object(Size(10, 10)) for face in faces.values()]
    )
    for obj, result in zip(sample.objects, results, strict=True):
        obj.put(result)
    answer = with_results(version, received, faces, sample, emits)
    assert answer | {"objects": []} == document | {"objects": []}
    return answer["objects"]


@pytest.mark.parametrize("version", [V1, V2])
def test_results_are_laid_over_the_faces_that_came(version: Version) -> None:
    bbox = [-0.5, 0, 1, 1.25]
    sent: list[dict[str, Any]] = [
        {"class": "face", "id": 7, "bbox": bbox, "age": "3", "mine": {"deep": [1, 2.0, None]}},
        {"class": "body", "id": 7, "age": "4"},
        {"id": 8},
        {"bbox": [0, 0, 1, 1], "class": "face"},
    ]
    got = estimated(version, sent, frozenset({Age}), Age(25.4), Age(61.0))
    assert got == [sent[0] | {"age": "25"}, sent[1], sent[2], sent[3] | {"age": "61"}]
    assert encode(got[0]["bbox"]) == b"[-0.5,0,1,1.25]"


def test_no_objects_are_none() -> None:
    assert estimated(V1, [], frozenset({Age})) == []


def test_what_others_put_beside_our_members_survives() -> None:
    face = {"class": "face", "bbox": [0, 0, 1, 1], "template": {"another_1": {"blob": "AA=="}}}
    ((kept, ours),) = [
        members["template"].items() for members in estimated(V2, [face], frozenset({Template}), Template(b"a" * 8))
    ]
    assert kept == ("another_1", {"blob": "AA=="})
    assert ours[1]["shape"] == [8]


def test_a_face_without_a_result_comes_back_as_it_came() -> None:
    face = {"class": "face", "bbox": [0, 0, 1, 1]}
    assert estimated(V1, [face], frozenset({Age}), Template(b"a")) == [face]
