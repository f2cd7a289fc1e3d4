"""The client's types against the schemas of what is written: each has what the other has."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any, get_type_hints

import pytest

import processors.quality
from daemon.client import Check, Frame, Gap, Kept, Object, PlaceEvent, Sample, Stream, TrackEvent, Verification
from daemon.client.documents import EVENTS, KEYPOINTS, TEMPLATE, ObjectV1, Quality, SampleV1, View, member
from daemon.errors import UnexpectedAnswer
from daemon.http.streams.events import TYPES
from daemon.wire import v2
from daemon.wire.schemas.documents import schema_of
from processors.types import LANDMARK_NAMES
from tests.http.described import api
from tests.test_imports import HEAVY, loaded_by


class Noted(dict[str, Any]):
    """A JSON object that notes which of its members are read."""

    def __init__(self, members: dict[str, Any]) -> None:
        super().__init__(members)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.read.add(name)
        return super().get(name, default)

    def items(self) -> Any:
        self.read.update(self)
        return super().items()


class Made:
    """A value of a schema that has every member, and of alternatives the first that is something."""

    def __init__(self, root: Any, schema: Any) -> None:
        self.objects: list[Noted] = []
        self._root = root
        self.value = self._of(schema)

    @property
    def unread(self) -> set[str]:
        return {name for one in self.objects for name in one if name not in one.read}

    def _of(self, schema: Any) -> Any:
        match schema:
            case {"$ref": place}:
                return self._of(at(self._root, place))
            case {"const": value} | {"enum": [value, *_]}:
                return value
            case {"anyOf": [{"type": "null"}, kind]} | {"anyOf": [kind, *_]}:
                return self._of(kind)
            case {"properties": members}:
                return self._noted({name: self._of(kind) for name, kind in members.items()})
            case {"type": "object", "additionalProperties": {} as kind}:
                return self._noted({"name": self._of(kind)})
            case {"type": "object"}:
                return {}
            case {"type": "array", "items": kind}:
                return [self._of(kind) for _ in range(schema.get("minItems", 1))]
            case {"format": "date-time"}:
                return "2026-11-29T20:00:00.000000Z"
            case {"pattern": "^[0-9]+$"}:
                return "31"
            case {"contentEncoding": "base64"}:
                return "AAAA"
            case {"type": kind}:
                return {"string": "AAAA", "integer": 1, "number": 0.5, "boolean": True}[kind]
        raise AssertionError(schema)

    def _noted(self, members: dict[str, Any]) -> Noted:
        self.objects.append(Noted(members))
        return self.objects[-1]


def at(root: Any, place: str) -> Any:
    for name in place.removeprefix("#/").split("/"):
        root = root[name]
    return root


def members_of(kind: type[View]) -> dict[str, member[Any]]:
    found = {name: one for base in reversed(kind.__mro__) for name, one in vars(base).items()}
    return {name: one for name, one in found.items() if isinstance(one, member)}


def touched(value: Any) -> Iterator[tuple[type, str]]:
    """Reads all there is, and gives the attributes that are something."""
    match value:
        case View():
            for name in members_of(type(value)):
                if (found := getattr(value, name)) is not None:
                    yield type(value), name
                    yield from touched(found)
            if isinstance(value, Kept):
                yield from touched(value.data)
        case tuple():
            for one in value:
                yield from touched(one)
        case dict():
            for one in value.values():
                yield from touched(one)


API = api().document
DOCUMENTS = [
    (Frame, schema_of(v2.FRAME_SCHEMA)),
    (TrackEvent, schema_of(v2.TRACK_SCHEMA)),
    (PlaceEvent, schema_of(v2.PLACE_SCHEMA)),
]
OF_HTTP = [
    (Stream, "StreamOfRest"),
    (Check, "Check"),
    (Check, "CheckInVain"),
    (Kept, "Kept"),
    (Verification, "Comparison"),
]
SAMPLES = {"v1": SampleV1, "v2": Sample}
SERVICES = [
    (kind, path)
    for path in API["paths"]
    for version, kind in SAMPLES.items()
    if path.endswith(f"/{version}/process/sample") and "verify-matcher" not in path
]
OF_STREAMS_ALONE = {"track_id", "body_id", "zones", "predicted", "image", "image_url"}
"""Which no service writes."""
WITHOUT_MEANING = {"format", "dtype", "shape", "fitter_type", "left_eye", "right_eye", "template_size", "$image"}
"""What says the same in other words: the two eyes of version 1 are among its keypoints."""


def cases() -> Iterator[tuple[type[View], Any, Any]]:
    """Types, each with a schema and what that refers to."""
    yield from ((kind, schema, schema) for kind, schema in DOCUMENTS)
    yield from ((kind, API, API["components"]["schemas"][name]) for kind, name in OF_HTTP)
    for kind, path in SERVICES:
        answer = API["paths"][path]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
        yield kind, API, answer


def test_every_member_of_every_schema_has_an_attribute_and_every_attribute_a_member() -> None:
    seen: set[tuple[type, str]] = set()
    for kind, root, schema in cases():
        made = Made(root, schema)
        if kind is Kept:
            made.value["type"] = "track"  # the schema has any text there
        seen |= set(touched(kind(made.value)))
        assert made.unread - WITHOUT_MEANING == set(), (kind, schema)
    kinds = {kind for kind, _ in seen}
    missing = {(kind, name) for kind in kinds for name in members_of(kind)} - seen
    assert missing == {(ObjectV1, name) for name in OF_STREAMS_ALONE}


def test_names_that_both_sides_know_are_the_same() -> None:
    assert KEYPOINTS == LANDMARK_NAMES
    assert TEMPLATE == v2.TEMPLATE
    assert EVENTS.keys() - {"gap"} == set(TYPES.values())
    assert [(field.name, field.type) for field in fields(Quality) if field.name != "dynamic_range_score"] == [
        one for one in get_type_hints(processors.quality.Quality).items() if one[0] != "dynamic_range_score"
    ]


def test_a_member_that_is_not_as_the_schema_says_is_told_by_its_name_alone() -> None:
    """A face's data is not for an error's words."""
    face = Object({"class": "face", "age": "secret", "bbox": [1]})
    for name in ("age", "bbox"):
        with pytest.raises(UnexpectedAnswer, match=rf"^{name} of Object\(class, age, bbox\) is not as the schema says"):
            getattr(face, name)
    with pytest.raises(UnexpectedAnswer, match="Gap\\(lost\\) has no reason"):
        _ = Gap({"lost": 1}).reason
    assert face.pose is None


LIGHT = "import daemon.client, daemon.commands.history, daemon.commands.streams"


def test_it_imports_none_of_what_the_daemon_works_with() -> None:
    assert loaded_by(LIGHT) & HEAVY == set()
