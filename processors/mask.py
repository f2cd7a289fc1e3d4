"""Tells whether a mask covers mouth and nose: MobileNetV2's features of ImageNet with a head of our own."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field

from configs.section import Section
from models.manifest import ModelName
from models.store import ModelStore
from processors.arrays import rows
from processors.chips import about_box
from processors.estimator import CHIP_REACH, Estimator
from processors.quarter_turn import TURN_MODEL, QuarterTurns, TurnModel
from processors.types import Box, Object, Pyramid

CROP = 224
SCALE = 1.2


@dataclass(frozen=True, slots=True)
class Mask:
    """`probability`, 0..1, that a mask is worn; `worn`: whether it reaches the threshold."""

    probability: float
    worn: bool


class MaskEstimatorSettings(Section):
    model: ModelName = Field("mask_mobilenetv2_real", description="The model: a name that `visaged models` lists.")
    threshold: float = Field(0.5, ge=0, le=1, description="Probability, 0 to 1, from which a face counts as masked.")
    turn_model: TurnModel = TURN_MODEL


class MaskEstimator(Estimator):
    reach: ClassVar = CHIP_REACH
    needs: ClassVar[frozenset[type]] = frozenset({Box})
    makes: ClassVar[frozenset[type]] = frozenset({Mask})
    Settings: ClassVar = MaskEstimatorSettings

    def __init__(self, settings: MaskEstimatorSettings, models: ModelStore) -> None:
        self._session = models.session(settings.model)
        self._turns = QuarterTurns(settings.turn_model, models)
        self._threshold = settings.threshold

    def estimate(self, pyramid: Pyramid, obj: Object) -> Iterable[object]:
        chip = about_box(pyramid, obj.box_xyxy, SCALE, CROP, quarters=self._turns(pyramid, obj))
        outputs = self._session.run({"input": rows(chip, mean=127.5, scale=1 / 127.5)})
        probability = float(outputs["mask_prob"].item())
        return (Mask(probability, probability >= self._threshold),)
