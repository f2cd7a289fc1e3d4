"""Which looks at a track are worth its costly processors: the best few, chosen by what is cheap to know."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from processors.pooling import pooled
from processors.types import Confidence, FaceMesh, FivePoints, Floats, Object, Pose

FULL_SIDE = {"face": 112.0, "body": 256.0}
"""Pixels of a box's size (the root of its area) beyond which the estimators gain nothing: that of their crops."""
CLEARLY = 1.2
"""A shot is clearly better by this factor: who comes near is looked at a few dozen times, not on every frame."""
NEARLY = 0.8
"""While there are too few shots, one down to this share of the best will do,"""
SPACING = 0.5
"""if so many seconds lie between: two looks at the same moment say the same."""


NOSE = 0.5
"""How far a nose stands out, in distances of the eyes: by so much times tan(yaw) it is beside the middle of a face."""


def shot_score(obj: Object) -> float:
    """0..1: detector's confidence x size x presence of the mesh x how frontal it is, of what is known.

    Where there is no pose, the detector's five points say how far a face is turned to a side.
    """
    left, top, right, bottom = obj.box_xyxy
    size = min(math.sqrt(max(right - left, 0) * max(bottom - top, 0)) / FULL_SIDE[obj.label], 1.0)
    score = float(size)
    if Confidence in obj:
        score *= obj[Confidence].value
    if FaceMesh in obj:
        score *= obj[FaceMesh].presence
    if Pose in obj:
        score *= max(math.cos(math.radians(obj[Pose].yaw)) * math.cos(math.radians(obj[Pose].pitch)), 0.0)
    elif FivePoints in obj:
        score *= frontality(obj[FivePoints].points_xy)
    return score


def frontality(points_xy: Floats) -> float:
    """The cosine of a face's yaw as FivePoints (5, 2) show it, 0..1.

    Of a rendered head that turns it has a rank correlation of .82 with the cosines of yaw and pitch, the mesh's of .88.
    The points show nothing of the pitch.
    """
    left_eye, right_eye, nose, left_mouth, right_mouth = points_xy
    eyes = right_eye - left_eye
    distance = float(np.linalg.norm(eyes))
    if distance == 0:
        return 0.0
    middle = (left_eye + right_eye + left_mouth + right_mouth) / 4
    return 1 / math.hypot(1, float((nose - middle) @ eyes) / distance**2 / NOSE)


@dataclass(frozen=True, slots=True)
class Shot:
    score: float
    results: Mapping[type, object]


class Shots:
    """The best `most` shots of one track, best first, and what they say together."""

    def __init__(self, most: int) -> None:
        self.results: dict[type, object] = {}
        self._most = most
        self._shots: list[Shot] = []
        self._taken_at = -math.inf

    @property
    def count(self) -> int:
        return len(self._shots)

    def wants(self, score: float, now: float) -> bool:
        """Whether a look that scores so is worth the work. `now` in seconds on any clock that goes on."""
        if not self._shots or score > CLEARLY * self._shots[0].score:
            return True
        is_spaced = now - self._taken_at >= SPACING
        if len(self._shots) < self._most:
            return is_spaced and score >= NEARLY * self._shots[0].score
        return is_spaced and score > CLEARLY * self._shots[-1].score

    def add(self, shot: Shot, now: float) -> bool:
        """Whether it is the best so far."""
        self._taken_at = now
        self._shots = sorted([*self._shots, shot], key=lambda other: -other.score)[: self._most]
        self.results = pooled([shot.results for shot in self._shots])
        return self._shots[0] is shot
