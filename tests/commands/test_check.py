"""`visaged check` opens what `visaged run` would open, and fails with the same words."""

import shutil
from pathlib import Path

import pytest

from daemon.cli import main
from daemon.commands.check import built
from daemon.config.load import load
from daemon.simulator.clip import Scene, make_clip
from models.store import ModelStore
from tests.commands.conftest import Called
from tests.commands.test_cli import visaged
from tests.models.conftest import MODELS
from tests.models.edits import replace


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


TO_BE_CHOSEN = {"nanodet_g_416_int8"}
"""Models that no default has."""


def test_the_services_take_every_other_model(models: Path) -> None:
    assert {manifest.name for manifest in built(load(written(models))).used} | TO_BE_CHOSEN == {
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
        (
            "processors: {body_detector: {score_threshold: 0.5}}\n"
            "streams: {a: {source: a.mp4, chain: [body-detector], processors: {body_detector: {second_model: null}}}}",
            {"nanodet_g_416"},
        ),
    ],
    ids=["stream", "consumer", "settings of a stream"],
)
def test_only_what_is_configured_is_opened(models: Path, text: str, names: set[str]) -> None:
    path = written(models, f"http: null\n{text}\nsinks: {{out: {{type: stdout}}}}\n")
    assert {manifest.name for manifest in built(load(path)).used} == names


def test_it_says_what_there_is(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(models)
    assert main(["check", str(path)]) == 0
    count = len(ModelStore().manifests()) - len(TO_BE_CHOSEN)
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
def test_a_changed_model_of_a_service_is_refused_as_by_run(called: Called, models: Path, file: str, said: str) -> None:
    (models / "files" / file).write_bytes(b"")
    path = written(models, "http: {port: 0}\n")
    checked, ran = called("check", path), visaged("run", path)
    assert (checked.returncode, ran.returncode) == (1, 1)
    (error,) = checked.stderr.splitlines()
    assert error == ran.stderr.splitlines()[-1]
    assert error.startswith(f"visaged: {Path(file).stem}: {models / 'files' / file} {said}")


def test_a_model_that_there_is_none_of_is_named(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(models, "processors: {mask_estimator: {model: mask_mobilenet}}\n")
    assert main(["check", str(path)]) == 1
    assert capsys.readouterr().err == (
        "visaged: mask_estimator.model: expected a model for mask (mask_mobilenetv2_real), got mask_mobilenet, "
        "and none is called so\n"
    )


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("yunet", "got yunet, and none is called so"),
        ("gender-v1", "got gender-v1, one for gender"),
    ],
)
@pytest.mark.parametrize("section", ["streams", "consumers"])
def test_a_model_of_a_stream_s_own_is_refused_as_by_run(
    called: Called, models: Path, clip: Path, section: str, model: str, said: str
) -> None:
    frames = f"source: {clip}" if section == "streams" else "topics: [t]"
    path = written(
        models,
        f"http: null\n{section}: {{a: {{{frames}, processors: {{face_detector: {{model: {model}}}}}}}}}\n"
        "clusters: {own: {bootstrap_servers: '127.0.0.1:1'}}\nsinks: {out: {type: stdout}}\n",
    )
    checked, ran = called("check", path), visaged("run", path)
    assert (checked.returncode, ran.returncode) == (1, 1)
    expected = f"visaged: face_detector.model: expected a model for face-detection (yunet_2023mar_dyn), {said}\n"
    assert checked.stderr == expected == ran.stderr.splitlines(keepends=True)[-1]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    make_clip(path, Scene(width=320, height=180, fps=5, seconds=1))
    return path


def test_what_is_not_there_is_named_all_at_once_with_its_line(
    tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    path = tmp_path / "mine.yaml"
    path.write_text(
        f"""\
http: {{host: 1.2.3.400, open: true}}
streams:
  there: {{source: {clip}}}
  camera: {{source: rtsp://192.0.2.10/stream1}}
  clip: {{source: {tmp_path}/none.mp4}}
  folder: {{source: {tmp_path}/empty}}
  bare: {{source: "me:hunter2@192.0.2.10:554/1"}}
sinks:
  a: {{type: file, path: {tmp_path}/a.jsonl}}
  b: {{type: file, path: {tmp_path}/none/b.jsonl}}
  c: {{type: file, path: /proc/c.jsonl}}
  d: {{type: file, path: {tmp_path}/empty}}
state_dir: /proc/nope
"""
    )
    assert main(["check", str(path)]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"{path}:1: http.host: expected an address or a name of this machine, got 1.2.3.400",
        f"{path}:5: streams.clip.source: expected a video, a picture or a folder, found none at {tmp_path}/none.mp4",
        f"{path}:6: streams.folder.source: {tmp_path}/empty: expected pictures (.jpg, .jpeg, .png, .bmp, .webp), "
        "found none",
        f"{path}:7: streams.bare.source: ***@192.0.2.10:554/1 is no address and no file: did you mean "
        "rtsp://***@192.0.2.10:554/1?",
        f"{path}:10: sinks.b.path: expected a file in a folder that is there, got {tmp_path}/none/b.jsonl",
        f"{path}:11: sinks.c.path: expected a folder to write to, got /proc: No such file or directory",
        f"{path}:12: sinks.d.path: expected a file, got the folder {tmp_path}/empty",
        f"{path}:13: state_dir: expected a folder to write to, got /proc/nope: No such file or directory",
    ]
    assert not (tmp_path / "a.jsonl").exists()


def test_a_device_that_is_not_there_is_refused(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"streams:\n  a:\n    source: {clip}\n    hardware: dxva2\nsinks: {{out: {{type: stdout}}}}\n")
    assert main(["check", str(path)]) == 2
    assert capsys.readouterr().err.startswith(f"{path}:4: streams.a.hardware: expected hardware ")


def test_one_is_not_many(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        f"http: null\nstreams: {{a: {{source: {clip}, chain: [face-detector]}}}}\nsinks: {{out: {{type: stdout}}}}\n"
    )
    assert main(["check", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: ok, 1 stream, 0 consumers, 1 sink, 0 services, 1 model\n"
