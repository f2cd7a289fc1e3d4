"""The members that are the same in both versions, but for their casing and units."""

from collections.abc import Callable, Iterator
from dataclasses import fields

import numpy as np

from daemon.wire.codec import Members
from daemon.wire.version import Size
from processors.age import Age
from processors.emotion import EMOTIONS, Emotions
from processors.gender import Gender
from processors.liveness import Liveness
from processors.mask import Mask
from processors.matcher import Verification
from processors.quality import Quality
from processors.types import Confidence, Object, Pose


def confidence(obj: Object, _: Size) -> Members:
    return {"confidence": obj[Confidence].value}


def bbox(obj: Object, size: Size) -> Members:
    """Relative to width and height, clipped to the picture."""
    return {"bbox": np.clip(obj.box_xyxy / (size + size), 0.0, 1.0).tolist()}


def pose(obj: Object) -> Members:
    return {"yaw": obj[Pose].yaw, "roll": obj[Pose].roll, "pitch": obj[Pose].pitch}


def gender(obj: Object, cased: Callable[[str], str]) -> Members:
    return {"gender": cased("male" if obj[Gender].is_male else "female")}


def age(obj: Object, _: Size) -> Members:
    """Whole years, as a string."""
    return {"age": str(round(obj[Age].years))}


def emotions(obj: Object, cased: Callable[[str], str]) -> Members:
    scores = zip(EMOTIONS, obj[Emotions].probabilities, strict=True)
    return {"emotions": [{"confidence": score, "emotion": cased(name)} for name, score in scores]}


def mask(obj: Object) -> Members:
    return {"confidence": obj[Mask].probability, "value": obj[Mask].worn}


def liveness(obj: Object, cased: Callable[[str], str]) -> Members:
    value = "real" if obj[Liveness].real else "fake"
    return {"liveness": {"confidence": obj[Liveness].probability, "value": cased(value)}}


def quality(obj: Object) -> Iterator[tuple[str, bool | int | float]]:
    """Names in snake_case and values: booleans, whole measures, and scores of 0..1, which alone are floats."""
    for field in fields(Quality):
        yield field.name, getattr(obj[Quality], field.name)


def verification(compared: Verification) -> Members:
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
