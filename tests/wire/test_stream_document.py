import base64
import json
from datetime import datetime

import numpy as np
import pytest

from daemon.wire.v2 import (
    Places,
    StreamInfo,
    event_document,
    frame_objects,
    rfc3339,
    stream_document,
    track_object,
    without_templates,
)
from daemon.wire.version import Size
from processors.template_extractor import Template
from processors.types import BodyId, Box, Confidence, FaceMesh, Frame, Object, Sample, TrackId, Zones

FACE = Object("face", np.array([1.0, 2.0, 3.0, 4.0]))
FACE.put(Confidence(0.5))
BODY = Object("body", np.array([0.0, 0.0, 10.0, 10.0]))
SAMPLE = Sample(Frame.of(np.zeros((10, 10, 3), np.uint8)), [FACE, BODY])
INFO = StreamInfo("gate", "run-1", frame=3, pts=0.12, captured_at=1_700_000_000.25, width=10, height=10)
EMITS = frozenset({Box, Confidence, FaceMesh})
OBJECTS = frame_objects(SAMPLE, EMITS)


def test_the_document_of_a_frame() -> None:
    assert json.loads(stream_document(SAMPLE, OBJECTS, INFO)) == {
        "objects": [
            {"id": 0, "class": "face", "confidence": 0.5, "bbox": [0.1, 0.2, 0.3, 0.4]},
            {"id": 1, "class": "body", "bbox": [0.0, 0.0, 1.0, 1.0]},
        ],
        "stream": {
            "id": "gate",
            "run": "run-1",
            "frame": 3,
            "pts": 0.12,
            "captured_at": "2023-11-14T22:13:20.250000Z",
            "width": 10,
            "height": 10,
        },
    }


def test_a_picture_comes_only_where_one_is_given() -> None:
    document = json.loads(stream_document(SAMPLE, OBJECTS, INFO, picture=b"jpeg"))
    bare = json.loads(stream_document(SAMPLE, OBJECTS, INFO))
    assert document == bare | {"_image": {"blob": base64.b64encode(b"jpeg").decode(), "format": "IMAGE"}}


def test_crops_stand_with_their_objects() -> None:
    document = json.loads(stream_document(SAMPLE, OBJECTS, INFO, crops=[b"face", b"body"]))
    pictures = [base64.b64decode(obj["_image"]["blob"]) for obj in document["objects"]]
    assert pictures == [b"face", b"body"]
    assert "_image" not in document


def test_tracks_of_objects() -> None:
    face, body = Object("face", FACE.box_xyxy), Object("body", BODY.box_xyxy)
    face.put(TrackId("run-2"))
    face.put(BodyId("run-1"))
    body.put(TrackId("run-1"))
    sample = Sample(SAMPLE.frame, [face, body])
    objects = json.loads(stream_document(sample, frame_objects(sample, frozenset({TrackId, BodyId})), INFO))["objects"]
    assert objects == [
        {"id": 0, "class": "face", "track_id": "run-2", "body_id": "run-1"},
        {"id": 1, "class": "body", "track_id": "run-1"},
    ]


def test_zones_of_objects_and_the_counts_of_places() -> None:
    inside, outside = FACE.copy(), BODY.copy()
    inside.put(Zones(("till", "hall")))
    outside.put(Zones(()))
    sample = Sample(SAMPLE.frame, [inside, outside])
    now = {("till", "face"): 1, ("till", "body"): 0, ("hall", "face"): 2}
    sample.put(Places(now, {("till", "face"): 5}, {("door", "in", "body"): 3, ("door", "out", "body"): 0}))
    document = json.loads(stream_document(sample, frame_objects(sample, frozenset({Zones})), INFO))
    assert [obj["zones"] for obj in document["objects"]] == [["till", "hall"], []]
    assert document["places"] == {
        "zones": {"till": {"now": {"face": 1, "body": 0}, "entered": {"face": 5}}, "hall": {"now": {"face": 2}}},
        "lines": {"door": {"in": {"body": 3}, "out": {"body": 0}}},
    }


def test_the_object_of_a_track_has_no_id_as_it_is_alone() -> None:
    assert track_object(FACE, Size(10, 20), EMITS) == {
        "class": "face",
        "confidence": 0.5,
        "bbox": [0.1, 0.1, 0.3, 0.2],
    }


def test_an_event_brings_a_picture_of_its_object_where_there_is_one() -> None:
    event = {"event": "left", "object": {"class": "face"}}
    assert json.loads(event_document(event, None)) == event
    assert json.loads(event_document(event, b"jpeg")) == {
        "event": "left",
        "object": {"class": "face", "_image": {"blob": base64.b64encode(b"jpeg").decode(), "format": "IMAGE"}},
    }
    assert "_image" not in event["object"]


@pytest.mark.parametrize("captured_at", [0.0, 1_700_000_000.0, 1_700_000_000.999999, 4_000_000_000.5])
def test_the_time_is_rfc_3339_in_utc(captured_at: float) -> None:
    text = rfc3339(captured_at)
    assert text.endswith("Z")
    assert datetime.fromisoformat(text).timestamp() == pytest.approx(captured_at, abs=1e-6)


def test_templates_are_left_out_and_nothing_else() -> None:
    known = Object("face", FACE.box_xyxy)
    known.put(Confidence(0.1 + 0.2))  # which has as many digits as there can be
    plain = [Sample(SAMPLE.frame, [known, BODY])]
    known_too = known.copy()
    known_too.put(Template(b"template"))
    with_template = Sample(SAMPLE.frame, [known_too, BODY])
    emits = EMITS | {Template}
    told = stream_document(with_template, frame_objects(with_template, emits), INFO)
    assert b"_face_template_extractor" in told
    assert without_templates(told) == stream_document(plain[0], frame_objects(plain[0], emits), INFO)
    event = {"event": "left", "object": track_object(known_too, Size(10, 10), emits)}
    bare = {"event": "left", "object": track_object(known, Size(10, 10), emits)}
    assert without_templates(event_document(event, b"jpeg")) == event_document(bare, b"jpeg")


def test_what_has_no_template_stays_the_same_bytes() -> None:
    document = b'{ "objects": [] }'
    assert without_templates(document) is document
