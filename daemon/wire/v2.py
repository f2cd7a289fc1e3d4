"""Version 2: everything relative to the picture, `_image`; also what streams write."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, NamedTuple, NotRequired

import numpy as np
from pydantic import Field, create_model
from typing_extensions import TypedDict

from daemon.wire import members, v1
from daemon.wire.blob import ArrayBlob, ImageBlob, encode_base64
from daemon.wire.codec import Members, encode, parse
from daemon.wire.version import (
    Coordinate,
    Document,
    Face,
    Part,
    Received,
    SentAngles,
    Size,
    Version,
    Write,
    members_of,
    results_of,
    validated,
    written,
)
from processors.age import Age
from processors.emotion import EMOTIONS, Emotions
from processors.gender import Gender
from processors.liveness import Liveness
from processors.mask import Mask
from processors.quality import Quality
from processors.template_extractor import Template
from processors.tracker import Predicted
from processors.types import (
    LANDMARK_NAMES,
    BodyId,
    Box,
    Confidence,
    Label,
    Landmarks,
    Object,
    Pose,
    Sample,
    TrackId,
    Zones,
)

IMAGE: Final = "_image"
IMAGE_URL: Final = "image_url"
TEMPLATE: Final = "_face_template_extractor_1000_12"


class Schema(NamedTuple):
    """What a record's value is, as its headers say it."""

    id: str
    name: str
    version: str = "2.1"

    @property
    def urn(self) -> str:
        """The `$id` of its JSON Schema."""
        return f"urn:visaged:schema:{self.name}:{self.version}"


FRAME_SCHEMA: Final = Schema("visaged.frame", "document")
TRACK_SCHEMA: Final = Schema("visaged.track", "track")
PLACE_SCHEMA: Final = Schema("visaged.place", "place")


class Keypoint(TypedDict):
    proj: Annotated[
        list[float],
        Field(min_length=2, max_length=2, description="x, y: shares of the picture's width and height"),
    ]


Keypoints: Any = members.of_table(
    "Keypoints", {**dict.fromkeys(LANDMARK_NAMES, Keypoint), "fitter_type": Literal["fda"]}
)


class WithKeypoints(TypedDict):
    keypoints: Keypoints


def keypoints(obj: Object, size: Size) -> WithKeypoints:
    points = (obj[Landmarks].points_xy / size).tolist()
    named = {name: {"proj": point} for name, point in zip(LANDMARK_NAMES, points, strict=True)}
    return {"keypoints": {**named, "fitter_type": "fda"}}


class WithPose(TypedDict):
    pose: members.Angles


def pose(obj: Object, _: Size) -> WithPose:
    return {"pose": members.pose(obj)}


class WithGender(TypedDict):
    gender: Literal["male", "female"]


def gender(obj: Object, _: Size) -> WithGender:
    return {"gender": "male" if obj[Gender].is_male else "female"}


class EmotionScore(TypedDict):
    confidence: members.Share
    emotion: Annotated[str, members.one_of(EMOTIONS)]


class WithEmotions(TypedDict):
    emotions: Annotated[list[EmotionScore], members.EACH_EMOTION]


def emotions(obj: Object, _: Size) -> WithEmotions:
    return {"emotions": [{"confidence": score, "emotion": name} for name, score in members.emotions(obj)]}


class WithMask(TypedDict):
    has_medical_mask: members.MaskValue


def mask(obj: Object, _: Size) -> WithMask:
    return {"has_medical_mask": members.mask(obj)}


class LivenessValue(TypedDict):
    confidence: members.Realness
    value: Literal["real", "fake"]


class WithLiveness(TypedDict):
    liveness: LivenessValue


def liveness(obj: Object, _: Size) -> WithLiveness:
    return {"liveness": {"confidence": obj[Liveness].probability, "value": "real" if obj[Liveness].real else "fake"}}


Measures: Any = members.of_table(
    "Measures",
    {name: members.Share if kind is float else kind for name, kind in members.MEASURES.items()}
    | {"dynamic_range_score": Annotated[float, Field(ge=0, description="in units of 100 grey levels")]},
)


class WithQuality(TypedDict):
    quality: Measures


def quality(obj: Object, _: Size) -> WithQuality:
    """Scores are 0..1 in hundredths, and so is the dynamic range in its unit of 100 grey levels."""
    return {"quality": {name: _hundredths(name, value) for name, value in members.quality(obj)}}


class TemplateArray(TypedDict):
    blob: members.Base64
    format: Literal["NDARRAY"]
    dtype: Literal["uint8"]
    shape: Annotated[list[int], Field(min_length=1, max_length=1, description="bytes of the blob")]


class Templates(TypedDict):
    """By the name of the network that made it: only templates of one network can be compared."""

    _face_template_extractor_1000_12: TemplateArray


class WithTemplate(TypedDict):
    template: Templates


def template(obj: Object, _: Size) -> WithTemplate:
    blob = obj[Template].blob
    return {
        "template": {
            TEMPLATE: {"blob": encode_base64(blob), "format": "NDARRAY", "dtype": "uint8", "shape": [len(blob)]}
        }
    }


