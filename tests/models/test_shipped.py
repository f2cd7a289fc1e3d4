"""What the project ships: every file has its manifest, hash, recipe and notice, and every network opens."""

import numpy as np
import pytest

from models.manifest import Manifest
from models.store import ModelStore
from tests.models.conftest import MODELS

MANIFESTS = ModelStore().manifests()
every_model = pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda manifest: manifest.name)
every_network = pytest.mark.parametrize(
    "manifest", [manifest for manifest in MANIFESTS if manifest.is_network], ids=lambda manifest: manifest.name
)


def test_every_file_has_one_manifest() -> None:
    assert sorted(path.name for path in (MODELS / "files").iterdir()) == sorted(manifest.file for manifest in MANIFESTS)


@every_model
def test_file_is_as_its_manifest_says(store: ModelStore, manifest: Manifest) -> None:
    assert store.check(manifest.name) == "ok"
    assert store.path(manifest.name).stat().st_size == manifest.bytes


@every_model
def test_recipe_exists(manifest: Manifest) -> None:
    assert (MODELS / manifest.provenance.recipe).is_file()


@every_model
def test_notice_names_file_package_and_licence(manifest: Manifest) -> None:
    paragraphs = (MODELS.parent / "NOTICE").read_text(encoding="utf-8").split("\n\n")
    (paragraph,) = (paragraph for paragraph in paragraphs if f"models/files/{manifest.file}" in paragraph)
    assert (manifest.provenance.package or "Made by visaged") in paragraph
    assert manifest.licence in paragraph


@every_model
def test_card_names_the_model(manifest: Manifest) -> None:
    assert f"`{manifest.name}`" in (MODELS / "README.md").read_text(encoding="utf-8")


@every_network
def test_network_opens_and_runs_a_full_batch(store: ModelStore, manifest: Manifest) -> None:
    """Also that a sample's result does not depend on the batch that it is in."""
    random = np.random.default_rng(7)
    sizes = {"N": manifest.max_batch, "H": 64, "W": 96}
    batch = {
        tensor.name: random.random([size if isinstance(size, int) else sizes[size] for size in tensor.shape]).astype(
            tensor.dtype
        )
        for tensor in manifest.inputs
    }
    session = store.session(manifest.name)
    together = session.run(batch)
    assert list(together) == [tensor.name for tensor in manifest.outputs]
    assert all(tensor.accepts(together[tensor.name]) for tensor in manifest.outputs)
    last = session.run({name: array[-1:] for name, array in batch.items()})
    for tensor in manifest.outputs:
        array = together[tensor.name]
        if isinstance(tensor.shape[0], str):
            assert len(array) == manifest.max_batch
            array = array[-1:]
        np.testing.assert_allclose(array, last[tensor.name], rtol=1e-4, atol=1e-3)
