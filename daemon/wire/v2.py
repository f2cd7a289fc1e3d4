"""Version 2: everything relative to the picture, `_image`; also what streams write."""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pydantic import Field

from daemon.wire import v1
from daemon.wire.blob import ArrayBlob, ImageBlob, encode_base64
from daemon.wire.codec import Members, encode
from daemon.wire.version import Document, Received, Size, Version, bbox, confidence, validated, written
from processors.types import LANDMARK_NAMES, Box, Confidence, Landmarks, Object, Pose, Sample

IMAGE: Final = "_image"
SCHEMA_ID = "visaged.frame"
SCHEMA_VERSION = "2.0"
"""Of a stream's documents."""


def keypoints(obj: Object, size: Size) -> Members:
    points = (obj[Landmarks].points_xy / size).tolist()
    named = {name: {"proj": point} for name, point in zip(LANDMARK_NAMES, points, strict=True)}
    return {"keypoints": {**named, "fitter_type": "fda"}}


def pose(obj: Object, _: Size) -> Members:
    pose = obj[Pose]
    return {"pose": {"yaw": pose.yaw, "roll": pose.roll, "pitch": pose.pitch}}


MEMBERS: Mapping[type, Callable[[Object, Size], Members]] = {
    Confidence: confidence,
    Box: bbox,
    Landmarks: keypoints,
    Pose: pose,
}


class _WithImage(Document):
    image: ImageBlob = Field(alias=IMAGE)


class _WithArray(Document):
    image: ArrayBlob = Field(alias=IMAGE)


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


V2 = Version("v2", MEMBERS, read, image)


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
