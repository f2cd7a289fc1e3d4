import contextlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from models.errors import ProviderUnavailable, WrongInput, WrongModelShape
from models.onnxruntime import OnnxRuntimeNetwork, without
from models.session import Session
from models.store import ModelStore
from tests.models.edits import replace

YUNET = "yunet_2023mar_dyn"


def test_it_tells_nobody(tmp_path: Path) -> None:
    """The library keeps an identity in ~/.cache where it sends telemetry, which it does by itself, but in CI."""
    code = f"from models.store import ModelStore; ModelStore().session({YUNET!r})"
    environment = {"HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def session(store: ModelStore) -> Session:
    return store.session(YUNET)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (384, 640), (640, 32)])
def test_any_picture_size(session: Session, height: int, width: int) -> None:
    outputs = session.run({"input": np.zeros((1, 3, height, width), np.float32)})
    for stride in (8, 16, 32):
        assert outputs[f"cells_{stride}"].shape == (1, height // stride, width // stride, 16)


def test_threads_share_a_session(session: Session) -> None:
    random = np.random.default_rng(1)
    pictures = [random.uniform(0, 255, (1, 3, 96, 128)).astype(np.float32) for _ in range(24)]
    with ThreadPoolExecutor(4) as pool:
        parallel = list(pool.map(lambda picture: session.run({"input": picture})["cells_8"], pictures))
    for picture, result in zip(pictures, parallel, strict=True):
        np.testing.assert_array_equal(result, session.run({"input": picture})["cells_8"])


def test_session_has_no_threads_of_its_own() -> None:
    first = ModelStore().session(YUNET)  # starts what onnxruntime has once for the process
    before = psutil.Process().num_threads()
    second = ModelStore().session(YUNET)
    second.run({"input": np.zeros((1, 3, 320, 320), np.float32)})
    assert psutil.Process().num_threads() <= before  # less, if a thread of an earlier test has ended
    assert first is not second


@pytest.mark.parametrize(
    ("inputs", "actual"),
    [
        ({"input": np.zeros((1, 3, 32, 32))}, r"input float64\[1, 3, 32, 32\]"),
        ({"input": np.zeros((1, 1, 32, 32), np.float32)}, r"input float32\[1, 1, 32, 32\]"),
        ({"input": np.zeros((3, 32, 32), np.float32)}, r"input float32\[3, 32, 32\]"),
        ({"image": np.zeros((1, 3, 32, 32), np.float32)}, r"image float32\[1, 3, 32, 32\]"),
        ({}, "nothing"),
    ],
)
def test_wrong_input(session: Session, inputs: dict[str, np.ndarray], actual: str) -> None:
    with pytest.raises(WrongInput, match=rf"{YUNET}: .*expected input float32\[N, 3, H, W\]; got {actual}$"):
        session.run(inputs)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "[N, 3, H, W]",
            "[N, 3, 640, 640]",
            r"inputs .*expected input float32\[N, 3, 640, 640\]; got input float32\[N, 3, H, W\]",
        ),
        ("[N, 3, H, W]", "[N, 1, H, W]", r"inputs .*expected .*\[N, 1, H, W\]; got .*\[N, 3, H, W\]"),
        ("[N, 3, H, W]", "[N, C, H, W]", r"inputs .*expected .*\[N, C, H, W\]; got .*\[N, 3, H, W\]"),
        ("[N, 3, H, W]", "[N, 3, H]", r"inputs .*expected .*\[N, 3, H\]; got .*\[N, 3, H, W\]"),
        ("name: input", "name: image", r"inputs .*expected image .*; got input "),
        ("dtype: float32", "dtype: uint8", r"inputs .*expected input uint8.*; got input float32"),
        ("[N, H32, W32, 16]", "[N, H32, W32, 5]", r"outputs .*W32, 5\]; "),
        ("  - {name: cells_32, dtype: float32, shape: [N, H32, W32, 16]}\n", "", r"outputs .*16\]; got .*, cells_32 "),
    ],
)
def test_model_that_differs_from_its_manifest(folder: Path, old: str, new: str, message: str) -> None:
    replace(folder / "manifests" / f"{YUNET}.yaml", old, new)
    with pytest.raises(WrongModelShape, match=f"{YUNET}: its {message}"):
        ModelStore(folder).session(YUNET)


