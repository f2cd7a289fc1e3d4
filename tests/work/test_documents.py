"""The records of a stream and what pictures they bring."""

import base64
import json
import re
from typing import Any

import cv2
import numpy as np
import pytest

from daemon.pictures.hide import GREY, NOTHING, Hiding, public_crop
from daemon.wire.codec import Members
from daemon.wire.v2 import PLACE_SCHEMA
from daemon.work.documents import (
    Documents,
    EventPictures,
    Pictures,
    PlaceEvents,
    TrackEvents,
    about_event,
    form_of,
    stream_info,
)
from processors.age import Age
from processors.emotion import Emotions
from processors.gender import Gender
from processors.liveness import Liveness
from processors.mask import Mask
from processors.template_extractor import Template
from processors.types import Box, Confidence, Frame, Image, MissingResult, Object, Sample
from sinks.base import WITHOUT_PICTURES, About, Attribute, Record, Subject
from sinks.selection import Selection

WIDTH, HEIGHT = 80, 60
PICTURE = np.full((HEIGHT, WIDTH, 3), 180, np.uint8)
EMITS = frozenset({Box})


def sample(*boxes: tuple[float, float, float, float]) -> Sample:
    frame = Frame.of(PICTURE, index=3, pts=0.12, captured_at=1_700_000_000.25)
    sample = Sample(frame, [Object("face", np.array(box, np.float64)) for box in boxes])
    sample.put(NOTHING)
    return sample


def decoded(obj: dict[str, Any]) -> Image:
    encoded = np.frombuffer(base64.b64decode(obj["_image"]["blob"]), np.uint8)
    return cv2.imdecode(encoded, cv2.IMREAD_COLOR)  # type: ignore[return-value]


def size_of(obj: dict[str, Any]) -> tuple[int, int]:
    """(height, width) of its picture."""
    height, width, _ = decoded(obj).shape
    return height, width


def test_a_record_says_what_it_is_without_being_parsed() -> None:
    record = Documents("gate", EMITS, topic="faces")(sample(), "run-1")
    headers = dict(record.headers)
    assert (record.key, record.topic, record.timestamp, record.durable) == ("gate", "faces", 1_700_000_000.25, False)
    assert headers.keys() == {
        *("content-type", "schema_id", "schema_version", "traceparent"),
        *("ce_specversion", "ce_type", "ce_source", "ce_id", "ce_time", "ce_dataschema"),
    }
    assert (headers["schema_id"], headers["ce_id"], headers["ce_source"]) == (
        b"visaged.frame",
        b"run-1-3",
        b"/streams/gate",
    )


def test_a_frame_that_has_an_id_gives_it_to_its_document() -> None:
    frame = Frame(lambda: PICTURE, width=WIDTH, height=HEIGHT, index=3, id="pictures-0-42")
    record = Documents("gate", EMITS)(Sample(frame), "run-1")
    assert dict(record.headers)["ce_id"] == b"pictures-0-42"


@pytest.mark.parametrize(
    ("stream", "source"),
    [
        ("gate", b"/streams/gate"),
        ("a/b:1@c", b"/streams/a/b:1@c"),
        ("Front door", b"/streams/Front%20door"),
        ("\u043a\u0430\u043c", b"/streams/%D0%BA%D0%B0%D0%BC"),
        ("a?b#c%{d}\\xff|[::1]\n", b"/streams/a%3Fb%23c%25%7Bd%7D%5Cxff%7C%5B::1%5D%0A"),
    ],
)
def test_the_source_is_a_uri_whatever_the_stream(stream: str, source: bytes) -> None:
    record = Documents(stream, EMITS)(sample(), "run-1")
    assert dict(record.headers)["ce_source"] == source
    assert source.decode().isascii()


def test_a_document_goes_on_in_the_trace_of_its_frame() -> None:
    came = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    frame = Frame(lambda: PICTURE, width=WIDTH, height=HEIGHT, trace=(came, "vendor=1"))
    make = Documents("gate", EMITS)
    first, second = (dict(make(Sample(frame), "run-1").headers) for _ in range(2))
    assert first["tracestate"] == b"vendor=1"
    version, trace, parent, flags = (first["traceparent"] or b"").decode().split("-")
    assert (version, trace, flags) == ("00", "0af7651916cd43dd8448eb211c80319c", "01")
    assert parent != "b7ad6b7169203331"
    assert first["traceparent"] != second["traceparent"]


