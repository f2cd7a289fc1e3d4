"""The processors a chain can be made of, by name. A new one is a file, a line here and a manifest."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from models.store import ModelStore
from processors.age import AgeEstimator
from processors.body_detector import BodyDetector
from processors.chain import Chain
from processors.emotion import EmotionEstimator
from processors.face_detector import FaceDetector
from processors.face_fitter import FaceFitter
from processors.gender import GenderEstimator
from processors.liveness import LivenessEstimator
from processors.mask import MaskEstimator
from processors.quality import QualityEstimator
from processors.template_extractor import TemplateExtractor
from processors.types import Processor

PROCESSORS: dict[str, type[Any]] = {
    "face-detector": FaceDetector,
    "face-fitter": FaceFitter,
    "body-detector": BodyDetector,
    "gender-estimator": GenderEstimator,
    "age-estimator": AgeEstimator,
    "emotion-estimator": EmotionEstimator,
    "mask-estimator": MaskEstimator,
    "liveness-estimator": LivenessEstimator,
    "quality-assessment-estimator": QualityEstimator,
    "template-extractor": TemplateExtractor,
}
"""Each is made from its own Settings and the models: PROCESSORS[name](settings, models)."""


def build(names: Sequence[str], settings: Mapping[str, BaseModel], models: ModelStore) -> list[Processor]:
    """The processors of these names in order; those without settings get their defaults."""
    return [PROCESSORS[name](settings.get(name) or PROCESSORS[name].Settings(), models) for name in names]


def build_chain(names: Sequence[str], settings: Mapping[str, BaseModel], models: ModelStore) -> Chain:
    return Chain(build(names, settings, models))
