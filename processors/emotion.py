"""Estimates the emotion: three small networks trained on FER2013, calibrated together."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from configs.section import Section
from models.manifest import ModelName
from models.store import ModelStore
from processors.arrays import blob
from processors.chips import DLIB_MEAN_RGB, upright
from processors.estimator import CHIP_REACH, Estimator
from processors.types import Box, FaceMesh, Floats, Object, Pyramid

EMOTIONS = ("angry", "disgusted", "scared", "happy", "neutral", "sad", "surprised")

GREY_CROP, GREY_SCALE = 64, 1.1
COLOUR_CROP, COLOUR_SCALE = 112, 1.2
# Where each of EMOTIONS is in the networks' own orders.
FER_ORDER = [0, 1, 2, 3, 6, 4, 5]  # angry, disgusted, scared, happy, sad, surprised, neutral
FACE_API_ORDER = [3, 5, 4, 1, 0, 2, 6]  # neutral, happy, sad, angry, scared, disgusted, surprised


@dataclass(frozen=True, slots=True)
class Emotions:
    """Probabilities in the order of EMOTIONS; their sum is 1.

    Heads that are turned by more than 30 degrees are called angry or disgusted far too often: 28 % of men, in front 10.
    """

    probabilities: tuple[float, ...]


class EmotionEstimatorSettings(Section):
    fusion_model: ModelName = Field(
        "emotion_fusion_small",
        description="The model that combines the results of the models oarriaga, fer and face-api: a name that "
        "`visaged models` lists.",
    )


class EmotionEstimator(Estimator):
    reach: ClassVar = CHIP_REACH
    needs: ClassVar[frozenset[type]] = frozenset({Box, FaceMesh})
    makes: ClassVar[frozenset[type]] = frozenset({Emotions})
    Settings: ClassVar = EmotionEstimatorSettings

    def __init__(self, settings: EmotionEstimatorSettings, models: ModelStore) -> None:
        self._oarriaga = models.session("emotion_oarriaga_64")
        self._fer = models.session("emotion_fer_64")
        self._face_api = models.session("emotion_faceapi_112")
        self._fusion = models.session(settings.fusion_model)

    def estimate(self, pyramid: Pyramid, obj: Object) -> Iterable[object]:
        small = self.answers(pyramid, obj[FaceMesh].points_xyz)[None]
        fused = self._fusion.run({"small": small})["probabilities"][0].astype(np.float64)
        return (Emotions(tuple((fused / fused.sum()).tolist())),)

    def answers(self, pyramid: Pyramid, mesh_xyz: Floats) -> npt.NDArray[np.float32]:
        """(21,): the probabilities of oarriaga, fer and face-api, each in the order of EMOTIONS."""
        grey = cv2.cvtColor(upright(pyramid, mesh_xyz, GREY_SCALE, GREY_CROP), cv2.COLOR_BGR2GRAY)
        grey_input = grey.astype(np.float32)[None, :, :, None] / 127.5 - 1
        colour = upright(pyramid, mesh_xyz, COLOUR_SCALE, COLOUR_CROP)
        colour_input = blob(colour, mean=DLIB_MEAN_RGB, scale=1 / 255, rgb=True)
        oarriaga = self._oarriaga.run({"input_1:0": grey_input})["Identity:0"][0]
        fer = self._fer.run({"input": grey_input})["predictions"][0]
        face_api = self._face_api.run({"input": colour_input})["probs"][0]
        return np.concatenate([oarriaga[FER_ORDER], fer[FER_ORDER], face_api[FACE_API_ORDER]])
