"""`visaged sbom`: what this installation consists of, as CycloneDX 1.6, or as a table of licences."""

import re
import sys
import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import Distribution, PackageMetadata, distribution, distributions
from typing import Any

import av
from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from daemon.wire.codec import Members, encode, parse
from models.manifest import Manifest
from models.store import ModelStore

SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"
OURS = "visaged"
LICENCE_CLASSIFIER = "License :: "
LONGEST_NAME = 60  # a longer `License` is the licence's text
TAKEN = ("type", "name", "version", "purl", "hashes")
"""Of what a wheel's own SBOM says beside licences; its references would not be unique here."""


def main(*, licences: bool) -> int:
    document = sbom()
    sys.stdout.write(_table(document) if licences else encode(document, indent=2).decode() + "\n")
    return 0


def sbom() -> Members:
    """The Python packages of the environment, with what their wheels say to have in them, and the models."""
    found = {canonicalize_name(one.metadata["Name"]): one for one in distributions()}
    ours = found.pop(canonicalize_name(OURS), distribution(OURS))
    return {
        "$schema": SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid4()}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
            "tools": {"components": [{"type": "application", "name": OURS, "version": ours.version}]},
            "component": _package(ours) | {"type": "application"},
        },
        "components": [
            *(_package(found[name]) for name in sorted(found)),
            *(_model(manifest) for manifest in ModelStore().manifests()),
        ],
        "dependencies": [
            {"ref": _purl(one), "dependsOn": sorted({_purl(found[name]) for name in _needed(one) if name in found})}
            for one in (ours, *(found[name] for name in sorted(found)))
        ],
    }


def _package(one: Distribution) -> Members:
    contained = [*_contained(one), *([_ffmpeg()] if one.metadata["Name"] == "av" else [])]
    return {
        "type": "library",
        "bom-ref": _purl(one),
        "name": one.metadata["Name"],
        "version": one.version,
        "purl": _purl(one),
        **_described(one.metadata["Summary"], _licence(one.metadata)),
        **({"components": contained} if contained else {}),
    }


def _described(description: str | None, licence: str | None) -> Members:
    return ({"description": description} if description else {}) | ({"licenses": _licences(licence)} if licence else {})


def _purl(one: Distribution) -> str:
    return f"pkg:pypi/{canonicalize_name(one.metadata['Name'])}@{one.version}"


def _needed(one: Distribution) -> Iterator[NormalizedName]:
    """Names of what it requires here, with each of its extras: which ones were asked for is written nowhere."""
    extras = ["", *(one.metadata.get_all("Provides-Extra") or ())]
    for requirement in map(Requirement, one.requires or ()):
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
            yield canonicalize_name(requirement.name)


def _licence(metadata: PackageMetadata) -> str | None:
    """An expression (PEP 639) where there is one, else what its author calls it."""
    text = metadata["License-Expression"] or metadata["License"] or ""
    if text and "\n" not in text and len(text) <= LONGEST_NAME:
        return text
    classifiers = [one for one in metadata.get_all("Classifier") or () if one.startswith(LICENCE_CLASSIFIER)]
    return "; ".join(one.rpartition(" :: ")[2] for one in classifiers) or None


def _licences(licence: str) -> list[Members]:
    try:
        return [{"expression": canonicalize_license_expression(licence)}]
    except InvalidLicenseExpression:
        return [{"license": {"name": licence}}]


def _contained(one: Distribution) -> list[Members]:
    """What the wheel's own SBOMs name (PEP 770): libraries that were compiled or copied into it."""
    files = [file for file in one.files or () if file.parent.name == "sboms" and file.suffix == ".json"]
    named = [part for file in files for part in parse(file.read_binary()).get("components", ())]
    itself = canonicalize_name(one.metadata["Name"])
    parts = map(_part, (part for part in named if canonicalize_name(part["name"]) != itself))
    return list({encode(part): part for part in parts}.values())  # some are named once for each of their files


def _part(part: Mapping[str, Any]) -> Members:
    licences = [_called(licence) for licence in part.get("licenses", ())]
    named = _licences(licences[0]) if len(licences) == 1 else [{"license": {"name": name}} for name in licences]
    return {key: part[key] for key in TAKEN if key in part} | ({"licenses": named} if named else {})


def _ffmpeg() -> Members:
    """Which no SBOM of av's wheel names."""
    licence = av._core.library_meta["libavcodec"]["license"]
    return {"type": "library", "name": "FFmpeg", "version": av.ffmpeg_version_info, "licenses": _licences(licence)}


def _model(manifest: Manifest) -> Members:
    return {
        "type": "machine-learning-model" if manifest.is_network else "data",
        "bom-ref": f"model:{manifest.name}",
        "name": manifest.name,
        "hashes": [{"alg": "SHA-256", "content": manifest.sha256}],
        **_described(manifest.task, manifest.licence),
        **_made_from(manifest.provenance.registry, manifest.provenance.package),
    }


def _made_from(registry: str, package: str | None) -> Members:
    if package is None:
        return {}
    name, version = package.split("==")
    purl = f"pkg:{registry.lower()}/{name.replace('@', '%40')}@{version}"
    return {"pedigree": {"ancestors": [{"type": "library", "name": name, "version": version, "purl": purl}]}}


def _table(document: Members) -> str:
    """A line each: name, version, licence, and in which package it is."""
    rows = [("name", "version", "licence", "in"), *_rows([document["metadata"]["component"], *document["components"]])]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "".join("  ".join(map(str.ljust, row, widths)).rstrip() + "\n" for row in rows)


def _rows(components: Iterable[Mapping[str, Any]], above: str = "") -> Iterator[tuple[str, str, str, str]]:
    for one in components:
        licences = "; ".join(map(_called, one.get("licenses", ()))) or "not said"
        yield one["name"], one.get("version", "-"), re.sub(r"\s+", " ", licences), above
        yield from _rows(one.get("components", ()), one["name"])


def _called(licence: Mapping[str, Any]) -> str:
    named = licence.get("license", {})
    return str(licence.get("expression") or named.get("id") or named.get("name"))
