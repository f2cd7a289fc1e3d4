"""Puts pydantic's errors into the words of YAML, with the key at which they are."""

from collections.abc import Collection, Iterator, Sequence
from types import NoneType
from typing import Annotated, Any, NamedTuple, get_args, get_origin

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from daemon.config.model import Config
from daemon.errors import Problem, nearest
from daemon.sources.url import is_secret_key, redacted

Key = tuple[str, ...]
Mistake = tuple[Key, str]
"""The key, and what is wrong with its value."""

EXPECTED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "float_parsing": "a number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "model_attributes_type": "a mapping",
    "model_type": "a mapping",
    "path_type": "a path",
    "string_type": "text (a number in quotes)",
    "tuple_type": "a list",
}
"""By pydantic's error type. Its own messages use Python's words: dictionary, tuple."""

MOST_SHOWN = 100  # characters

PUT_IN = "expected another value than the one that was put in here, which is not shown"


def is_put_in(key: Key, filled: Collection[Key]) -> bool:
    """Whether a value at this key, or about it, came from outside the file."""
    return any(key[: len(other)] == other or other[: len(key)] == key for other in filled)


def explain(error: ErrorDetails, filled: Collection[Key] = ()) -> Iterator[Mistake]:
    """The mistakes in one of pydantic's errors; none if it only follows from another error.

    `filled`: keys whose values are not to be shown.
    """
    key, place = walk(error["loc"])
    value = error["input"]
    place = place._replace(is_put_in=is_put_in(key, filled), has_secret_name=bool(key) and is_secret_key(key[-1]))
    match error["type"]:
        case "extra_forbidden":
            yield key, "unknown key" + nearest(key[-1], place.siblings)
        case "missing":
            yield key, "expected a value, got nothing"
        case "union_tag_not_found":
            yield (*key, "type"), f"expected one of {', '.join(place.types)}, got nothing"
        case "union_tag_invalid" | "value_error" if place.is_put_in:
            yield key, PUT_IN
        case "union_tag_invalid":
            yield (*key, "type"), f"unknown type {value['type']}" + nearest(str(value["type"]), place.types)
        case "too_short" if len(value) >= error["ctx"]["min_length"]:
            pass  # pydantic counts only the items that are right; the wrong ones have errors of their own
        case "too_short":
            yield key, f"expected {error['ctx']['min_length']} or more, got {len(value)}"
        case "too_long":
            yield key, f"expected {error['ctx']['max_length']} at most, got {len(value)}"
        case "value_error":
            for message in str(error["ctx"]["error"]).splitlines():
                yield key, message if ", got " in message else message + _got(value, place)
        case kind if kind in EXPECTED:
            shown = _got(value, place) or f", got {kind_of(value)}"
            yield key, f"expected {EXPECTED[kind]}{shown}"
        case _:
            yield key, error["msg"][0].lower() + error["msg"][1:] + _got(value, place)


def explained(err: ValidationError) -> Iterator[Problem]:
    """The mistakes in the settings of a stream that does not come from the file."""
    for error in err.errors():
        parts = {str(part): part for part in error["loc"]}  # an index is a number there, and text in a key
        for key, message in explain({**error, "loc": ("streams", "", *error["loc"])}):
            loc = tuple(parts.get(part, part) for part in key[2:])
            yield Problem(loc, message[0].upper() + message[1:], error["type"])


def _got(value: Any, place: "Place") -> str:
    """The end of a message that shows the value; empty if it has values below it or may be a secret."""
    if place.is_secret or isinstance(value, dict | list | tuple):
        return ""
    if value is None or isinstance(value, bool):
        return f", got {kind_of(value)}"
    return f", got {redacted(value)[:MOST_SHOWN]!r}" if isinstance(value, str) else f", got {value}"


def kind_of(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list() | tuple():
            return "a list"
        case dict():
            return "a mapping"
        case _:
            return f"a {type(value).__name__}"  # YAML's date, datetime, set


class Place(NamedTuple):
    """What the settings classes say about a key."""

    kind: Any
    """The annotation of its value; None if there is no such key."""
    siblings: tuple[str, ...]
    """The keys that are known at this place."""
    is_put_in: bool = False
    """Whether its value came from outside the file."""
    has_secret_name: bool = False

    @property
    def types(self) -> list[str]:
        return [tag for section in sections(self.kind) if (tag := tag_of(section))]

    @property
    def is_secret(self) -> bool:
        """Also true for text in the place of a section: it may be a password on the wrong line."""
        if self.is_put_in or self.has_secret_name or self.kind is None:
            return True
        is_above_sections = bool(sections(self.kind)) or get_origin(self.kind) is dict
        return is_above_sections or SecretStr in (self.kind, *get_args(self.kind))


def walk(loc: Sequence[str | int]) -> tuple[tuple[str, ...], Place]:
    """The keys that lead to an error's location, up to the first unknown key, and what is known about the last.

    Pydantic's locations also contain the type of a sink, which is not a key.
    """
    key: list[str] = []
    place = Place(Config, ())
    for part in loc:
        if place.kind is None:
            break
        if part in place.types:
            place = Place(next(s for s in sections(place.kind) if tag_of(s) == part), ())
            continue
        key.append(str(part))
        if get_origin(place.kind) in (dict, tuple):
            arguments = get_args(place.kind)
            place = Place(bare(arguments[1] if get_origin(place.kind) is dict else arguments[0]), ())
            continue
        fields = {name: field for section in sections(place.kind) for name, field in section.model_fields.items()}
        place = Place(bare(fields[key[-1]].annotation) if key[-1] in fields else None, tuple(fields))
    return tuple(key), place


def bare(kind: Any) -> Any:
    """An annotation without its metadata and without `| None`."""
    if get_origin(kind) is Annotated:
        return bare(get_args(kind)[0])
    members = [member for member in get_args(kind) if member is not NoneType]
    return bare(members[0]) if len(members) == 1 and NoneType in get_args(kind) else kind


def sections(kind: Any) -> list[type[BaseModel]]:
    """The sections that an annotation allows, also inside a union."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [kind]
    if get_origin(kind) in (dict, tuple):
        return []
    return [section for argument in get_args(kind) for section in sections(argument)]


def tag_of(section: type[BaseModel]) -> str | None:
    """The `type` by which a section of a union is chosen; None for others."""
    field = section.model_fields.get("type")
    return get_args(field.annotation)[0] if field else None
