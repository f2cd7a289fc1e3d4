"""Tells a live face from a picture of one (print, screen) by one frame, with MiniFASNetV2-SE."""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable
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

log = logging.getLogger(__name__)

CROP = 128
SCALE = 2.7
REACH = 2 * SCALE - 1  # of a box at the picture's edge, from where the crop is moved inside
BARE = 1.7
"""Surroundings that are narrower, in boxes, hardly show an edge: see the model's card."""
REPORT_S = 60.0


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


class BareFaces:
    """Counts faces without surroundings and says so in the log: of the first at once, then once a minute at most."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._since_report = 0
        self._reported_at = -math.inf

    def add(self, growth: float) -> None:
        """`growth`: how many boxes wide the surroundings are."""
        with self._lock:
            self._since_report += 1
            if (now := self._clock()) - self._reported_at < REPORT_S:
                return
            count, self._since_report, self._reported_at = self._since_report, 0, now
        log.warning(
            "liveness: %d faces without surroundings, the last in %.1f times its box (expected %.1f): real people are "
            "often called fake there. Send the whole picture, not a crop of the face",
            count,
            growth,
            SCALE,
        )


class LivenessEstimator(Estimator):
    reach: ClassVar = REACH
    needs: ClassVar[frozenset[type]] = frozenset({Box})
    makes: ClassVar[frozenset[type]] = frozenset({Liveness})
    Settings: ClassVar = LivenessEstimatorSettings

    def __init__(self, settings: LivenessEstimatorSettings, models: ModelStore) -> None:
        self._session = models.session(settings.model)
        self._turns = QuarterTurns(settings.turn_model, models)
        self._threshold = settings.threshold
        self._bare = BareFaces()

    def estimate(self, pyramid: Pyramid, obj: Object) -> Iterable[object]:
        if (growth := grows(obj.box_xyxy, *pyramid.size())) < BARE:
            self._bare.add(growth)
        crop = np.rot90(surroundings(pyramid, obj.box_xyxy), self._turns(pyramid, obj))
        logits = self._session.run({"input": blob(np.ascontiguousarray(crop))})["output"][0].astype(np.float64)
        odds = np.exp(logits - logits.max())
        probability = float(odds[0] / odds.sum())  # class 0: real; 1 and 2: kinds of attack
        return (Liveness(probability, probability >= self._threshold),)


def grows(box_xyxy: Floats, width: int, height: int) -> float:
    """By how much a box grows to its surroundings: SCALE, or as far as the picture allows."""
    x1, y1, x2, y2 = clipped(box_xyxy, width, height).tolist()
    growth: float = min(SCALE, (width - 1) / (x2 - x1), (height - 1) / (y2 - y1))
    return growth


def surroundings(pyramid: Pyramid, box_xyxy: Floats) -> Image:
    """(128, 128, 3): the face's box with what is about it, where a screen's or a paper's edge shows.

    The box keeps its aspect ratio, grows as grows() says, and is moved to lie inside the picture.
    """
    width, height = pyramid.size()
    x1, y1, x2, y2 = clipped(box_xyxy, width, height)
    scale = grows(box_xyxy, width, height)
    grown_width, grown_height = (x2 - x1) * scale, (y2 - y1) * scale
    left = min(max((x1 + x2 - grown_width) / 2, 0), max(width - 1 - grown_width, 0))
    top = min(max((y1 + y2 - grown_height) / 2, 0), max(height - 1 - grown_height, 0))
    right, bottom = max(int(left + grown_width), int(left) + 1), max(int(top + grown_height), int(top) + 1)
    halvings = pyramid.halvings(min(right - int(left), bottom - int(top)) / CROP)
    rows, columns = (slice(int(low) >> halvings, high >> halvings) for low, high in ((top, bottom), (left, right)))
    # By area to the end: the network goes by fine patterns.
    part = pyramid.cut(halvings, rows, columns)
    return cv2.resize(part, (CROP, CROP), interpolation=cv2.INTER_AREA)  # type: ignore[return-value]
