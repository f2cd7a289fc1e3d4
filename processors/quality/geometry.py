"""What the points of a face say by themselves: distances, openings, angles, margins."""

from dataclasses import dataclass

import numpy as np

from processors.chips import LEFT_EYE, RIGHT_EYE
from processors.quality.curves import falling
from processors.types import Floats, Pose

NOSE, MOUTH_LEFT, MOUTH_RIGHT, CHIN, BETWEEN_BROWS = 1, 61, 291, 152, 168
LEFT_LIDS = ((160, 144), (159, 145), (158, 153))
RIGHT_LIDS = ((385, 380), (386, 374), (387, 373))
INNER_LIPS = ((82, 87), (13, 14), (312, 317))
MOUTH = (13, 14)

SMALLEST = 1e-6
"""Stands for distances of nothing, by which others are divided."""


@dataclass(frozen=True, slots=True)
class Openings:
    """Distances of lids and inner lips, each the widest of three, over that of the eyes' middle from the chin."""

    left_eye: float
    right_eye: float
    mouth: float


def eye_centres(points_xy: Floats) -> Floats:
    """(2, 2): the image's left and right eye, each the middle of its corners."""
    first, second = zip(LEFT_EYE, RIGHT_EYE, strict=True)
    return (points_xy[list(first)] + points_xy[list(second)]) / 2


def eyes_distance(points_xy: Floats) -> float:
    """Between the eyes' centres in pixels, not corrected for yaw (ISO/IEC 29794-5 InterEyeDistance, which is)."""
    left, right = eye_centres(points_xy)
    return float(np.linalg.norm(right - left))


def openings(points_xy: Floats) -> Openings:
    """ISO/IEC 29794-5 EyesOpen and MouthClosed, over its t metric; `points_xy` are of the refined mesh."""
    eyes_to_chin = np.linalg.norm(points_xy[CHIN] - eye_centres(points_xy).mean(axis=0))

    def widest(pairs: tuple[tuple[int, int], ...]) -> float:
        upper, lower = points_xy[np.array(pairs).T]
        return float(np.linalg.norm(upper - lower, axis=1).max() / max(eyes_to_chin, SMALLEST))

    return Openings(widest(LEFT_LIDS), widest(RIGHT_LIDS), widest(INNER_LIPS))


def mouth_closed(opening: float) -> float:
    """The score of ISO/IEC 29794-5 MouthClosed."""
    return falling(opening, 0.2, 0.06)


def worst_angle(pose: Pose) -> int:
    """The angle largest in magnitude (ISO/IEC 29794-5 HeadPoseYaw, Pitch, Roll), signed, in whole degrees."""
    angles = (pose.yaw, pose.pitch, pose.roll)
    worst: float = max(angles, key=abs)
    return round(worst)


def inner_margin(box_xyxy: Floats, height: int, share: float) -> float:
    """By how many pixels a side the box is lower than `share` of the picture (ISO/IEC 19794-5, length of the head)."""
    return max(0.0, float(share * height - (box_xyxy[3] - box_xyxy[1])) / 2)


def outer_margin(box_xyxy: Floats, width: int, height: int, share: float) -> float:
    """By how many pixels a side the box is larger than `share` of the picture, or how far it is cut off by its border.

    After ISO/IEC 29794-5's crops and margins (LeftwardCrop, RightwardCrop, MarginAbove, MarginBelow).
    """
    x1, y1, x2, y2 = box_xyxy.tolist()
    too_large: float = max(x2 - x1 - share * width, y2 - y1 - share * height) / 2
    cut_off: float = max(-x1, -y1, x2 - width, y2 - height)
    return max(0.0, too_large, cut_off)
