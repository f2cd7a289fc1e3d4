"""Version 1: landmarks in pixels, `$image`."""

from collections.abc import Callable, Mapping
from typing import Final

from pydantic import Field

from daemon.wire.blob import ImageBlob
from daemon.wire.codec import Members
from daemon.wire.version import Document, Received, Size, Version, bbox, confidence, validated
from processors.types import LANDMARK_NAMES, Box, Confidence, Landmarks, Object, Pose

IMAGE: Final = "$image"
LEFT_EYE, RIGHT_EYE = map(LANDMARK_NAMES.index, ("left_eye", "right_eye"))


def fitter(obj: Object, _: Size) -> Members:
    points: list[list[float]] = obj[Landmarks].points_xy.tolist()
    return {
        "fitter": {
            "fitter_type": "fda",
            "keypoints": [coordinate for x, y in points for coordinate in (x, y, 0)],
            "left_eye": points[LEFT_EYE],
            "right_eye": points[RIGHT_EYE],
        }
    }


def angles(obj: Object, _: Size) -> Members:
    pose = obj[Pose]
    return {"angles": {"yaw": pose.yaw, "roll": pose.roll, "pitch": pose.pitch}}


MEMBERS: Mapping[type, Callable[[Object, Size], Members]] = {
    Confidence: confidence,
    Box: bbox,
    Landmarks: fitter,
    Pose: angles,
}


class _Document(Document):
    image: str = Field(alias=IMAGE)


def read(document: Members) -> Received:
    checked = validated(_Document, document)
    return Received(image(checked.image), checked.objects or [], ImageBlob(blob=checked.image))


def image(base64: str) -> Members:
    return {IMAGE: base64}


V1 = Version("v1", MEMBERS, read, image)
