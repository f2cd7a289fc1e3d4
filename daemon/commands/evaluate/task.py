"""What a task is: which processor it measures, on which faces, what it keeps of each picture, what it makes of that."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import numpy as np
from pydantic import BaseModel

from daemon.commands.evaluate.figures import Report
from daemon.commands.evaluate.labels import Picture
from models.store import ModelStore
from processors.registry import PROCESSORS
from processors.types import Box, Floats, Object, Processor, Sample

T = TypeVar("T")


class Context(NamedTuple):
    """What a report may need beside the observations: the settings of the measured processor, and the models."""

    settings: Any
    models: ModelStore


Faces = Literal["all", "found", "given"]


@dataclass(frozen=True, slots=True)
class Task(Generic[T]):
    """One thing to measure on the sets of a folder.

    `faces`: "all" that the processor itself finds; "found": the detector's face that lies on the labelled one, or its
    largest, and none where it finds none; "given": the labelled box, in its absence the detector's largest face, and
    where it finds none the whole picture, as with crops of faces.

    `observe` runs in several threads at once; `report` gets what it returned, in the order of the pictures.
    """

    name: str
    columns: frozenset[str]
    processor: str
    faces: Faces
    observe: Callable[[Picture, Sample], T]
    report: Callable[[Sequence[T], Context], Report]
    settings: dict[str, Any] = field(default_factory=dict)
    """What the processor's settings are changed to while it is measured, for the figures over all thresholds."""
    make: Callable[[BaseModel, ModelStore], Processor] | None = None
    """Of what runs in the place of the processor and those before it, where a part of it is measured alone."""


@dataclass(frozen=True, slots=True)
class ClipTask(Generic[T]):
    """One thing to measure on sets of video clips: whose paths name clips, and whose lines their frames.

    `looker` makes, of the settings of all processors, what looks at a whole clip; from several threads at once.
    """

    name: str
    columns: frozenset[str]
    processor: str
    looker: Callable[[Mapping[str, BaseModel], ModelStore], Callable[[Picture], T]]
    report: Callable[[Sequence[T], Context], Report]


def completed(name: str, given: frozenset[type]) -> tuple[str, ...]:
    """The processor after those that make what it needs and the objects do not bring."""
    chain: list[str] = []
    for kind in sorted(PROCESSORS[name].needs - given, key=lambda kind: kind.__name__):
        chain += [step for step in completed(_maker(kind), given) if step not in chain]
    return (*chain, name)


def _maker(kind: type) -> str:
    """A detector, which needs nothing, is none: it would put other objects in the place of those that are there."""
    return next(name for name, cls in PROCESSORS.items() if kind in cls.makes and cls.needs)


GIVEN = frozenset[type]({Box})


def whole_picture(sample: Sample) -> Object:
    return Object("face", np.array([0.0, 0.0, sample.frame.width, sample.frame.height]))


def largest(faces: Iterable[Object]) -> Object:
    return max(faces, key=lambda face: float(np.prod(face.box_xyxy[2:] - face.box_xyxy[:2])))


def stacked(boxes: Iterable[Floats]) -> Floats:
    """(n, 4), also of none."""
    return np.array(list(boxes), np.float64).reshape(-1, 4)
