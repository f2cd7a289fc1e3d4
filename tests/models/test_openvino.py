import asyncio
import os
import queue
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from models import openvino
from models.errors import InferenceFailed, PrecisionUnavailable, ProviderUnavailable, WrongInput, WrongModelShape
from models.measurements import inputs_of
from models.openvino import OpenVinoNetwork
from models.session import Session, run_in
from models.store import ModelStore
from tests.models.edits import replace

YUNET = "yunet_2023mar_dyn"
FP = "mobilefacenet_fp_512"
SFACE = "sface_2021dec_int8bq_clean"
LONG = "people_movenet_multipose"  # 0.1 s a run


@pytest.fixture(scope="module")
def by_openvino() -> ModelStore:
    return ModelStore(provider="openvino")


@pytest.fixture
def long_running(by_openvino: ModelStore) -> Session:
    """Opened before there is an event loop, which reading the file would block."""
    return by_openvino.session(LONG)


@pytest.fixture
def not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setattr(openvino, "core", openvino.core.__wrapped__)


@pytest.mark.parametrize("name", [YUNET, FP, "mp_face_landmark_468", "faceres_224"])
def test_f32_gives_what_onnxruntime_gives(store: ModelStore, by_openvino: ModelStore, name: str) -> None:
    session = by_openvino.session(name)
    assert (session.network.runtime, session.network.precision) == ("openvino", "f32")
    assert session.why == "provider: openvino"
    inputs = inputs_of(session.manifest)
    expected, found = store.session(name).run(inputs), session.run(inputs)
    assert list(found) == list(expected)
    for output, array in expected.items():
        assert found[output].dtype == array.dtype
        np.testing.assert_allclose(found[output], array, rtol=0, atol=1e-3)


def test_wrong_input(by_openvino: ModelStore) -> None:
    """Which OpenVINO would convert in silence."""
    with pytest.raises(WrongInput, match=r"expected input float32\[N, 3, H, W\]; got input float64\[1, 3, 32, 32\]"):
        by_openvino.session(YUNET).run({"input": np.zeros((1, 3, 32, 32))})


def test_what_it_cannot_open_stays_on_onnxruntime_and_says_so(
    by_openvino: ModelStore, caplog: pytest.LogCaptureFixture
) -> None:
    session = by_openvino.session(SFACE)
    assert (session.network.runtime, session.network.precision) == ("onnxruntime", "f32")
    assert session.why.startswith(f"{SFACE}: openvino can't open it: ")
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warning == f"{session.why}; it stays on onnxruntime"
    assert "\n" not in warning
    assert session.run(inputs_of(session.manifest))["fc1"].shape == (1, 128)


def test_a_manifest_that_no_runtime_agrees_with_is_refused(folder: Path) -> None:
    replace(folder / "manifests" / f"{YUNET}.yaml", "[N, 3, H, W]", "[N, 1, H, W]")
    with pytest.raises(WrongModelShape, match=rf"{YUNET}: its inputs .*\[N, 1, H, W\]; got .*\[N, 3, H, W\]"):
        ModelStore(folder, "openvino").session(YUNET)


@pytest.mark.usefixtures("not_installed")
def test_without_the_package_it_is_refused_and_says_how_to_get_it() -> None:
    with pytest.raises(ProviderUnavailable, match=r"'openvino' is not available: .*pip install 'visaged\[openvino\]'"):
        ModelStore(provider="openvino").session(YUNET)


def test_importing_it_tells_nobody(tmp_path: Path) -> None:
    """Its converter, imported with it, sends an event to Intel and keeps an identity in ~/intel."""
    code = f"""
import sys
from models.store import ModelStore
store = ModelStore(provider="openvino")
assert "openvino" not in sys.modules
assert store.session({YUNET!r}).network.runtime == "openvino"
print(*(name for name in sys.modules if "telemetry" in name))
"""
    environment = os.environ | {"HOME": str(tmp_path)}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_computed_by_the_thread_that_calls_it(by_openvino: ModelStore) -> None:
    """The engine charges a lane with its worker's CPU time."""
    session = by_openvino.session(LONG)
    inputs = inputs_of(session.manifest)
    session.run(inputs)
    threads, of_all, of_mine = psutil.Process().num_threads(), time.process_time(), time.thread_time()
    session.run(inputs)
    assert time.thread_time() - of_mine > 0.5 * (time.process_time() - of_all)
    assert psutil.Process().num_threads() <= threads


def test_runs_at_the_same_time_have_a_network_each() -> None:
    network = opened(FP)
    first, second = network.new_run(), network.new_run()
    assert first._request is not second._request
    inputs = inputs_of(ModelStore().manifest(FP))
    with ThreadPoolExecutor(2) as pool:
        (one,), (other,) = pool.map(lambda run: run(inputs), (first, second))
    np.testing.assert_array_equal(one, other)
    third = network.new_run()
    assert third._request in (first._request, second._request)  # which are kept for those to come


