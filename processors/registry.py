"""The processors a chain can be made of, by name. A new one is a file, a line here and a manifest."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from models.store import ModelStore
from processors.chain import Chain
from processors.face_detector import FaceDetector
from processors.face_fitter import FaceFitter

PROCESSORS: dict[str, type[Any]] = {
    "face-detector": FaceDetector,
    "face-fitter": FaceFitter,
}
"""Each is made from its own Settings and the models: PROCESSORS[name](settings, models)."""


def build_chain(names: Sequence[str], settings: Mapping[str, BaseModel], models: ModelStore) -> Chain:
    """The processors of these names in order; those without settings get their defaults."""
    return Chain([PROCESSORS[name](settings.get(name) or PROCESSORS[name].Settings(), models) for name in names])
