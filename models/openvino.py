"""Networks on OpenVINO, on the CPU. The only module that knows it; it is imported when the first network opens.

It computes in the caller's thread where a compiled network has no streams of its own (NUM_STREAMS 0), and such a
network makes one run at a time. So each run that is under way has a compiled network to itself; they are kept.
"""

import functools
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from models.cpu import cpu_model
from models.errors import PrecisionUnavailable, ProviderUnavailable, UnreadableModel
from models.manifest import Manifest, Tensor
from models.network import Device, Port, Precision, expect_ports

if TYPE_CHECKING:
    from openvino import CompiledModel, Core, InferRequest, Node

RUNTIME = "openvino"

_DEVICE = "CPU"
_SETTINGS = {"NUM_STREAMS": 0, "INFERENCE_NUM_THREADS": 1, "ENABLE_CPU_PINNING": False}
_CAPABILITIES: Mapping[Precision, str] = {"f32": "FP32", "bf16": "BF16"}
_CONVERTER = "openvino.tools.ovc"

_importing = threading.Lock()


class OpenVinoNetwork:
    """Raises ProviderUnavailable, PrecisionUnavailable, UnreadableModel and WrongModelShape."""

    runtime = RUNTIME
    device: Device = "cpu"

    def __init__(self, manifest: Manifest, path: Path, precision: Precision = "f32") -> None:
        self.precision = precision
        self._core = core()
        if not has(precision):
            raise PrecisionUnavailable(precision, cpu_model())
        try:
            self._model = self._core.read_model(path)
        except Exception as err:  # OpenVINO raises RuntimeError and whatever pybind11 makes of the rest
            raise UnreadableModel(manifest.name, RUNTIME, _line(err)) from err
        outputs = self._model.outputs
        expect_ports(manifest, _ports(self._model.inputs, manifest.inputs), _ports(outputs, manifest.outputs))
        self._idle = deque["InferRequest"]()
        try:
            self._idle.append(self._compiled())
        except Exception as err:
            raise UnreadableModel(manifest.name, RUNTIME, _line(err)) from err

    def _compiled(self) -> "InferRequest":
        # Left to itself it takes bf16 where the CPU has it.
        settings = {**_SETTINGS, "INFERENCE_PRECISION_HINT": self.precision}
        compiled: CompiledModel = self._core.compile_model(self._model, _DEVICE, settings)
        return compiled.create_infer_request()

    def new_run(self) -> "OpenVinoRun":
        try:
            request = self._idle.pop()
        except IndexError:
            request = self._compiled()
        return OpenVinoRun(request, self._idle)


class OpenVinoRun:
    """Gives its request back when it has ended."""

    def __init__(self, request: "InferRequest", idle: deque["InferRequest"]) -> None:
        self._request = request
        self._idle = idle
        self._ending = threading.Lock()
        self._has_ended = False

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> Sequence[NDArray[Any]]:
        try:
            # The outputs are copies, in the network's order.
            outputs: Sequence[NDArray[Any]] = self._request.infer(dict(inputs), share_inputs=True).to_tuple()
            return outputs
        finally:
            with self._ending:
                self._has_ended = True
            self._idle.append(self._request)

    def terminate(self) -> None:
        with self._ending:
            if not self._has_ended:  # else the request may be another run's
                self._request.cancel()


def version() -> str:
    """Raises ProviderUnavailable where it is not installed."""
    text: str = _imported().get_version()
    return text


@functools.cache
def core() -> "Core":
    """Raises ProviderUnavailable where it is not installed."""
    return _imported().Core()


def _imported() -> Any:
    with _importing:
        if RUNTIME not in sys.modules:
            # Its converter of models reports to Intel over the network when it is imported, and nobody is asked.
            sys.modules[_CONVERTER] = None  # type: ignore[assignment]  # an import of it fails, which OpenVINO allows
        try:
            import openvino
        except ImportError as err:
            raise ProviderUnavailable(RUNTIME, err) from err
    return openvino


def has(precision: Precision) -> bool:
    """Whether the CPU has instructions for it. Raises ProviderUnavailable, as core() does."""
    return _CAPABILITIES[precision] in core().get_property(_DEVICE, "OPTIMIZATION_CAPABILITIES")


def _line(err: Exception) -> str:
    """OpenVINO's reasons have several."""
    return " ".join(str(err).split())


def _ports(nodes: Sequence["Node"], tensors: Sequence[Tensor]) -> list[Port]:
    """Each may have several names: it is called as the manifest has it, where that is one of them."""
    wanted = {tensor.name for tensor in tensors}
    return [_port(node, wanted) for node in nodes]


def _port(node: "Node", wanted: set[str]) -> Port:
    names = sorted(node.get_names(), key=lambda name: (name not in wanted, name))
    sizes = [size.get_length() if size.is_static else None for size in node.get_partial_shape()]
    return Port(names[0] if names else "", node.get_element_type().to_dtype().name, sizes)
