"""The services by name: which processors each runs, and which of the results it answers with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from daemon.errors import LowQuality, MoreThanOneFace
from daemon.http.settings import HttpSettings, LivenessModule
from daemon.wire.v1 import whole_score
from daemon.wire.v2 import V2, V2_WITH_LIVENESS_OF_V1
from daemon.wire.version import Version
from processors.age import Age
from processors.emotion import Emotions
from processors.gender import Gender
from processors.liveness import Liveness
from processors.mask import Mask
from processors.quality import Quality, WorstDefect
from processors.template_extractor import Template
from processors.types import Box, Confidence, Label, Landmarks, Object, Pose

MAX_PIXELS_OF_ANTI_SPOOFING = 10_000_000


def everything(found: Sequence[Object]) -> Sequence[Object]:
    return found


def largest(found: Sequence[Object]) -> Sequence[Object]:
    """The object with the largest box, if there is any."""
    return sorted(found, key=_area, reverse=True)[:1]


def _area(obj: Object) -> float:
    return float(np.prod(obj.box_xyxy[2:] - obj.box_xyxy[:2]))


def only(found: Sequence[Object]) -> Sequence[Object]:
    """Raises MoreThanOneFace."""
    if len(found) > 1:
        raise MoreThanOneFace
    return found


def accept(obj: Object, settings: HttpSettings) -> None:
    """Every object."""


def expect_quality(face: Object, settings: HttpSettings) -> None:
    """Raises LowQuality, by the whole number that version 1 shows, and LowQuality of the worst defect."""
    score = whole_score(face[Quality].total_score)
    if score < settings.liveness_quality:
        raise LowQuality(score, settings.liveness_quality)
    worst = whole_score(face[WorstDefect].score)
    if worst < settings.liveness_worst_defect:
        raise LowQuality(worst, settings.liveness_worst_defect, "score value of the worst defect")


@dataclass(frozen=True, slots=True)
class IfMissing:
    """A processor that runs only on objects without a result, which requests may bring."""

    kind: type
    processor: str


Steps = tuple[str | IfMissing, ...]


@dataclass(frozen=True, slots=True)
class Detection:
    """Finds objects on a picture, and answers with them in the place of those of their label that came."""

    detector: str
    emits: frozenset[type]
    chain: Steps = ()
    """Runs on what is selected."""
    label: Label = "face"
    select: Callable[[Sequence[Object]], Sequence[Object]] = everything
    """Chooses, of the objects that were found, those to work on; may refuse the request."""
    check: Callable[[Object, HttpSettings], None] = accept
    """May refuse an object by its results."""
    max_pixels: int | None = None
    """The most pixels an image may have; None: as many as the configuration allows."""
    v2_of_v1_image: Version = V2
    """How a v2 request that holds its image as `$image` is answered."""


@dataclass(frozen=True, slots=True)
class Estimation:
    """Works on the faces that come with a picture, and adds what it emits to them."""

    chain: Steps
    emits: frozenset[type]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Compares two templates; takes no picture."""


Service = Detection | Estimation | Comparison

QUALITY: Steps = ("face-fitter", "mask-estimator", "emotion-estimator", "quality-assessment-estimator")

LIVENESS_MODULES: Mapping[LivenessModule, Service] = {
    "liveness-anti-spoofing": Detection(
        "face-detector",
        emits=frozenset({Liveness}),
        chain=("liveness-estimator",),
        select=largest,
        max_pixels=MAX_PIXELS_OF_ANTI_SPOOFING,
        v2_of_v1_image=V2_WITH_LIVENESS_OF_V1,
    ),
    "quality-liveness-anti-spoofing": Detection(
        "face-detector",
        emits=frozenset({Liveness}),
        chain=(*QUALITY, "liveness-estimator"),
        select=only,
        check=expect_quality,
        max_pixels=MAX_PIXELS_OF_ANTI_SPOOFING,
        v2_of_v1_image=V2_WITH_LIVENESS_OF_V1,
    ),
    "face-detector-liveness-estimator": Detection(
        "face-detector",
        emits=frozenset({Confidence, Box, Liveness}),
        chain=("liveness-estimator",),
        v2_of_v1_image=V2_WITH_LIVENESS_OF_V1,
    ),
}


def services(liveness_module: LivenessModule) -> Mapping[str, Service]:
    return {
        "face-detector-face-fitter": Detection(
            "face-detector", emits=frozenset({Confidence, Box, Landmarks, Pose}), chain=("face-fitter",)
        ),
        "face-detector-template-extractor": Detection(
            "face-detector",
            emits=frozenset({Confidence, Box, Template}),
            chain=("face-fitter", "template-extractor"),
        ),
        "face-detector-liveness-estimator": LIVENESS_MODULES[liveness_module],
        "body-detector": Detection("body-detector", emits=frozenset({Confidence, Box}), label="body"),
        "gender-estimator": Estimation(("face-fitter", "gender-estimator"), frozenset({Gender})),
        "age-estimator": Estimation(("face-fitter", "age-estimator"), frozenset({Age})),
        "emotion-estimator": Estimation(("face-fitter", "emotion-estimator"), frozenset({Emotions})),
        "mask-estimator": Estimation(("mask-estimator",), frozenset({Mask})),
        "liveness-estimator": Estimation(("liveness-estimator",), frozenset({Liveness})),
        "quality-assessment-estimator": Estimation(QUALITY, frozenset({Quality})),
        "template-extractor": Estimation(
            (IfMissing(Landmarks, "face-fitter"), "template-extractor"), frozenset({Template})
        ),
        "verify-matcher": Comparison(),
    }
