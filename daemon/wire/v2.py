"""Version 2: everything relative to the picture, `_image`; also what streams write."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import numpy as np
from pydantic import Field, create_model

from daemon.wire import members, v1
from daemon.wire.blob import ArrayBlob, ImageBlob, encode_base64
from daemon.wire.codec import Members, encode, parse
from daemon.wire.version import (
    Angles,
    Coordinate,
    Document,
    Face,
    Part,
    Received,
    Size,
    Version,
    Write,
    results_of,
    validated,
    written,
)
from processors.age import Age
from processors.emotion import Emotions
from processors.gender import Gender
from processors.liveness import Liveness
from processors.mask import Mask
from processors.quality import Quality
from processors.template_extractor import Template
from processors.tracker import Predicted
from processors.types import LANDMARK_NAMES, BodyId, Box, Confidence, Landmarks, Object, Pose, Sample, TrackId, Zones

IMAGE: Final = "_image"
TEMPLATE: Final = "_face_template_extractor_1000_12"
FRAME_SCHEMA = ("visaged.frame", "2.0")
TRACK_SCHEMA = ("visaged.track", "2.0")
PLACE_SCHEMA = ("visaged.place", "2.0")
"""Of a stream's documents, of its tracks' events, and of those of its zones and lines: id and version."""


def keypoints(obj: Object, size: Size) -> Members:
    points = (obj[Landmarks].points_xy / size).tolist()
    named = {name: {"proj": point} for name, point in zip(LANDMARK_NAMES, points, strict=True)}
    return {"keypoints": {**named, "fitter_type": "fda"}}


def pose(obj: Object, _: Size) -> Members:
    return {"pose": members.pose(obj)}


def gender(obj: Object, _: Size) -> Members:
    return members.gender(obj, str.lower)


def emotions(obj: Object, _: Size) -> Members:
    return members.emotions(obj, str.lower)


def mask(obj: Object, _: Size) -> Members:
    return {"has_medical_mask": members.mask(obj)}


def liveness(obj: Object, _: Size) -> Members:
    return members.liveness(obj, str.lower)


def quality(obj: Object, _: Size) -> Members:
    """Scores are 0..1 in hundredths, and so is the dynamic range in its unit of 100 grey levels."""
    return {"quality": {name: _hundredths(name, value) for name, value in members.quality(obj)}}


def template(obj: Object, _: Size) -> Members:
    blob = obj[Template].blob
    array = {"blob": encode_base64(blob), "format": "NDARRAY", "dtype": "uint8", "shape": [len(blob)]}
    return {"template": {TEMPLATE: array}}


MEMBERS: Mapping[type, Write] = {
    Gender: gender,
    Age: members.age,
    Emotions: emotions,
    Mask: mask,
    Confidence: members.confidence,
    Box: members.bbox,
    Liveness: liveness,
    Quality: quality,
    Landmarks: keypoints,
    Pose: pose,
    Template: template,
    TrackId: lambda obj, _: {"track_id": obj[TrackId].value},
    BodyId: lambda obj, _: {"body_id": obj[BodyId].value},
    Zones: lambda obj, _: {"zones": list(obj[Zones].names)},
    Predicted: lambda *_: {"predicted": True},
}


def _hundredths(name: str, value: bool | int | float) -> bool | int | float:
    if name == "dynamic_range_score":
        value = value / 100
    return members.number(round(value, 2)) if isinstance(value, float) else value


class _WithImage(Document):
    image: ImageBlob = Field(alias=IMAGE)


class _WithArray(Document):
    image: ArrayBlob = Field(alias=IMAGE)


class _Keypoint(Part):
    proj: Annotated[list[Coordinate], Field(min_length=2, max_length=2)]


_Keypoints: Any = create_model(
    "_Keypoints",
    __base__=Part,
    fitter_type=(Literal["fda"], "fda"),
    **{name: (_Keypoint, ...) for name in LANDMARK_NAMES},  # type: ignore[call-overload]
)


class _Face(Face):
    keypoints: _Keypoints | None = None
    pose: Angles | None = None

    def results(self, size: Size) -> Iterable[object]:
        if self.keypoints is not None:
            yield Landmarks(np.array([getattr(self.keypoints, name).proj for name in LANDMARK_NAMES]) * size)
        if self.pose is not None:
            yield self.pose.pose


class _Faces(Part):
    objects: dict[int, _Face]


class _TemplateBlob(Part):
    blob: str


class _Templates(Part):
    current: _TemplateBlob = Field(alias=TEMPLATE)


class _WithTemplate(Part):
    template: _Templates


class _WithTemplates(Part):
    objects: dict[int, _WithTemplate]


def read(document: Members) -> Received:
    """`$image` is taken where there is no `_image`."""
    if IMAGE not in document and v1.IMAGE in document:
        return v1.read(document)
    blob = document.get(IMAGE)
    is_array = isinstance(blob, dict) and blob.get("format") == "NDARRAY"
    checked = validated(_WithArray, document) if is_array else validated(_WithImage, document)
    return Received({IMAGE: blob}, checked.objects or [], checked.image)


def image(base64: str) -> Members:
    return {IMAGE: {"blob": base64, "format": "IMAGE"}}


def faces(objects: Mapping[int, Members]) -> Mapping[int, Face]:
    return validated(_Faces, {"objects": objects}).objects


def templates(objects: Mapping[int, Members]) -> Sequence[str]:
    checked = validated(_WithTemplates, {"objects": objects}).objects
    return [obj.template.current.blob for obj in checked.values()]


V2 = Version("v2", MEMBERS, read, image, faces, templates)
V2_WITH_LIVENESS_OF_V1 = replace(V2, members={**MEMBERS, Liveness: v1.liveness})
"""As the specification prints what face-detector-liveness-estimator answers to `$image`."""


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """Where a document comes from. `frame` counts from 0 in each run; `captured_at` is in Unix seconds."""

    id: str
    run: str
    frame: int
    pts: float
    captured_at: float
    width: int
    height: int

    def members(self) -> Members:
        return {
            "id": self.id,
            "run": self.run,
            "frame": self.frame,
            "pts": self.pts,
            "captured_at": rfc3339(self.captured_at),
            "width": self.width,
            "height": self.height,
        }


@dataclass(frozen=True, slots=True)
class Places:
    """How many are and were in a stream's zones, and have crossed its lines."""

    now: Mapping[tuple[str, str], int]
    """By zone and class."""
    entered: Mapping[tuple[str, str], int]
    """Since the start, by zone and class. Where there is no tracking it is empty."""
    crossed: Mapping[tuple[str, str, str], int]
    """Since the start, by line, direction and class."""

    def members(self) -> Members:
        zones: dict[str, dict[str, dict[str, int]]] = {}
        for name, counts in (("now", self.now), ("entered", self.entered)):
            for (zone, label), number in counts.items():
                zones.setdefault(zone, {}).setdefault(name, {})[label] = number
        lines: dict[str, dict[str, dict[str, int]]] = {}
        for (line, direction, label), number in self.crossed.items():
            lines.setdefault(line, {}).setdefault(direction, {})[label] = number
        return {"zones": zones, "lines": lines}


