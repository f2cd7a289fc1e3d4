"""The processors a chain can be made of, by name. A new one is a file, a line here and a manifest."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel

from models.errors import UnknownModel, WrongModel
from models.manifest import Manifest, ModelName, Tensor
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
    """The processors of these names in order; those without settings get their defaults. Raises ModelError."""
    processors: list[Processor] = []
    for name in names:
        own = settings.get(name) or PROCESSORS[name].Settings()
        _check_models(name, own, models)
        processors.append(PROCESSORS[name](own, models))
    return processors


def build_chain(names: Sequence[str], settings: Mapping[str, BaseModel], models: ModelStore) -> Chain:
    return Chain(build(names, settings, models))


def reach(name: str) -> float:
    """How much of the picture about an object a processor looks at (Estimator.reach)."""
    return float(getattr(PROCESSORS[name], "reach", math.inf))


def needed_before(name: str, before: Sequence[str] = ()) -> list[str]:
    """The processors that make what this one needs of its faces or bodies and none of `before` makes."""
    step = PROCESSORS[name]
    of_label = {other: cls for other, cls in PROCESSORS.items() if cls.applies_to == step.applies_to}
    made = frozenset[type]().union(*(of_label[other].makes for other in before if other in of_label))
    return [other for other, cls in of_label.items() if cls.makes & (step.needs - made)]


def key_of(name: str) -> str:
    """The key of a processor's settings in the configuration: its name in snake_case."""
    return name.replace("-", "_")


def model_keys(section: type[BaseModel]) -> list[str]:
    """The keys of a section whose type is ModelName or ModelName | None."""
    hints = get_type_hints(section, include_extras=True)
    return [key for key in section.model_fields if ModelName in (hints[key], *get_args(hints[key]))]


def _check_models(name: str, settings: BaseModel, models: ModelStore) -> None:
    """A processor works with its default models only, and with others of the same task, inputs and outputs."""
    for key in model_keys(type(settings)):
        chosen, default = getattr(settings, key), type(settings).model_fields[key].default
        if chosen in (None, default):
            continue
        own = ModelStore().manifest(default)
        try:
            manifest = models.manifest(chosen)
        except UnknownModel:
            why = "and none is called so"
        else:
            if _replaces(manifest, own):
                continue
            why = f"one for {manifest.task}" if manifest.task != own.task else "one with other inputs or outputs"
        known = [other.name for other in models.manifests() if _replaces(other, own)]
        raise WrongModel(f"{key_of(name)}.{key}", task=own.task, known=known, name=chosen, why=why)


def _replaces(manifest: Manifest, own: Manifest) -> bool:
    return manifest.task == own.task and _like(manifest.inputs, own.inputs) and _like(manifest.outputs, own.outputs)


def _like(tensors: Sequence[Tensor], wanted: Sequence[Tensor]) -> bool:
    """Whether names, types and sizes are the same. A size may be free; the batch is not compared."""
    of_name = {tensor.name: tensor for tensor in tensors}
    return of_name.keys() == {tensor.name for tensor in wanted} and all(
        of_name[own.name].dtype == own.dtype
        and len(of_name[own.name].shape) == len(own.shape)
        and all(
            isinstance(size, str) or size == own_size
            for size, own_size in zip(of_name[own.name].shape[1:], own.shape[1:], strict=True)
        )
        for own in wanted
    )