def test_symbolic_dimensions_may_have_other_names(folder: Path) -> None:
    replace(folder / "manifests" / f"{YUNET}.yaml", "[N, 3, H, W]", "[batch, 3, rows, columns]")
    assert ModelStore(folder).session(YUNET).network.device == "cpu"


class TestWithoutGpu:
    @pytest.fixture(autouse=True)
    def _hide_gpus(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")

    def test_cuda_is_refused_and_says_how_to_get_it(self) -> None:
        with pytest.raises(ProviderUnavailable, match=r"'cuda' is not available: .*'onnxruntime-gpu\[cuda,cudnn\]'"):
            ModelStore(provider="cuda").session(YUNET)

    def test_auto_takes_the_cpu_and_says_so(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level("INFO", "models.session"):
            session = ModelStore(provider="auto").session(YUNET)
        assert session.network.device == "cpu"
        assert any(message.startswith(f"{YUNET}: opened on cpu by ") for message in caplog.messages)
        assert "'cuda' is not available" in caplog.messages[0]


def test_options_of_a_manifest_reach_onnxruntime(folder: Path) -> None:
    key = "session.disable_quant_qdq"
    replace(folder / "manifests" / f"{YUNET}.yaml", "max_batch:", f'session_options: {{{key}: "1"}}\nmax_batch:')
    options = options_of(ModelStore(folder))
    assert options.get_session_config_entry(key) == "1"
    shipped = options_of(ModelStore())
    with pytest.raises(RuntimeError, match=key):  # it was not set
        shipped.get_session_config_entry(key)


def options_of(store: ModelStore) -> Any:
    network = store.session(YUNET).network
    assert isinstance(network, OnnxRuntimeNetwork)
    return network.session.get_session_options()


FP = "mobilefacenet_fp_512"


def test_a_network_does_without_optimizers_where_that_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = ModelStore().manifest(FP)
    monkeypatch.setattr("models.onnxruntime.cpu_features", lambda: frozenset({"avx512f"}))
    assert without(manifest) == ["NchwcTransformer"]
    monkeypatch.setattr("models.onnxruntime.cpu_features", lambda: frozenset({"avx2"}))
    assert without(manifest) == []


def test_what_is_left_out_changes_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    face = np.random.default_rng(0).uniform(-1, 1, (1, 3, 112, 112)).astype(np.float32)
    answers = []
    for features in ({"avx512f"}, set[str]()):
        monkeypatch.setattr("models.onnxruntime.cpu_features", lambda features=features: frozenset(features))
        answers.append(ModelStore().session(FP).run({"input": face})["output"])
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-5 * np.abs(answers[0]).max())


INT8 = "nanodet_g_416_int8"


def test_in_8_bits_a_cpu_without_vnni_gives_the_same_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """By unsigned weights, whose products fit in 16 bits. (This CPU may have VNNI: it then takes more time.)"""
    picture = np.random.default_rng(0).uniform(-2, 2, (1, 3, 64, 96)).astype(np.float32)
    answers, wholes = [], []
    for features in ({"avx2"}, {"avx2", "avx_vnni"}, {"avx512_vnni"}):
        monkeypatch.setattr("models.onnxruntime.cpu_features", lambda features=features: frozenset(features))
        session = ModelStore().session(INT8)
        network = session.network
        assert isinstance(network, OnnxRuntimeNetwork)
        options = network.session.get_session_options()
        answers.append(session.run({"input_1:0": picture}))
        with contextlib.suppress(RuntimeError):  # it was not set
            wholes.append((features, options.get_session_config_entry("session.x64quantprecision")))
    assert wholes == [({"avx2"}, "1")]
    for others in answers[1:]:
        for name, answer in answers[0].items():
            np.testing.assert_allclose(others[name], answer, atol=1e-5)