@pytest.mark.parametrize("pictures", ["none", "crops", "full"])
def test_what_a_document_brings_of_the_picture(pictures: Pictures) -> None:
    record = Documents("gate", EMITS, pictures)(sample((20, 20, 32, 32), (60, 0, 80, 40)), "run-1")
    document = json.loads(record.value)
    assert ("_image" in document) == (pictures == "full")
    assert ["_image" in obj for obj in document["objects"]] == [pictures == "crops"] * 2
    if pictures == "full":
        assert size_of(document) == (HEIGHT, WIDTH)
    elif pictures == "crops":  # half as wide again as the longer side, as far as the picture goes
        assert [size_of(obj) for obj in document["objects"]] == [(18, 18), (50, 40)]


@pytest.mark.parametrize("pictures", ["none", "crops", "full"])
def test_where_there_is_a_picture_there_is_a_smaller_document_without_it(pictures: Pictures) -> None:
    bare = Documents("gate", EMITS)(sample((20, 20, 30, 30)), "run-1")
    record = Documents("gate", EMITS, pictures)(sample((20, 20, 30, 30)), "run-1")
    assert record.smaller == (None if pictures == "none" else bare.value)
    nobody = Documents("gate", EMITS, pictures)(sample(), "run-1")
    assert (nobody.smaller is None) == (pictures != "full")


@pytest.mark.parametrize(
    ("box", "shape"),
    [
        ((20, 20, 40, 30), (30, 30)),
        ((-10, -10, 10, 10), (15, 15)),
        ((70, 50, 90, 70), (15, 15)),
        ((200, 200, 210, 210), (1, 1)),
        ((-52, 10, -40, 22), (18, 1)),
        ((30, 30, 30, 30), (1, 1)),
    ],
)
def test_a_crop_is_what_there_is_of_the_picture(box: tuple[float, float, float, float], shape: tuple[int, int]) -> None:
    crop = public_crop(sample(), np.array(box, np.float64))
    assert crop is not None and crop.shape[:2] == shape


@pytest.mark.parametrize("pictures", ["crops", "full"])
def test_of_a_frame_of_which_no_picture_may_leave_the_document_leaves_and_says_so(pictures: Pictures) -> None:
    bare = Documents("gate", EMITS)(sample((20, 20, 32, 32)), "run-1")
    withheld = sample((20, 20, 32, 32))
    withheld.put(Hiding(NOTHING.boxes_xyxy, withheld="not looked at for face"))
    record = Documents("gate", EMITS, pictures)(withheld, "run-1")
    assert (record.value, record.smaller) == (bare.value, None)
    assert WITHOUT_PICTURES in record.headers
    with pytest.raises(MissingResult):  # nobody has said whom to hide
        Documents("gate", EMITS, pictures)(Sample(withheld.frame, withheld.objects), "run-1")


@pytest.mark.parametrize("pictures", ["crops", "full"])
def test_who_is_hidden_is_hidden_on_every_picture_of_a_document(pictures: Pictures) -> None:
    hidden = sample((20, 20, 32, 32))
    hidden.put(Hiding(np.array([[20.0, 20.0, 32.0, 32.0]])))
    document = json.loads(Documents("gate", EMITS, pictures)(hidden, "run-1").value)
    (obj,) = document["objects"]
    image = decoded(document if pictures == "full" else obj)
    at = image[17:35, 17:35] if pictures == "full" else image
    assert abs(at.astype(int) - GREY).max() <= 20  # by JPEG, at the edge
    assert PICTURE.min() > GREY + 60


def event_of(obj: Members) -> Members:
    stream = stream_info(sample().frame, "gate", "run-1").members()
    at = stream["captured_at"]
    best_shot = {"frame": 0, "captured_at": at}
    track = {"id": "t-1", "first_seen": at, "last_seen": at, "frames": 1, "best_shot": best_shot}
    return {"event": "left", "reason": "gone", "track": track, "object": obj, "stream": stream}


SHOT_URL = "/shots/{}.jpg".format
CROSSING = {"name": "gate", "direction": "in", "crossed_at": "2026-11-25T00:39:47.232882Z"}


def test_an_event_is_durable_and_brings_its_crop() -> None:
    write = TrackEvents("gate", "tracks", EventPictures())
    event = event_of({"class": "face"})
    with_crop, without = write(event, "t-1-left", 5.0, b"jpeg"), write(event, "t-1-left", 5.0)
    assert json.loads(without.value) == event
    assert (with_crop.smaller, without.smaller) == (without.value, None)
    assert with_crop.durable
    assert without.durable
    assert dict(without.headers)["ce_id"] == b"t-1-left"


@pytest.mark.parametrize("image", [False, True])
@pytest.mark.parametrize("image_url", [False, True])
def test_an_event_has_its_picture_or_the_url_of_it_or_both(image: bool, image_url: bool) -> None:
    write = TrackEvents("gate", "tracks", EventPictures(SHOT_URL, image=image, image_url=image_url))
    record = write(event_of({"class": "face"}), "t-1-left", 5.0, b"jpeg")
    assert record.shot is not None
    assert record.shot.jpeg == b"jpeg"
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", record.shot.id)
    url = {"image_url": f"/shots/{record.shot.id}.jpg"} if image_url else {}
    written, smaller = json.loads(record.value)["object"], json.loads(record.smaller or record.value)["object"]
    assert ("_image" in written) == image
    assert smaller == {"class": "face", **url} == {name: written[name] for name in written if name != "_image"}


