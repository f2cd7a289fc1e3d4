"""`provider: auto` on a CPU: the faster runtime, as it was measured."""

import csv
import sys
from functools import partial
from pathlib import Path

import pytest

from models import onnxruntime, openvino
from models.cpu import cpu_model
from models.measurements import Key, Measurements
from models.network import Precision
from models.session import Session
from models.store import ModelStore

MESH = "mp_face_landmark_468"
SFACE = "sface_2021dec_int8bq_clean"


@pytest.fixture(autouse=True)
def _hide_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "runtimes.csv"


def session(path: Path, name: str = MESH, precision: Precision = "f32") -> Session:
    return ModelStore(None, "auto", precision, path).session(name)


def remember(path: Path, name: str = MESH, **took: float) -> None:
    """By way: onnxruntime_f32=4.0."""
    measurements = Measurements(path)
    for way, milliseconds in took.items():
        runtime, _, precision = way.partition("_")
        version = {"onnxruntime": onnxruntime, "openvino": openvino}[runtime].version()
        key = Key(cpu_model(), ModelStore().manifest(name).sha256, runtime, version, precision)
        measurements.of(key, name, partial(float, milliseconds))


@pytest.mark.parametrize(
    ("openvino_ms", "runtime"),
    [(3.5, "openvino"), (3.7, "onnxruntime"), (9.0, "onnxruntime")],
)
def test_the_faster_one_is_taken_and_shown(path: Path, openvino_ms: float, runtime: str) -> None:
    """OpenVINO only where it gains a tenth: what is measured is no more exact."""
    remember(path, onnxruntime_f32=4.0, openvino_f32=openvino_ms)
    opened = session(path)
    assert opened.network.runtime == runtime
    assert opened.why == f"measured: onnxruntime f32 4.0 ms, openvino f32 {openvino_ms} ms"


def test_precision_is_never_lowered_unasked(path: Path) -> None:
    remember(path, onnxruntime_f32=4.0, openvino_f32=3.0, openvino_bf16=0.1)
    opened = session(path)
    assert (opened.network.runtime, opened.network.precision) == ("openvino", "f32")


def test_what_is_measured_is_remembered(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = session(path)
    with path.open(newline="") as file:
        lines = list(csv.reader(file))
    assert [(*line[2:5], line[6]) for line in lines] == [
        ("onnxruntime", onnxruntime.version(), "f32", MESH),
        ("openvino", openvino.version(), "f32", MESH),
    ]
    assert {line[0] for line in lines} == {cpu_model()}
    assert all(0 < float(line[5]) < 1000 for line in lines)

    monkeypatch.setattr("models.session.milliseconds", None)  # whoever measures again fails
    again = session(path)
    assert (again.network.runtime, again.why) == (first.network.runtime, first.why)


@pytest.mark.parametrize("column", [0, 1, 3], ids=["CPU", "file", "version"])
def test_what_was_measured_elsewhere_does_not_count(path: Path, column: int) -> None:
    remember(path, onnxruntime_f32=0.001, openvino_f32=5000.0)
    with path.open(newline="") as file:
        lines = list(csv.reader(file))
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([*line[:column], "another", *line[column + 1 :]] for line in lines)
    assert "5000" not in session(path).why


def test_a_damaged_line_is_measured_again(path: Path) -> None:
    remember(path, onnxruntime_f32=4.0, openvino_f32=5000.0)
    whole = path.read_bytes()
    path.write_bytes(b"\n\xff\n" + whole[: whole.rindex(b"00.000")])  # the disk was full
    assert "onnxruntime f32 4.0 ms" in session(path).why
    assert "5000" not in session(path).why


def test_a_folder_that_cannot_be_written_to_is_told_and_no_obstacle(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    opened = session(tmp_path / "file" / "runtimes.csv")
    assert opened.why.startswith("measured: ")
    assert any("not remembered, and measured again at the next start" in message for message in caplog.messages)


def test_what_openvino_cannot_open_stays_on_onnxruntime(path: Path) -> None:
    opened = session(path, SFACE)
    assert opened.network.runtime == "onnxruntime"
    assert opened.why.endswith("ms, openvino f32 can't open it")


def test_without_openvino_it_is_onnxruntime(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setattr(openvino, "core", openvino.core.__wrapped__)
    opened = session(path)
    assert opened.network.runtime == "onnxruntime"
    assert "'openvino' is not available" in opened.why
    assert not path.exists()


@pytest.mark.parametrize("has_it", [True, False])
def test_a_lower_precision_is_a_way_where_it_is_asked_for_and_there(
    path: Path, monkeypatch: pytest.MonkeyPatch, has_it: bool
) -> None:
    remember(path, onnxruntime_f32=4.0, openvino_f32=3.0, openvino_bf16=3.5)
    monkeypatch.setattr(openvino, "has", lambda precision: has_it or precision == "f32")
    opened = session(path, precision="bf16")
    assert (opened.network.runtime, opened.network.precision) == ("openvino", "f32")
    assert ("openvino bf16 3.5 ms" in opened.why) == has_it
