"""`visaged check` opens what `visaged run` would open, and fails with the same words."""

import shutil
from pathlib import Path

import pytest

from daemon.check import built
from daemon.cli import main
from daemon.config import load
from models.store import ModelStore
from tests.models.conftest import MODELS
from tests.models.edits import replace
from tests.test_cli import visaged


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A copy of the shipped manifests and files, to be changed."""
    for name in ("manifests", "files"):
        shutil.copytree(MODELS / name, tmp_path / "models" / name)
    return tmp_path / "models"


def written(folder: Path, text: str = "") -> Path:
    """A configuration that takes its models from the folder."""
    path = folder.parent / "mine.yaml"
    path.write_text(f"models: {{directory: {folder}}}\n{text}")
    return path


def test_the_services_take_every_model(models: Path) -> None:
    assert {manifest.name for manifest in built(load(written(models))).used} == {
        manifest.name for manifest in ModelStore().manifests()
    }


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("streams: {a: {source: a.mp4, chain: [face-detector]}}", {"yunet_2023mar_dyn"}),
        (
            "consumers: {a: {cluster: own, topics: [t], chain: [body-detector]}}\n"
            "clusters: {own: {bootstrap_servers: '127.0.0.1:1'}}",
            {"nanodet_g_416", "people_movenet_multipose"},
        ),
    ],
    ids=["stream", "consumer"],
)
def test_only_what_is_configured_is_opened(models: Path, text: str, names: set[str]) -> None:
    path = written(models, f"http: null\n{text}\nsinks: {{out: {{type: stdout}}}}\n")
    assert {manifest.name for manifest in built(load(path)).used} == names


def test_it_says_what_there_is(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(models)
    assert main(["check", str(path)]) == 0
    count = len(ModelStore().manifests())
    assert capsys.readouterr() == (f"{path}: ok, 0 streams, 0 consumers, 0 sinks, 12 services, {count} models\n", "")


def test_a_model_for_research_only_is_named(
    models: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    replace(models / "manifests" / "mask_mobilenetv2_real.yaml", "use: default-allowed", "use: research-only")
    assert main(["check", str(written(models))]) == 0
    assert capsys.readouterr().out.endswith(" models, 1 of them for research only\n")
    (warning,) = (record.getMessage() for record in caplog.records if record.levelname == "WARNING")
    assert warning.startswith("mask_mobilenetv2_real: for research only; its training data: ")


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("gender-v1.onnx", "has changed: expected 269087 bytes"),  # of an estimator's service
        ("verification_curves.npz", "has changed: expected"),  # of the matcher
    ],
)
def test_a_changed_model_of_a_service_is_refused_as_by_run(models: Path, file: str, said: str) -> None:
    (models / "files" / file).write_bytes(b"")
    path = written(models, "http: {port: 0}\n")
    checked, ran = visaged("check", path), visaged("run", path)
    assert (checked.returncode, ran.returncode) == (1, 1)
    (error,) = checked.stderr.splitlines()
    assert error == ran.stderr.splitlines()[-1]
    assert error.startswith(f"visaged: {Path(file).stem}: {models / 'files' / file} {said}")


def test_a_model_that_there_is_none_of_is_named(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(models, "processors: {mask_estimator: {model: mask_mobilenet}}\n")
    assert main(["check", str(path)]) == 1
    assert capsys.readouterr().err == "visaged: no model is called 'mask_mobilenet'; nearest: mask_mobilenetv2_real\n"