def rfc3339(seconds: float) -> str:
    """Unix seconds as UTC with microseconds: 2026-11-25T00:39:47.232882Z."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def frame_objects(sample: Sample, emits: Set[type]) -> Sequence[Members]:
    """What is told of a frame's objects."""
    return written(V2, sample, sample.objects, emits)


def stream_document(
    sample: Sample,
    objects: Sequence[Members],
    stream: StreamInfo,
    picture: bytes | None = None,
    crops: Sequence[bytes] | None = None,
) -> bytes:
    """A frame of a stream, with JPEGs of all of it or of each of its objects (frame_objects) where they are given.

    Where there are zones or lines, the sample has Places.
    """
    if crops is not None:
        objects = [obj | _jpeg(crop) for obj, crop in zip(objects, crops, strict=True)]
    whole = _jpeg(picture) if picture is not None else {}
    places = {"places": sample[Places].members()} if Places in sample else {}
    return encode({**whole, "objects": objects, **places, "stream": stream.members()})


def _jpeg(picture: bytes) -> Members:
    return image(encode_base64(picture))


def without_templates(document: bytes) -> bytes:
    """A stream's document or a track's event without the templates in it; as it is where it has none."""
    if b'"template"' not in document:
        return document
    members = parse(document)
    for obj in (*members.get("objects", ()), members.get("object", {})):
        obj.pop("template", None)
    return encode(members)


def track_object(obj: Object, size: Size, emits: Set[type]) -> Members:
    """What is known of a track, by an object of it on a picture of this size."""
    return {"class": obj.label} | results_of(V2, obj, size, emits)


def track_event(event: Members, crop: bytes | None) -> bytes:
    """An event as it is written, with a JPEG of its object where one is given."""
    return encode(event if crop is None else event | {"object": event["object"] | _jpeg(crop)})