class WithTrackId(TypedDict):
    track_id: Annotated[str, Field(description="of the track that the object belongs to; unique across runs")]


def track_id(obj: Object, _: Size) -> WithTrackId:
    return {"track_id": obj[TrackId].value}


class WithBodyId(TypedDict):
    body_id: Annotated[str, Field(description="of a face: the track of its body")]


def body_id(obj: Object, _: Size) -> WithBodyId:
    return {"body_id": obj[BodyId].value}


class WithZones(TypedDict):
    zones: Annotated[list[str], Field(description="names of those that the object is in")]


def zones(obj: Object, _: Size) -> WithZones:
    return {"zones": list(obj[Zones].names)}


class WithPredicted(TypedDict):
    predicted: Annotated[
        Literal[True], Field(description="nobody looked for the object on this frame: its box is where it is expected")
    ]


def predicted(_: Object, __: Size) -> WithPredicted:
    return {"predicted": True}


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
    TrackId: track_id,
    BodyId: body_id,
    Zones: zones,
    Predicted: predicted,
}


def _hundredths(name: str, value: bool | int | float) -> bool | int | float:
    if name == "dynamic_range_score":
        value = value / 100
    return members.number(round(value, 2)) if isinstance(value, float) else value


class DocumentV2(Document):
    image: ImageBlob = Field(alias=IMAGE)


class ArrayDocumentV2(Document):
    image: ArrayBlob = Field(alias=IMAGE)


class SentKeypoint(Part):
    proj: Annotated[list[Coordinate], Field(min_length=2, max_length=2)]


SentKeypoints: Any = create_model(
    "SentKeypoints",
    __base__=Part,
    fitter_type=(Literal["fda"], "fda"),
    **{name: (SentKeypoint, ...) for name in LANDMARK_NAMES},  # type: ignore[call-overload]
)


class FaceV2(Face):
    keypoints: SentKeypoints | None = None
    pose: SentAngles | None = None

    def results(self, size: Size) -> Iterable[object]:
        if self.keypoints is not None:
            yield Landmarks(np.array([getattr(self.keypoints, name).proj for name in LANDMARK_NAMES]) * size)
        if self.pose is not None:
            yield self.pose.pose


class _Faces(Part):
    objects: dict[int, FaceV2]


class SentTemplate(Part):
    blob: str


class SentTemplates(Part):
    current: SentTemplate = Field(alias=TEMPLATE)


class TemplateOfFaceV2(Part):
    template: SentTemplates


class _WithTemplates(Part):
    objects: dict[int, TemplateOfFaceV2]


def read(document: Members) -> Received:
    """`$image` is taken where there is no `_image`."""
    if IMAGE not in document and v1.IMAGE in document:
        return v1.read(document)
    blob = document.get(IMAGE)
    is_array = isinstance(blob, dict) and blob.get("format") == "NDARRAY"
    checked = validated(ArrayDocumentV2, document) if is_array else validated(DocumentV2, document)
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


class Stream(TypedDict):
    """Where a document comes from."""

    id: Annotated[str, Field(description="of the stream: the record's key")]
    run: Annotated[str, Field(description="of the source's connection: another after each restart")]
    frame: Annotated[int, Field(ge=0, description="counts from 0 in each run; of Kafka's input the record's offset")]
    pts: Annotated[float, Field(description="seconds by the source's own clock")]
    captured_at: members.Time
    width: Annotated[int, Field(ge=1, description="pixels")]
    height: Annotated[int, Field(ge=1, description="pixels")]


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

    def members(self) -> Stream:
        return {
            "id": self.id,
            "run": self.run,
            "frame": self.frame,
            "pts": self.pts,
            "captured_at": rfc3339(self.captured_at),
            "width": self.width,
            "height": self.height,
        }


Numbers = dict[str, members.Count]
"""By class."""


class ZoneNumbers(TypedDict, total=False):
    now: Annotated[Numbers, Field(description="how many are in it")]
    entered: Annotated[Numbers, Field(description="how many have entered since the daemon's start")]


class PlaceNumbers(TypedDict):
    zones: Annotated[dict[str, ZoneNumbers], Field(description="by the name of the zone")]
    lines: Annotated[
        dict[str, dict[str, Numbers]],
        Field(description="how many have crossed since the daemon's start, by the name of the line and the direction"),
    ]


@dataclass(frozen=True, slots=True)
class Places:
    """How many are and were in a stream's zones, and have crossed its lines."""

    now: Mapping[tuple[str, str], int]
    """By zone and class."""
    entered: Mapping[tuple[str, str], int]
    """Since the start, by zone and class. Where there is no tracking it is empty."""
    crossed: Mapping[tuple[str, str, str], int]
    """Since the start, by line, direction and class."""

    def members(self) -> PlaceNumbers:
        zones: dict[str, ZoneNumbers] = {}
        for (zone, label), number in self.now.items():
            zones.setdefault(zone, {}).setdefault("now", {})[label] = number
        for (zone, label), number in self.entered.items():
            zones.setdefault(zone, {}).setdefault("entered", {})[label] = number
        lines: dict[str, dict[str, dict[str, int]]] = {}
        for (line, direction, label), number in self.crossed.items():
            lines.setdefault(line, {}).setdefault(direction, {})[label] = number
        return {"zones": zones, "lines": lines}


