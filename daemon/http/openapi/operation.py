"""What a route takes and answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from typing_extensions import TypedDict

JSON = "application/json"


class Refused(TypedDict):
    detail: str


class Mistake(TypedDict):
    """Something that is missing or wrong."""

    loc: list[str | int]
    msg: str
    type: str


class Invalid(TypedDict):
    detail: list[Mistake]


REFUSALS: Mapping[int, str] = {
    400: "The picture, a template or the body can't be used",
    401: "No key came that counts",
    403: "Who asks may not, or not from there",
    404: "There is no such thing",
    409: "It is in contradiction to what there is",
    410: "The link has expired",
    412: "It has been changed meanwhile, or is there already",
    413: "The body or the picture has too many bytes",
    415: "The body has another type or encoding than is taken",
    422: "Something is missing or wrong",
    429: "Too often, or too much at once: after Retry-After seconds again",
    503: "No capacity, or not ready yet: after Retry-After seconds again",
    504: "Not done in time",
    507: "It can't be kept",
}
"""Statuses of `{"detail": ...}`; that of 422 is a list."""


@dataclass(frozen=True, slots=True)
class Content:
    """A body; `kind` is the type of its JSON, None: it is none."""

    kind: Any = None
    media_types: Sequence[str] = (JSON,)
    examples: Mapping[str, object] = field(default_factory=dict)
    """By names that no other example has."""
    description: str = ""
    refused: Mapping[int, Mapping[str, object]] = field(default_factory=dict)
    """Examples of how it may be refused, by status."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """Text is checked against `kind` as it is in JSON; a list is with commas, or, `repeated`, each by itself."""

    name: str
    kind: Any
    description: str
    place: Literal["query", "header"] = "query"
    repeated: bool = False
    required: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    summary: str
    answers: Mapping[int, Content | None] = field(default_factory=dict)
    """By status; None: without a body."""
    refusals: frozenset[int] = frozenset()
    """Those that the handler adds to those of every route."""
    parameters: Sequence[Parameter] = ()
    takes: Sequence[Content] = ()
    """Media types of the body; none: no body is read."""
