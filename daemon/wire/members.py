"""The members that are the same in both versions, but for their casing and units."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Annotated, Any, get_type_hints

import numpy as np
from pydantic import Field, WithJsonSchema
from typing_extensions import TypedDict

from daemon.wire.version import Size
from processors.age import Age
from processors.emotion import EMOTIONS, Emotions
from processors.mask import Mask
from processors.matcher import Verification
from processors.quality import Quality
from processors.types import Confidence, Object, Pose

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Base64 = Annotated[str, Field(json_schema_extra={"contentEncoding": "base64"})]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"}, description="UTC with microseconds (RFC 3339)")]


def one_of(words: Iterable[str]) -> WithJsonSchema:
    """Of text that is one of a table's words."""
    return WithJsonSchema({"type": "string", "enum": list(words)})


def of_table(name: str, members: Mapping[str, Any]) -> Any:
    """A TypedDict whose members are those of a table."""
    make: Any = TypedDict
    return make(name, dict(members))


class WithConfidence(TypedDict):
    confidence: Annotated[Share, Field(description="of the detector that found it")]


def confidence(obj: Object, _: Size) -> WithConfidence:
    return {"confidence": obj[Confidence].value}


class WithBox(TypedDict):
    bbox: Annotated[
        list[Share],
        Field(
            min_length=4, max_length=4, description="left, top, right, bottom: shares of the picture's width and height"
        ),
    ]


def bbox(obj: Object, size: Size) -> WithBox:
    """Relative to width and height, clipped to the picture."""
    return {"bbox": np.clip(obj.box_xyxy / (size + size), 0.0, 1.0).tolist()}


Degrees = Annotated[float, Field(description="degrees")]


class Angles(TypedDict):
    """Of the head: yaw > 0 to the image's right, pitch < 0 down, roll > 0 counter-clockwise."""

    yaw: Degrees
    roll: Degrees
    pitch: Degrees


def pose(obj: Object) -> Angles:
    return {"yaw": obj[Pose].yaw, "roll": obj[Pose].roll, "pitch": obj[Pose].pitch}


class WithAge(TypedDict):
    age: Annotated[str, Field(pattern="^[0-9]+$", description="whole years")]


def age(obj: Object, _: Size) -> WithAge:
    """Whole years, as a string."""
    return {"age": str(round(obj[Age].years))}


EACH_EMOTION = Field(min_length=len(EMOTIONS), max_length=len(EMOTIONS), description="each once; their sum is 1")


def emotions(obj: Object) -> Iterator[tuple[str, float]]:
    """Names in lower case, and probabilities."""
    return zip(EMOTIONS, obj[Emotions].probabilities, strict=True)


class MaskValue(TypedDict):
    confidence: Annotated[Share, Field(description="the probability that a mask is worn")]
    value: Annotated[bool, Field(description="whether one is worn")]


def mask(obj: Object) -> MaskValue:
    return {"confidence": obj[Mask].probability, "value": obj[Mask].worn}


Realness = Annotated[float, Field(ge=0, le=1, description="the probability that the face is real")]
MEASURES: Mapping[str, type] = get_type_hints(Quality)
"""Names in snake_case and kinds: bool, int, and float for scores of 0..1."""


def quality(obj: Object) -> Iterator[tuple[str, bool | int | float]]:
    """Names in snake_case and values: booleans, whole measures, and scores of 0..1, which alone are floats."""
    for field in fields(Quality):
        yield field.name, getattr(obj[Quality], field.name)


class Comparison(TypedDict):
    distance: Annotated[int, Field(description="(1 - cosine) in ten-thousandths: 0 of equal templates")]
    fa_r: Annotated[Share, Field(description="of pairs of two people, those that are at most as far apart")]
    fr_r: Annotated[Share, Field(description="of pairs of one person, those that are farther apart")]
    score: Annotated[Share, Field(description="falls as the distance grows; 0.9 where fa_r is 1e-4")]


class WithVerification(TypedDict):
    verification: Comparison


def verification(compared: Verification) -> WithVerification:
    return {
        "verification": {
            "distance": compared.distance,
            "fa_r": number(compared.fa_r),
            "fr_r": number(compared.fr_r),
            "score": number(compared.score),
        }
    }


def number(value: float) -> float | int:
    """As JSON prints it: 1, not 1.0."""
    return int(value) if value == int(value) else value