def rfc3339(seconds: float) -> str:
    """Unix seconds as UTC with microseconds: 2026-11-25T00:39:47.232882Z."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class Picture(TypedDict):
    blob: members.Base64
    format: Annotated[Literal["IMAGE"], Field(description="a file's bytes: of a stream, a JPEG's")]


class WithPicture(TypedDict, total=False):
    _image: Picture


StreamObject: Any = members.of_table(
    "StreamObject", {"id": members.Count, "class": Label, **members_of(MEMBERS.values()), IMAGE: NotRequired[Picture]}
)


class WithPlaces(TypedDict, total=False):
    places: Annotated[PlaceNumbers, Field(description="where the stream has zones or lines")]


class StreamDocument(WithPicture, WithPlaces):
    """What was found on a frame."""

    objects: list[StreamObject]
    stream: Stream


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
    whole: WithPicture = _jpeg(picture) if picture is not None else {}
    places: WithPlaces = {"places": sample[Places].members()} if Places in sample else {}
    document: StreamDocument = {**whole, "objects": list(objects), **places, "stream": stream.members()}
    return encode(document)


def _jpeg(picture: bytes) -> WithPicture:
    return {IMAGE: {"blob": encode_base64(picture), "format": "IMAGE"}}


def without_templates(document: bytes) -> bytes:
    """A stream's document or a track's event without the templates in it; as it is where it has none."""
    if b'"template"' not in document:
        return document
    members = parse(document)
    for obj in (*members.get("objects", ()), members.get("object", {})):
        obj.pop("template", None)
    return encode(members)


ImageUrl = Annotated[str, Field(description="where its picture can be had, as long as the history keeps it")]
TrackObject: Any = members.of_table(
    "TrackObject",
    {
        "class": Label,
        **members_of(write for kind, write in MEMBERS.items() if kind is not Predicted),
        IMAGE_URL: NotRequired[ImageUrl],
        IMAGE: NotRequired[Picture],
    },
)
"""Of the track's best shot; without an id."""


class BestShot(TypedDict):
    frame: members.Count
    captured_at: members.Time


class Track(TypedDict):
    id: str
    first_seen: members.Time
    last_seen: members.Time
    frames: Annotated[int, Field(ge=1, description="on which it was seen")]
    best_shot: BestShot


class Reason(StrEnum):
    """Why a track left."""

    GONE = "gone"
    RUN_ENDED = "run ended"
    RESTART = "restart"


TrackEventKind = Literal["appeared", "updated", "present", "left"]


class TrackEvent(TypedDict):
    event: TrackEventKind
    reason: NotRequired[Annotated[Reason, Field(description="why it left: with `left` alone")]]
    track: Track
    object: TrackObject
    stream: Stream


class PlaceReason(StrEnum):
    """Why a zone was left."""

    OUTSIDE = "outside"
    GONE = "gone"
    RUN_ENDED = "run ended"
    RESTART = "restart"


class Visit(TypedDict):
    """Of a zone."""

    name: str
    entered_at: members.Time
    left_at: NotRequired[members.Time]
    dwell: NotRequired[Annotated[float, Field(ge=0, description="seconds")]]


class Crossing(TypedDict):
    """Of a line."""

    name: str
    direction: Annotated[str, Field(description="by the line's own words")]
    crossed_at: members.Time


OF_TRACKS_ALONE: Final = frozenset({Template, Predicted})
"""Results that no event of a zone or a line has: those of its track have the template, and a prediction makes none."""
PlaceObject: Any = members.of_table(
    "PlaceObject",
    {
        "class": Label,
        **members_of(write for kind, write in MEMBERS.items() if kind not in OF_TRACKS_ALONE),
        IMAGE_URL: NotRequired[ImageUrl],
    },
)
"""As it was when it happened, with what is known of its track; without an id."""


PlaceEventKind = Literal["entered", "loitering", "left", "crossed"]


class PlaceChange(TypedDict):
    """Of a zone or of a line."""

    event: PlaceEventKind
    reason: NotRequired[Annotated[PlaceReason, Field(description="why it left: with `left` alone")]]
    zone: NotRequired[Visit]
    line: NotRequired[Crossing]


class PlaceEvent(PlaceChange):
    """A track and a zone, or a track and a line."""

    track: Track
    object: PlaceObject
    stream: Stream


def track_object(obj: Object, size: Size, emits: Set[type]) -> Members:
    """What is known of a track, by an object of it on a picture of this size."""
    return {"class": obj.label} | results_of(V2, obj, size, emits)


def event_document(event: Mapping[str, Any], crop: bytes | None = None, image_url: str | None = None) -> bytes:
    """An event as it is written, with a JPEG of its object, and the URL of one, where they are given."""
    url = {} if image_url is None else {IMAGE_URL: image_url}
    picture = {} if crop is None else _jpeg(crop)
    return encode({**event, "object": event["object"] | url | picture})