@pytest.mark.parametrize("image_url", [False, True])
def test_an_event_of_a_place_has_the_url_of_its_track_s_picture(image_url: bool) -> None:
    event = event_of({"class": "face"}) | {"event": "crossed", "line": CROSSING}
    del event["reason"]
    pictures = EventPictures(SHOT_URL, image_url=image_url)
    record = PlaceEvents("gate", "tracks", pictures)(event, "t-1-0-crossed", 5.0, b"jpeg")
    assert record.shot is not None
    assert record.shot.jpeg == b"jpeg"
    url = {"image_url": f"/shots/{record.shot.id}.jpg"} if image_url else {}
    assert json.loads(record.value) == event | {"object": {"class": "face", **url}}
    assert PlaceEvents("gate", "tracks", EventPictures())(event, "t-1-0-crossed", 5.0, b"jpeg").shot is None


def test_without_a_picture_or_a_place_for_it_there_is_no_url() -> None:
    event = event_of({"class": "face"})
    kept = TrackEvents("gate", "tracks", EventPictures(SHOT_URL, image_url=True))(event, "t-1-left", 5.0)
    not_kept = TrackEvents("gate", "tracks", EventPictures(image_url=True))(event, "t-1-left", 5.0, b"jpeg")
    assert (kept.shot, not_kept.shot) == (None, None)
    assert b"image_url" not in kept.value + not_kept.value


def test_a_record_says_what_its_objects_are_like() -> None:
    told = sample((10, 10, 20, 20), (30, 10, 40, 20))
    for result in (
        Confidence(0.75),
        Age(30.6),
        Gender(0.1),
        Emotions((0.1, 0.0, 0.0, 0.6, 0.1, 0.1, 0.1)),
        Mask(0.2, False),
        Liveness(0.9, True),
    ):
        told.objects[0].put(result)
    emits = {Confidence, Age, Gender, Emotions, Mask, Liveness}
    record = Documents("gate", emits)(told, "run-1")
    attributes: dict[str, Attribute] = {
        "age": 31,
        "gender": "female",
        "emotion": "happy",
        "has_medical_mask": False,
        "liveness": "real",
    }
    assert record.about == About(
        "visaged.frame", "", (Subject("face", 0.75, frozenset(), attributes), Subject("face", None))
    )


def test_the_record_of_an_event_says_what_it_tells_of() -> None:
    event = event_of({"class": "body", "confidence": 0.5, "zones": ["door"], "age": "31"})
    record = TrackEvents("gate", "tracks", EventPictures())(event, "1-left", 0.0)
    assert record.about == About("visaged.track", "left", (Subject("body", 0.5, frozenset({"door"}), {"age": 31}),))


@pytest.mark.parametrize("place", [{"zone": {"name": "till"}}, {"line": {"name": "till", "direction": "in"}}])
def test_an_event_of_a_place_is_in_that_place_alone(place: dict[str, Any]) -> None:
    event = {"event": "left", "object": {"class": "body", "zones": ["hall"]}, **place}
    assert about_event(PLACE_SCHEMA, event) == About(
        "visaged.place", "left", (Subject("body", None, frozenset({"till"})),)
    )


@pytest.mark.parametrize("pictures", ["none", "crops", "full"])
@pytest.mark.parametrize("include", [["template", "_image"], ["template"], ["_image"], []])
def test_what_may_not_leave_is_in_no_form_of_the_record(pictures: Pictures, include: list[Any]) -> None:
    told = sample((10, 10, 20, 20))
    told.objects[0].put(Template(b"template"))
    record = Documents("gate", {Box, Template}, pictures)(told, "run-1")
    form = form_of(Selection(include=include))
    formed = record if form is None else form(record)
    assert (b'"template"' in formed.value) == ("template" in include)
    assert (b'"_image"' in formed.value) == ("_image" in include and pictures != "none")
    assert (formed.smaller is not None) == (b'"_image"' in formed.value)
    assert b'"_image"' not in (formed.smaller or b"")
    assert (b'"template"' in (formed.smaller or b"")) == (formed.smaller is not None and "template" in include)
    assert json.loads(formed.value)["objects"][0]["bbox"] == json.loads(record.value)["objects"][0]["bbox"]


def test_a_tombstone_has_no_other_form() -> None:
    form = form_of(Selection(include=()))
    assert form is not None
    tombstone = Record("gate", b"", tombstone=True)
    assert form(tombstone) == tombstone
