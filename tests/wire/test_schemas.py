"""The published schemas: current, additive, and strict where they are closed."""

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.wire.headers import DocumentHeaders
from daemon.wire.schemas.documents import TYPES, documents, made_of
from daemon.wire.v1 import V1
from daemon.wire.v2 import MEMBERS, V2, V2_WITH_LIVENESS_OF_V1
from daemon.wire.version import Version, members_of
from sinks.base import WITHOUT_PICTURES
from sinks.kafka_times import ORIGINAL_TIMESTAMP
from tests.schemas import closed, resolved, validator_of
from tests.worked import ROOT

FOLDER = ROOT / "docs" / "schemas"
NAMES = {schema.name: schema.version for schema in TYPES}
NARROWING = (
    "description",
    "title",
    "$id",
    "$schema",
    "$defs",
    "properties",
    "items",
    "additionalProperties",
    "required",
    "enum",
    "$ref",
)
"""What is not compared as it stands."""
RELEASED = [
    path
    for path in sorted(FOLDER.glob("*-2.*.json"))
    if (match := re.fullmatch(r"(.+)-(2\.\d+)\.json", path.name)) and NAMES.get(match[1]) != match[2]
]


def current(released: Path) -> Any:
    name = released.stem.rpartition("-")[0]
    return documents()[f"{name}-{NAMES[name]}.json"]


def broken(old_root: Any, new_root: Any, old: Any, new: Any, place: str = "") -> Iterator[str]:
    """Where what keeps the new schema may not keep the old one: a consumer of the old would refuse it."""
    old, new = resolved(old_root, old), resolved(new_root, new)
    if gone := set(old.get("required", ())) - set(new.get("required", ())):
        yield f"{place}: not always there any more: {sorted(gone)}"
    if "enum" in old and (more := set(new.get("enum", [new.get("const")])) - set(old["enum"])):
        yield f"{place}: new words: {sorted(map(str, more))}"
    for keyword in old.keys() - set(NARROWING):
        if new.get(keyword) != old[keyword]:
            yield f"{place}: {keyword} was {old[keyword]}, is {new.get(keyword)}"
    for name, below in old.get("properties", {}).items():
        if name not in new.get("properties", {}):
            yield f"{place}/{name}: is no more"
        else:
            yield from broken(old_root, new_root, below, new["properties"][name], f"{place}/{name}")
    for keyword in {"items", "additionalProperties"} & old.keys():
        yield from broken(old_root, new_root, old[keyword], new.get(keyword, {}), f"{place}/*")


@pytest.mark.parametrize("name", documents())
def test_the_files_are_current(name: str) -> None:
    """`visaged schema write docs/schemas` writes them."""
    assert json.loads((FOLDER / name).read_text()) == documents()[name]


@pytest.mark.parametrize("released", RELEASED, ids=lambda path: path.name)
def test_a_version_only_adds_to_the_one_before(released: Path) -> None:
    old, new = json.loads(released.read_text()), current(released)
    assert list(broken(old, new, old, new)) == []


def test_earlier_versions_are_kept() -> None:
    assert {path.name for path in RELEASED} >= {"document-2.0.json", "track-2.0.json"}


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        (lambda track: track["properties"].pop("frames"), "/track/frames: is no more"),
        (lambda track: track["required"].remove("frames"), "/track: not always there any more: ['frames']"),
        (
            lambda track: track["properties"]["frames"].update(type="string"),
            "/track/frames: type was integer, is string",
        ),
        (lambda track: track["properties"]["frames"].pop("minimum"), "/track/frames: minimum was 1, is None"),
    ],
)
def test_what_is_not_additive_is_seen(later: Any, expected: str) -> None:
    old = documents()["track-2.1.json"]
    new = copy.deepcopy(old)
    later(new["$defs"]["Track"])
    assert list(broken(old, new, old, new)) == [expected]


def test_a_new_word_is_seen_and_a_new_member_is_none() -> None:
    old = documents()["track-2.1.json"]
    new = copy.deepcopy(old)
    new["properties"]["more"] = {"type": "string"}
    assert list(broken(old, new, old, new)) == []
    new["properties"]["event"]["enum"].append("vanished")
    assert list(broken(old, new, old, new)) == ["/event: new words: ['vanished']"]


@pytest.mark.parametrize("version", [V1, V2, V2_WITH_LIVENESS_OF_V1], ids=["v1", "v2", "v2 with v1's liveness"])
def test_every_result_says_which_members_it_makes(version: Version) -> None:
    for kind, write in version.members.items():
        assert members_of([write]), kind


def test_a_document_has_the_members_of_all_results() -> None:
    properties = documents()["document-2.1.json"]["$defs"]["StreamObject"]["properties"]
    assert properties.keys() == {"id", "class", "_image", *members_of(MEMBERS.values())}


@pytest.mark.parametrize("name", documents())
def test_a_published_schema_takes_what_a_later_version_adds_and_the_closed_form_does_not(name: str) -> None:
    schema = documents()[name]
    assert not re.search(r'"(additional|unevaluated)Properties": false', json.dumps(schema))
    keys = [error.message for error in validator_of(schema).iter_errors({"unknown": 1})]
    assert any("Unevaluated properties" in message for message in keys), keys


def test_every_part_of_a_closed_form_is_closed() -> None:
    text = json.dumps(closed(documents()["document-2.1.json"]))
    assert text.count('"properties"') == text.count('"unevaluatedProperties": false')


def test_headers_that_sinks_add_are_among_those_described() -> None:
    properties = made_of(DocumentHeaders)["properties"]
    assert {WITHOUT_PICTURES[0], ORIGINAL_TIMESTAMP} <= properties.keys()
