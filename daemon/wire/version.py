"""What a version of the wire format is, and the members that all have in common."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, NotRequired, TypeVar, get_type_hints

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from daemon.errors import InvalidDocument, Problem
from daemon.wire.blob import Picture
from daemon.wire.codec import Members
from processors.types import Box, Object, Pose, Sample


class Size(NamedTuple):
    """The picture's, in pixels."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Received:
    """A document that came: the member with its image and its objects, both to be echoed, and the picture."""

    image: Members
    objects: list[Members]
    picture: Picture


class Part(BaseModel):
    """Members that a version reads; others are allowed and ignored."""

    model_config = ConfigDict(strict=True, frozen=True)


class Document(Part):
    objects: list[Members] | None = None


def _with_area(bbox: list[float]) -> list[float]:
    x1, y1, x2, y2 = (min(max(side, 0.0), 1.0) for side in bbox)
    if not (x1 < x2 and y1 < y2):
        raise PydanticCustomError("value_error", "Box should have an area within the picture")
    return bbox


Coordinate = Annotated[float, Field(ge=-1e6, le=1e6)]
"""Beyond any picture, and no arithmetic on it overflows."""


class SentAngles(Part):
    """Degrees."""

    yaw: Coordinate
    pitch: Coordinate
    roll: Coordinate

    @property
    def pose(self) -> Pose:
        return Pose(yaw=self.yaw, pitch=self.pitch, roll=self.roll)


class Face(Part, ABC):
    """A face that came. Its box may reach beyond the picture; what is computed takes what lies within."""

    bbox: Annotated[list[float], Field(min_length=4, max_length=4), AfterValidator(_with_area)]

    @abstractmethod
    def results(self, size: Size) -> Iterable[object]:
        """What the other members bring: Landmarks, Pose."""

    def to_object(self, size: Size) -> Object:
        face = Object("face", np.clip(self.bbox, 0.0, 1.0) * (size + size))
        for result in self.results(size):
            face.put(result)
        return face


Write = Callable[[Object, Size], Mapping[str, object]]
"""Makes members; what it returns is a TypedDict, of which the schemas are made."""


@dataclass(frozen=True, slots=True)
class Version:
    name: str
    members: Mapping[type, Write]
    """Which result makes which members, in the order of the specification's examples."""
    read: Callable[[Members], Received]
    image: Callable[[str], Members]
    """The member that holds this base64 of an encoded picture."""
    faces: Callable[[Mapping[int, Members]], Mapping[int, Face]]
    """Reads faces, by their places in `objects`."""
    templates: Callable[[Mapping[int, Members]], Sequence[str]]
    """The templates' base64, of objects by their places in `objects`. What reads raises InvalidDocument."""


P = TypeVar("P", bound=Part)


def validated(model: type[P], document: Members) -> P:
    try:
        return model.model_validate(document)
    except ValidationError as err:
        errors = err.errors(include_url=False, include_context=False, include_input=False)
        raise InvalidDocument([Problem(error["loc"], error["msg"], error["type"]) for error in errors]) from None


def size_of(sample: Sample) -> Size:
    return Size(sample.frame.width, sample.frame.height)


def results_of(version: Version, obj: Object, size: Size, emits: Set[type]) -> Members:
    """The members that the emitted results make, as far as the object has them."""
    members: Members = {}
    for kind, write in version.members.items():
        if kind in emits and (kind is Box or kind in obj):
            members.update(write(obj, size))
    return members


def members_of(writes: Iterable[Write], *, always: bool = False) -> dict[str, Any]:
    """The types of all members that these make, for a TypedDict: an object has some of them, or all `always`."""
    made = [get_type_hints(write)["return"] for write in writes]
    kinds = {name: kind for one in made for name, kind in get_type_hints(one, include_extras=True).items()}
    return kinds if always else {name: NotRequired[kind] for name, kind in kinds.items()}


def written(
    version: Version, sample: Sample, objects: Iterable[Object], emits: Set[type], first_id: int = 0
) -> list[Members]:
    """Objects of the sample, numbered."""
    size = size_of(sample)
    return [
        {"id": number, "class": obj.label} | results_of(version, obj, size, emits)
        for number, obj in enumerate(objects, first_id)
    ]
