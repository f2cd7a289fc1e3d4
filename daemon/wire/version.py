"""What a version of the wire format is, and the members that all have in common."""

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from daemon.errors import InvalidDocument, Problem
from daemon.wire.blob import Picture
from daemon.wire.codec import Members
from processors.types import Box, Confidence, Object, Sample


class Size(NamedTuple):
    """Of the picture, in pixels."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Received:
    """A document that came: the member with its image and its objects, both to be echoed, and the picture."""

    image: Members
    objects: list[Members]
    picture: Picture


@dataclass(frozen=True, slots=True)
class Version:
    name: str
    members: Mapping[type, Callable[[Object, Size], Members]]
    """Which result makes which members, in the order of the specification's examples."""
    read: Callable[[Members], Received]
    """Raises InvalidDocument."""
    image: Callable[[str], Members]
    """The member that holds this base64 of an encoded picture."""


class Document(BaseModel):
    """The members that each version reads; others are allowed and ignored."""

    model_config = ConfigDict(strict=True, frozen=True)

    objects: list[Members] | None = None


D = TypeVar("D", bound=Document)


def validated(model: type[D], document: Members) -> D:
    try:
        return model.model_validate(document)
    except ValidationError as err:
        errors = err.errors(include_url=False, include_context=False, include_input=False)
        raise InvalidDocument([Problem(error["loc"], error["msg"], error["type"]) for error in errors]) from None


def written(
    version: Version, sample: Sample, objects: Iterable[Object], emits: Set[type], first_id: int = 0
) -> list[Members]:
    """Objects of the sample with the members that the emitted results make, as far as an object has them."""
    size = Size(sample.frame.width, sample.frame.height)
    writers = [(kind, write) for kind, write in version.members.items() if kind in emits]
    documents = []
    for number, obj in enumerate(objects, first_id):
        members: Members = {"id": number, "class": obj.label}
        for kind, write in writers:
            if kind is Box or kind in obj:
                members |= write(obj, size)
        documents.append(members)
    return documents


def confidence(obj: Object, _: Size) -> Members:
    return {"confidence": obj[Confidence].value}


def bbox(obj: Object, size: Size) -> Members:
    """Relative to width and height, clipped to the picture."""
    return {"bbox": np.clip(obj.box_xyxy / (size + size), 0.0, 1.0).tolist()}
