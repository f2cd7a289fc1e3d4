"""Version 2: everything relative to the picture, `_image`; also what streams write."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import numpy as np
from pydantic import Field, create_model

from daemon.wire import members, v1
from daemon.wire.blob import ArrayBlob, ImageBlob, encode_base64
from daemon.wire.codec import Members, encode
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
from processors.types import LANDMARK_NAMES, Box, Confidence, Landmarks, Object, Pose, Sample

IMAGE: Final = "_image"
TEMPLATE: Final = "_face_template_extractor_1000_12"
SCHEMA_ID = "visaged.frame"
SCHEMA_VERSION = "2.0"
"""Of a stream's documents."""


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

    @property
    def captured_at_rfc3339(self) -> str:
        return datetime.fromtimestamp(self.captured_at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def stream_document(sample: Sample, emits: Set[type], stream: StreamInfo, image_jpeg: bytes | None) -> bytes:
    """A frame of a stream, with its picture where one is given."""
    return encode(
        (image(encode_base64(image_jpeg)) if image_jpeg is not None else {})
        | {
            "objects": written(V2, sample, sample.objects, emits),
            "stream": {
                "id": stream.id,
                "run": stream.run,
                "frame": stream.frame,
                "pts": stream.pts,
                "captured_at": stream.captured_at_rfc3339,
                "width": stream.width,
                "height": stream.height,
            },
        }
    )
