"""Tells a live face from a picture of one (print, screen) by one frame, with MiniFASNetV2-SE."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
from pydantic import Field

from configs.section import Section
from models.manifest import ModelName
from models.store import ModelStore
from processors.arrays import blob
from processors.boxes import clipped
from processors.estimator import Estimator
from processors.quarter_turn import TURN_MODEL, QuarterTurns, TurnModel
from processors.types import Box, Floats, Image, Object, Pyramid

CROP = 128
SCALE = 2.7
REACH = 2 * SCALE - 1  # of a box at the picture's edge, from where the crop is moved inside


@dataclass(frozen=True, slots=True)
class Liveness:
    """`probability`, 0..1, that the person is there in the flesh; `real`: whether it reaches the threshold."""

    probability: float
    real: bool


class LivenessEstimatorSettings(Section):
    model: ModelName = Field("liveness_minifasv2se_128", description="The model: a name that `visaged models` lists.")
    threshold: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Probability, 0 to 1, from which a face counts as real. How many attacks pass and how many "
        "people are refused depends on the camera: choose a threshold for your site.",
    )
    turn_model: TurnModel = TURN_MODEL


class LivenessEstimator(Estimator):
    reach: ClassVar = REACH
    needs: ClassVar[frozenset[type]] = frozenset({Box})
    makes: ClassVar[frozenset[type]] = frozenset({Liveness})
    Settings: ClassVar = LivenessEstimatorSettings

    def __init__(self, settings: LivenessEstimatorSettings, models: ModelStore) -> None:
        self._session = models.session(settings.model)
        self._turns = QuarterTurns(settings.turn_model, models)
        self._threshold = settings.threshold

    def estimate(self, pyramid: Pyramid, obj: Object) -> Iterable[object]:
        crop = np.rot90(surroundings(pyramid, obj.box_xyxy), self._turns(pyramid, obj))
        logits = self._session.run({"input": blob(np.ascontiguousarray(crop))})["output"][0].astype(np.float64)
        odds = np.exp(logits - logits.max())
        probability = float(odds[0] / odds.sum())  # class 0: real; 1 and 2: kinds of attack
        return (Liveness(probability, probability >= self._threshold),)


def surroundings(pyramid: Pyramid, box_xyxy: Floats) -> Image:
    """(128, 128, 3): the face's box with what is about it, where a screen's or a paper's edge shows.

    The box keeps its aspect ratio and grows by SCALE, or as far as the picture allows, and is moved to lie inside it.
    """
    width, height = pyramid.size()
    x1, y1, x2, y2 = clipped(box_xyxy, width, height)
    box_width, box_height = x2 - x1, y2 - y1
    scale = min(SCALE, (width - 1) / box_width, (height - 1) / box_height)
    grown_width, grown_height = box_width * scale, box_height * scale
    left = min(max((x1 + x2 - grown_width) / 2, 0), max(width - 1 - grown_width, 0))
    top = min(max((y1 + y2 - grown_height) / 2, 0), max(height - 1 - grown_height, 0))
    right, bottom = max(int(left + grown_width), int(left) + 1), max(int(top + grown_height), int(top) + 1)
    halvings = pyramid.halvings(min(right - int(left), bottom - int(top)) / CROP)
    rows, columns = (slice(int(low) >> halvings, high >> halvings) for low, high in ((top, bottom), (left, right)))
    # By area to the end: the network goes by fine patterns.
    part = pyramid.cut(halvings, rows, columns)
    return cv2.resize(part, (CROP, CROP), interpolation=cv2.INTER_AREA)  # type: ignore[return-value]
