"""What a sink takes, by the settings that every sink has."""

from typing import Any

import pytest
from pydantic import ValidationError

from daemon.wire.attributes import ATTRIBUTES
from sinks.base import About, Attribute, Record, Subject
from sinks.selection import Attributes, Selection

KNOWN: dict[str, Attribute] = {
    "age": 31,
    "gender": "female",
    "emotion": "happy",
    "has_medical_mask": False,
    "liveness": "real",
}
FACE = Subject("face", 0.9, frozenset({"door"}), KNOWN)
BODY = Subject("body", None, frozenset({"hall", "stairs"}))


def record(schema: str = "visaged.frame", event: str = "", *objects: Subject) -> Record:
    return Record("entrance", b"{}", about=About(schema, event, objects))


@pytest.mark.parametrize(
    ("settings", "taken"),
    [
        ({}, ["frame", "appeared", "left", "crossed", "other"]),
        ({"types": []}, []),
        ({"types": ["frame"]}, ["frame"]),
        ({"types": ["track"]}, ["appeared", "left"]),
        ({"types": ["track.left", "place"]}, ["left", "crossed"]),
        ({"types": ["place.entered"]}, []),
    ],
)
def test_types(settings: dict[str, Any], taken: list[str]) -> None:
    records = {
        "frame": record(),
        "appeared": record("visaged.track", "appeared"),
        "left": record("visaged.track", "left"),
        "crossed": record("visaged.place", "crossed"),
        "other": Record("entrance", b"says nothing of itself"),
    }
    assert [name for name, one in records.items() if Selection(**settings).takes(one)] == taken


@pytest.mark.parametrize(("streams", "taken"), [(None, True), (["hall", "entrance"], True), (["hall"], False)])
def test_streams(streams: list[str] | None, taken: bool) -> None:
    assert Selection.model_validate({"streams": streams}).takes(record()) == taken


@pytest.mark.parametrize(
    ("when", "taken"),
    [
        ({}, ["face", "body", "both"]),
        ({"classes": ["face"]}, ["face", "both"]),
        ({"classes": []}, []),
        ({"zones": ["door", "stairs"]}, ["face", "body", "both"]),
        ({"zones": ["hall"]}, ["body", "both"]),
        ({"zones": ["hall"], "classes": ["face"]}, []),  # of one object, not of two
        ({"confidence": 0.9}, ["face", "both"]),
        ({"confidence": 0.91}, []),
        ({"confidence": 0}, ["face", "both"]),  # a predicted one has none
        ({"attributes": {}}, ["face", "body", "both"]),
        ({"attributes": {"age": {}}}, ["face", "both"]),
        ({"attributes": {"age": {"at_least": 31, "below": 32}}}, ["face", "both"]),
        ({"attributes": {"age": {"at_least": 32}}}, []),
        ({"attributes": {"age": {"below": 31}}}, []),
        ({"attributes": {"gender": "female", "liveness": "real", "has_medical_mask": False}}, ["face", "both"]),
        ({"attributes": {"gender": "female", "liveness": "fake"}}, []),
        ({"attributes": {"has_medical_mask": True}}, []),
        ({"attributes": {"emotion": ["sad", "happy"]}}, ["face", "both"]),
        ({"attributes": {"emotion": ["sad"]}}, []),
    ],
)
def test_when_one_object_is_as_it_says(when: dict[str, Any], taken: list[str]) -> None:
    objects = {"none": [], "face": [FACE], "body": [BODY], "both": [FACE, BODY]}
    selection = Selection.model_validate({"when": when})
    assert [name for name, some in objects.items() if selection.takes(record("visaged.frame", "", *some))] == taken


@pytest.mark.parametrize(
    "settings",
    [
        {"types": ["visaged.frame"]},
        {"types": ["track.crossed"]},
        {"include": ["image"]},
        {"when": {"class": ["face"]}},
        {"when": {"confidence": 1.1}},
        {"when": {"attributes": {"age": 30}}},
        {"when": {"attributes": {"gender": "man"}}},
    ],
)
def test_what_is_not_known_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Selection.model_validate(settings)


def test_each_attribute_can_be_asked_for() -> None:
    assert list(Attributes.model_fields) == list(ATTRIBUTES) == list(KNOWN)