def test_a_network_that_cannot_be_had_for_a_run_fails_it(monkeypatch: pytest.MonkeyPatch) -> None:
    session = ModelStore(provider="openvino").session(YUNET)

    def out_of_memory() -> None:
        raise RuntimeError("bad allocation")

    network = session.network
    assert isinstance(network, OpenVinoNetwork)
    network._idle.clear()
    monkeypatch.setattr(network, "_compiled", out_of_memory)
    with pytest.raises(InferenceFailed, match="the run failed: bad allocation"):
        session.run(inputs_of(session.manifest))


def test_outputs_are_not_those_of_the_next_run(by_openvino: ModelStore) -> None:
    session = by_openvino.session(FP)
    face = inputs_of(session.manifest)["input"]
    before = session.run({"input": face})["output"]
    kept = before.copy()
    session.run({"input": 1 - face})
    np.testing.assert_array_equal(before, kept)


def test_an_input_may_be_a_view(by_openvino: ModelStore) -> None:
    session = by_openvino.session(FP)
    view = np.random.default_rng(1).uniform(-1, 1, (1, 112, 112, 3)).astype(np.float32).transpose(0, 3, 1, 2)
    found, expected = session.run({"input": view}), session.run({"input": np.ascontiguousarray(view)})
    np.testing.assert_array_equal(found["output"], expected["output"])


async def test_a_run_is_terminated_between_two_operators(long_running: Session) -> None:
    """From the event loop, which it does not block."""
    inputs = inputs_of(long_running.manifest)
    thread = queue.SimpleQueue[int]()

    def run_until_it_is_ended() -> None:
        thread.put(threading.get_ident())
        while True:
            long_running.run(inputs)

    running = asyncio.create_task(asyncio.to_thread(run_until_it_is_ended))
    await asyncio.sleep(0.05)
    ident = thread.get()
    while not running.done():
        if run := run_in(ident):
            run.terminate()
        await asyncio.sleep(0.01)
    with pytest.raises(InferenceFailed, match="canceled"):
        await running
    assert long_running.run(inputs).keys() == {tensor.name for tensor in long_running.manifest.outputs}  # it goes on


def test_a_run_that_has_ended_terminates_no_other() -> None:
    network = opened(LONG)
    inputs = inputs_of(ModelStore().manifest(LONG))
    first = network.new_run()
    first(inputs)
    second = network.new_run()
    assert second._request is first._request
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(second, inputs)
        while not running.done():
            first.terminate()
            time.sleep(0.002)
    assert len(running.result()) == len(ModelStore().manifest(LONG).outputs)


def test_bf16_where_the_cpu_has_it() -> None:
    """Elsewhere it is refused."""
    models = ModelStore(provider="openvino", precision="bf16")
    if not openvino.has("bf16"):
        with pytest.raises(PrecisionUnavailable, match="'bf16' is not available"):
            models.session(FP)
        return
    session = models.session(FP)
    assert (session.network.runtime, session.network.precision) == ("openvino", "bf16")
    exact, rounded = (template(store) for store in (ModelStore(), models))
    cosine = float(exact @ rounded / np.linalg.norm(exact) / np.linalg.norm(rounded))
    assert 0.98 < cosine < 1 - 1e-9  # it is another precision indeed


def test_a_cpu_without_bf16_refuses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Core:
        def get_property(self, device: str, name: str) -> list[str]:
            return {("CPU", "OPTIMIZATION_CAPABILITIES"): ["FP32", "INT8"]}[device, name]

    monkeypatch.setattr(openvino, "core", Core)
    assert openvino.has("f32")
    with pytest.raises(PrecisionUnavailable, match=r"'bf16' is not available: .* Take precision: f32$"):
        ModelStore(provider="openvino", precision="bf16").session(YUNET)


def test_what_a_manifest_wants_in_full_precision_stays_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino, "has", lambda precision: True)  # it is computed at f32, on any CPU
    session = ModelStore(provider="openvino", precision="bf16").session("faceres_224")
    assert (session.network.runtime, session.network.precision) == ("openvino", "f32")
    assert session.why == f"full precision: {session.manifest.full_precision}"


def opened(name: str) -> OpenVinoNetwork:
    models = ModelStore()
    return OpenVinoNetwork(models.manifest(name), models.path(name))


def template(models: ModelStore) -> NDArray[Any]:
    return np.ravel(models.session(FP).run(inputs_of(models.manifest(FP)))["output"])
