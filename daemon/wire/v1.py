"""Version 1: landmarks in pixels, `$image`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import numpy as np
from pydantic import Field
from typing_extensions import TypedDict

from daemon.wire import members
from daemon.wire.blob import ImageBlob, encode_base64
from daemon.wire.codec import Members
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
    validated,
)
from processors.age import Age
from processors.emotion import EMOTIONS, Emotions
from processors.gender import Gender
from processors.liveness import Liveness
from processors.mask import Mask
from processors.quality import Quality
from processors.template_extractor import Template
from processors.types import LANDMARK_NAMES, Box, Confidence, Landmarks, Object, Pose

IMAGE: Final = "$image"
TEMPLATE: Final = "$template"
LEFT_EYE, RIGHT_EYE = map(LANDMARK_NAMES.index, ("left_eye", "right_eye"))


Point = Annotated[list[float], Field(min_length=2, max_length=2, description="x, y in pixels")]


class FitterV1(TypedDict):
    fitter_type: Literal["fda"]
    keypoints: Annotated[
        list[float], Field(min_length=63, max_length=63, description="21 times x, y in pixels, and a third number")
    ]
    left_eye: Point
    right_eye: Point


class WithFitter(TypedDict):
    fitter: FitterV1


def fitter(obj: Object, _: Size) -> WithFitter:
    points: list[list[float]] = obj[Landmarks].points_xy.tolist()
    return {
        "fitter": {
            "fitter_type": "fda",
            "keypoints": [coordinate for x, y in points for coordinate in (x, y, 0)],
            "left_eye": points[LEFT_EYE],
            "right_eye": points[RIGHT_EYE],
        }
    }


class WithAngles(TypedDict):
    angles: members.Angles


def angles(obj: Object, _: Size) -> WithAngles:
    return {"angles": members.pose(obj)}


class WithGender(TypedDict):
    gender: Literal["MALE", "FEMALE"]


def gender(obj: Object, _: Size) -> WithGender:
    return {"gender": "MALE" if obj[Gender].is_male else "FEMALE"}


class EmotionScoreV1(TypedDict):
    confidence: members.Share
    emotion: Annotated[str, members.one_of(map(str.upper, EMOTIONS))]


class WithEmotions(TypedDict):
    emotions: Annotated[list[EmotionScoreV1], members.EACH_EMOTION]


def emotions(obj: Object, _: Size) -> WithEmotions:
    return {"emotions": [{"confidence": score, "emotion": name.upper()} for name, score in members.emotions(obj)]}


class WithMask(TypedDict):
    mask: members.MaskValue


def mask(obj: Object, _: Size) -> WithMask:
    return {"mask": members.mask(obj)}


class LivenessValueV1(TypedDict):
    confidence: members.Realness
    value: Literal["REAL", "FAKE"]


class WithLiveness(TypedDict):
    liveness: LivenessValueV1


def liveness(obj: Object, _: Size) -> WithLiveness:
    return {"liveness": {"confidence": obj[Liveness].probability, "value": "REAL" if obj[Liveness].real else "FAKE"}}


def _camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


WholeScore = Annotated[int, Field(ge=0, le=100)]
MeasuresV1: Any = members.of_table(
    "MeasuresV1",
    {_camel_case(name): WholeScore if kind is float else kind for name, kind in members.MEASURES.items()},
)


class QualityV1(TypedDict):
    qaa: MeasuresV1


class WithQuality(TypedDict):
    quality: QualityV1


def quality(obj: Object, _: Size) -> WithQuality:
    """Scores are whole numbers, 0..100."""
    return {
        "quality": {
            "qaa": {
                _camel_case(name): whole_score(value) if isinstance(value, float) else value
                for name, value in members.quality(obj)
            }
        }
    }


WithTemplate = TypedDict(
    "WithTemplate",
    {
        "$template": members.Base64,
        "template_size": Annotated[int, Field(ge=1, description="words of 32 bits")],
    },
)


def template(obj: Object, _: Size) -> WithTemplate:
    """`template_size` is in words of 32 bits."""
    blob = obj[Template].blob
    return {TEMPLATE: encode_base64(blob), "template_size": len(blob) // 4}


MEMBERS: Mapping[type, Write] = {
    Gender: gender,
    Age: members.age,
    Emotions: emotions,
    Mask: mask,
    Confidence: members.confidence,
    Box: members.bbox,
    Liveness: liveness,
    Quality: quality,
    Landmarks: fitter,
    Pose: angles,
    Template: template,
}


def whole_score(score: float) -> int:
    """A score of 0..1 as a whole number, 0..100."""
    return round(100 * score)


class DocumentV1(Document):
    image: str = Field(alias=IMAGE)


class SentFitter(Part):
    fitter_type: Literal["fda"] = "fda"
    keypoints: Annotated[list[Coordinate], Field(min_length=63, max_length=63)]


class FaceV1(Face):
    fitter: SentFitter | None = None
    angles: SentAngles | None = None

    def results(self, _: Size) -> Iterable[object]:
        if self.fitter is not None:
            yield Landmarks(np.array(self.fitter.keypoints).reshape(-1, 3)[:, :2])
        if self.angles is not None:
            yield self.angles.pose


class _Faces(Part):
    objects: dict[int, FaceV1]


class TemplateOfFaceV1(Part):
    template: str = Field(alias=TEMPLATE)


class _WithTemplates(Part):
    objects: dict[int, TemplateOfFaceV1]


def read(document: Members) -> Received:
    checked = validated(DocumentV1, document)
    return Received(image(checked.image), checked.objects or [], ImageBlob(blob=checked.image))


def image(base64: str) -> Members:
    return {IMAGE: base64}


def faces(objects: Mapping[int, Members]) -> Mapping[int, Face]:
    return validated(_Faces, {"objects": objects}).objects


def templates(objects: Mapping[int, Members]) -> Sequence[str]:
    checked = validated(_WithTemplates, {"objects": objects}).objects
    return [obj.template for obj in checked.values()]


V1 = Version("v1", MEMBERS, read, image, faces, templates)
