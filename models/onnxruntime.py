"""Networks on onnxruntime. The only module that knows it; it is imported when the first network opens."""

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from models.cpu import cpu_features
from models.errors import ProviderUnavailable, UnreadableModel
from models.manifest import Manifest
from models.network import Device, Port, Precision, expect_ports

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, NodeArg, RunOptions, SessionOptions

RUNTIME = "onnxruntime"

# From 1.29 on its wheels tell Microsoft of each process and network, by a number that they keep in the home folder. It
# looks once, when it is loaded, which is after this: disable_telemetry_events() comes too late. Whoever has set the
# variable has the last word.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_DTYPES = {"float": "float32", "double": "float64"}  # the rest of ONNX's element types are called as in numpy
_FATAL = 4


class OnnxRuntimeNetwork:
    """Raises UnreadableModel, WrongModelShape and, for "cuda" alone, ProviderUnavailable."""

    runtime = RUNTIME
    precision: Precision = "f32"

    def __init__(self, manifest: Manifest, path: Path, device: Device = "cpu") -> None:
        self.device = device
        self.session = _open_on_cuda(manifest, path) if device == "cuda" else _open_on_cpu(manifest, path)
        expect_ports(manifest, _ports(self.session.get_inputs()), _ports(self.session.get_outputs()))
        self._output_names = [tensor.name for tensor in manifest.outputs]

    def new_run(self) -> "OnnxRuntimeRun":
        import onnxruntime

        return OnnxRuntimeRun(self.session, self._output_names, onnxruntime.RunOptions())


class OnnxRuntimeRun:
    def __init__(self, session: "InferenceSession", output_names: Sequence[str], options: "RunOptions") -> None:
        self._session = session
        self._output_names = output_names
        self._options = options

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> Sequence[NDArray[Any]]:
        outputs: Sequence[NDArray[Any]] = self._session.run(self._output_names, dict(inputs), self._options)
        return outputs

    def terminate(self) -> None:
        self._options.terminate = True


def version() -> str:
    import onnxruntime

    text: str = onnxruntime.__version__
    return text


def _open_on_cpu(manifest: Manifest, path: Path) -> "InferenceSession":
    import onnxruntime

    try:
        return onnxruntime.InferenceSession(
            path, _options(manifest), ["CPUExecutionProvider"], disabled_optimizers=without(manifest)
        )
    except Exception as err:  # onnxruntime's errors have no base of their own
        raise UnreadableModel(manifest.name, RUNTIME, err) from err


def _open_on_cuda(manifest: Manifest, path: Path) -> "InferenceSession":
    import onnxruntime

    available = onnxruntime.get_available_providers()
    if "CUDAExecutionProvider" not in available:
        raise ProviderUnavailable("cuda", f"this onnxruntime has {', '.join(available)}")
    with contextlib.redirect_stdout(sys.stderr):  # it prints what it can't load; stdout is for documents
        onnxruntime.preload_dlls()  # CUDA and cuDNN from their pip packages, which no loader path names
    try:
        # The CPU takes what CUDA has no kernel for. Without enable_fallback=False onnxruntime moves the whole session
        # to the CPU when CUDA fails, now or in the middle of a run.
        providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]
        session = onnxruntime.InferenceSession(path, _options(manifest), providers, enable_fallback=False)
    except Exception as err:  # onnxruntime's errors have no base of their own
        raise ProviderUnavailable("cuda", err) from err
    # A CUDA library that doesn't load is left out in silence, whatever enable_fallback says.
    if "CUDAExecutionProvider" not in session.get_providers():
        raise ProviderUnavailable("cuda", f"{manifest.name} opened on {', '.join(session.get_providers())} instead")
    return session


def without(manifest: Manifest) -> list[str]:
    """The optimizers that a network does without on this kind of CPU."""
    return [name for name, feature in manifest.without_optimizers.items() if feature in cpu_features()]


def _options(manifest: Manifest) -> "SessionOptions":
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # Parallel runs use the cores: the callers' threads scale with them, a session's own pool does not and would spin.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if manifest.whole_products_with and cpu_features().isdisjoint(manifest.whole_products_with):
        options.add_session_config_entry("session.x64quantprecision", "1")
    for key, value in manifest.session_options.items():
        options.add_session_config_entry(key, value)
    options.log_severity_level = _FATAL  # what is an error is raised as one: no need to print it too
    return options


def _ports(arguments: Sequence["NodeArg"]) -> list[Port]:
    return [Port(argument.name, _dtype(argument), argument.shape) for argument in arguments]


def _dtype(argument: "NodeArg") -> str:
    element: str = argument.type.removeprefix("tensor(").removesuffix(")")
    return _DTYPES.get(element, element)
