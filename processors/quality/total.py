"""The total: how well the face would be recognised, after ISO/IEC 29794-5 UnifiedQualityScore."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from processors.quality.curves import ramp, rising
from processors.quality.detail import noise_score, sharpness_score
from processors.quality.light import Light, bright_score, overlap_score
from processors.types import Pose

LEAST_SHARE = 0.7


@dataclass(frozen=True, slots=True)
class Natives:
    """The measures that the total is made of, each in its own unit."""

    confidence: float
    """The detector's, 0..1."""
    presence: float
    """The mesh's, 0..1."""
    blur: float
    """Sigma in pixels."""
    noise: float
    """Grey levels."""
    light: Light
    eyes: float
    """Openness of the one that is less open, 0..1."""
    mouth: float
    """How much the mouth is closed, 0..1."""
    eyes_distance: float
    """Pixels."""
    pose: Pose


def parts(n: Natives) -> dict[str, float]:
    """Each 0..1, higher is better; by the names of the fitted weights."""
    return {
        "sharp": sharpness_score(n.blur),
        "sharp2": ramp(-math.log2(n.blur), -2.5, 0),
        "noise": noise_score(n.noise),
        "over": bright_score(n.light.bright),
        "light": n.light.mean_score,
        "dark": ramp(-n.light.dark, -0.9, -0.1),
        "entropy": ramp(n.light.entropy, 4, 7.5),
        "illum": overlap_score(n.light.overlap),
        "yaw": _frontal(n.pose.yaw),
        "pitch": _frontal(n.pose.pitch),
        "roll": _frontal(n.pose.roll),
        "size": ramp(math.log2(max(n.eyes_distance, 1)), 4, 6.5),
        "det": ramp(n.confidence, 0.6, 0.93),
        "flag": n.presence,
        "hot": ramp(-n.light.hot_spots, -0.05, 0),
        "veil": ramp(-n.light.veil, -0.3, 0),
        "eyes": n.eyes,
        "mouth": n.mouth,
    }


def worst_defect(n: Natives) -> float:
    """The worst of what people see at once, though a matcher may bear it, 0..1."""
    angle = max(abs(n.pose.yaw), abs(n.pose.pitch), abs(n.pose.roll))
    return min(
        sharpness_score(n.blur),
        noise_score(n.noise),
        ramp(n.light.dynamic_range, 20, 100),
        ramp(-n.light.bright, -0.35, -0.02),
        ramp(-n.light.dark, -0.99, -0.7),
        max(0.0, math.cos(math.radians(angle))) ** 2,
    )


def _frontal(degrees: float) -> float:
    """cos^2 as in ISO/IEC 29794-5 HeadPose, of an angle half as large again: 0 from 60 degrees on."""
    return math.cos(math.radians(min(90.0, abs(degrees) * 1.5))) ** 2


class Total:
    """Weights fitted on how alike pairs of photos of one person are to a recogniser; none is below 0."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as fitted:
            self._weights = dict(zip(fitted["names"].tolist(), fitted["weights"].tolist(), strict=True))
            self._bias, self._middle, self._width = (float(fitted[name]) for name in ("bias", "x0", "w"))

    def __call__(self, natives: Natives) -> float:
        """0..1, and no more than the presence: nothing is a better face than it is likely to be one.

        It falls only where a part or the worst defect's score does.
        """
        by_name = parts(natives)
        sum_of_parts = self._bias + sum(weight * by_name[name] for name, weight in self._weights.items())
        utility = rising(sum_of_parts, self._middle, self._width)
        return min(utility * (LEAST_SHARE + (1 - LEAST_SHARE) * worst_defect(natives)), natives.presence)
