"""Which way up a face lies: where that is in doubt, further looks at it, each of them turned."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

import numpy as np
from pydantic import Field

from models.manifest import ModelName
from models.session import Session
from models.store import ModelStore
from processors.arrays import angle_of, crop_matrix, cropped
from processors.boxes import square
from processors.face_detector import candidates
from processors.types import FIVE_LANDMARKS, Confidence, FivePoints, Floats, Landmarks, Object, Pyramid

SURE = 0.92
"""Confidence that 1 in 100 faces upside down reaches; of those upright all portraits, and 3 in 4 of FairFace."""
LEAST_SCORE, LEAST_GAIN = 0.7, 0.02
"""What a further look must have to be believed: so much, and so much more than the best before it."""
LOWEST = 24
"""Height in pixels of a face's box; what is lower shows too little for one way to look better than another."""
CROP = 96
SCALE = 1.5
NEAR = 0.2
"""How far a face may be from the middle of a crop, in sides of it."""

QUARTERS, BETWEEN = (90, 180, 270), (45, 135, 225, 315)

TurnModel = ModelName | None
TURN_MODEL: TurnModel = Field(
    "yunet_2023mar_dyn",
    description="The detection model that finds out which way up a face lies, where the face detector is not sure and "
    "the request brings no keypoints: by one to eight looks at a small crop. null: all faces are taken to be upright; "
    "for one that lies on its side or upside down the results are then wrong.",
)


@dataclass(frozen=True, slots=True)
class QuarterTurn:
    """By how many quarters, 0..3, a face is turned clockwise as seen: the number that comes nearest."""

    quarters: int


class Look(NamedTuple):
    """What was found of a face in a crop that was turned by `degrees`, as a face that is upright in it lies.

    `points_xy` as FivePoints, in pixels of the picture; None: nothing was found.
    """

    degrees: int
    score: float
    points_xy: Floats | None


class QuarterTurns:
    """Tells the quarter turn of a face, and leaves it on the object for who asks next.

    YuNet also finds faces that lie upside down or on their side, but is less sure of them, and puts the eyes where the
    mouth is. Of the same face it is surest when it sees it upright, in 96 of 100. The five points of that look replace
    the detector's; they are also laid on a face without any, if it is in doubt.
    """

    def __init__(self, model: str | None, models: ModelStore) -> None:
        self._session = None if model is None else models.session(model)

    def __call__(self, pyramid: Pyramid, obj: Object) -> int:
        found = self.find(pyramid, obj)
        found.lay_on(obj)
        return found.quarters

    def find(self, pyramid: Pyramid, obj: Object) -> "Turn":
        """Leaves the object as it is, for who can tell better whether to believe it."""
        if (quarters := known(obj)) is not None:
            return Turn(quarters)
        return UPRIGHT if self._session is None or _is_clear(obj) else _found(self._session, pyramid, obj)


class Turn(NamedTuple):
    """What was found out. `points_xy`: where the five points are, if that is elsewhere than the object says."""

    quarters: int
    points_xy: Floats | None = None

    def lay_on(self, obj: Object) -> None:
        obj.put(QuarterTurn(self.quarters))
        if self.points_xy is not None:
            obj.put(FivePoints(self.points_xy))


UPRIGHT = Turn(0)


def known(obj: Object) -> int | None:
    """What has been found out, or what the landmarks say; None: neither is there."""
    if QuarterTurn in obj:
        return obj[QuarterTurn].quarters
    return nearest(obj[Landmarks].points_xy[FIVE_LANDMARKS]) if Landmarks in obj else None


def nearest(points_xy: Floats) -> int:
    """The quarter turn of a face with these points, (5, 2) as FivePoints; 0 where they are all at one place."""
    eyes, mouth = points_xy[:2].mean(axis=0), points_xy[3:].mean(axis=0)
    return round(angle_of(eyes, mouth) / (math.pi / 2) - 1) % 4 if np.abs(mouth - eyes).max() >= 1 else 0


def _is_clear(obj: Object) -> bool:
    """Whether the detector is sure of it, or no look could tell."""
    _, top, _, bottom = obj.box_xyxy
    return bottom - top < LOWEST or (Confidence in obj and obj[Confidence].value >= SURE)


def _found(session: Session, pyramid: Pyramid, obj: Object) -> Turn:
    best = _look(session, pyramid, obj.box_xyxy, 0)
    if best.score >= SURE:
        return UPRIGHT
    for turns in (QUARTERS, BETWEEN):
        if best.score < SURE:
            best = _better(best, (_look(session, pyramid, obj.box_xyxy, degrees) for degrees in turns))
    if best.points_xy is None or (best.degrees == 0 and FivePoints in obj):
        return UPRIGHT
    return Turn(nearest(best.points_xy), best.points_xy)


def _better(look: Look, others: Iterable[Look]) -> Look:
    other = max(others, key=attrgetter("score"))
    return other if other.score >= max(LEAST_SCORE, look.score + LEAST_GAIN) else look


def _look(session: Session, pyramid: Pyramid, box_xyxy: Floats, degrees: int) -> Look:
    matrix = crop_matrix(*square(box_xyxy, SCALE), math.radians(degrees), CROP)
    boxes, scores, points = candidates(session, cropped(pyramid, matrix, CROP), LEAST_SCORE - LEAST_GAIN)
    off = np.abs((boxes[:, :2] + boxes[:, 2:]) / 2 - CROP / 2).max(axis=1)
    scores = np.where(off < NEAR * CROP, scores, 0.0)
    if not scores.any():
        return Look(degrees, 0.0, None)
    best = int(scores.argmax())
    return Look(degrees, float(scores[best]), points[best] @ matrix[:, :2].T + matrix[:, 2])
