"""Running a network. The only module that knows onnxruntime, which is imported when the first session opens."""

import contextlib
import functools
import logging
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from numpy.typing import NDArray

from models.errors import InferenceFailed, ProviderUnavailable, UnreadableModel, WrongInput, WrongModelShape
from models.manifest import Manifest, Tensor, signature

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, NodeArg, RunOptions, SessionOptions

log = logging.getLogger(__name__)

Provider = Literal["cpu", "cuda", "auto"]
Device = Literal["cpu", "cuda"]

_runs: "dict[int, Run]" = {}

_DTYPES = {"float": "float32", "double": "float64"}  # the rest of ONNX's element types are called as in numpy
_FATAL = 4


class Session:
    """One open network. `run` may be called from several threads at once: each computes in its own."""

    def __init__(self, manifest: Manifest, path: Path, provider: Provider = "cpu") -> None:
        """Opens `path`, whose hash is the caller's to check.

        `provider` "auto" takes CUDA where it works, else the CPU; `self.device` says which.
        Raises UnreadableModel, WrongModelShape and, for "cuda" alone, ProviderUnavailable.
        """
        self.manifest = manifest
        self._path = path
        self._provider = provider
        self._session, self.device = _open(manifest, path, provider)
        _check(manifest.name, "inputs", manifest.inputs, self._session.get_inputs())
        _check(manifest.name, "outputs", manifest.outputs, self._session.get_outputs())
        self._output_names = [tensor.name for tensor in manifest.outputs]
        log.info("%s: opened on %s", manifest.name, self.device)

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Arrays by name, in and out, with the manifest's types and shapes. Raises WrongInput or InferenceFailed."""
        import onnxruntime

        run = Run(self, onnxruntime.RunOptions())
        _runs[threading.get_ident()] = run
        try:
            outputs = self._session.run(self._output_names, dict(inputs), run.options)
        except Exception as err:  # onnxruntime's errors have no base of their own
            if self._accepts(inputs):
                raise InferenceFailed(self.manifest.name, err) from err
            raise WrongInput(
                self.manifest.name,
                expected=_listed(self.manifest.inputs),
                actual=_listed([signature(name, array.dtype, array.shape) for name, array in inputs.items()]),
            ) from err
        finally:
            del _runs[threading.get_ident()]
        return dict(zip(self._output_names, outputs, strict=True))

    def reopen(self) -> None:
        """Runs from now on are those of a new session; the old one goes when no run is in it."""
        self._session, self.device = _open(self.manifest, self._path, self._provider)

    def _accepts(self, inputs: Mapping[str, NDArray[Any]]) -> bool:
        wanted = {tensor.name: tensor for tensor in self.manifest.inputs}
        return inputs.keys() == wanted.keys() and all(wanted[name].accepts(array) for name, array in inputs.items())


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a session that has not ended."""

    session: Session
    options: "RunOptions"

    def terminate(self) -> None:
        """Asks onnxruntime to end it between two operators: it then raises InferenceFailed."""
        self.options.terminate = True


def run_in(thread: int) -> Run | None:
    """The run that the thread of this identifier is in; None: it is in none."""
    return _runs.get(thread)


def _open(manifest: Manifest, path: Path, provider: Provider) -> tuple["InferenceSession", Device]:
    if provider == "cpu":
        return _open_on_cpu(manifest, path), "cpu"
    try:
        return _open_on_cuda(manifest, path), "cuda"
    except ProviderUnavailable as err:
        if provider == "cuda":
            raise
        log.info("%s: on the CPU: %s", manifest.name, err)
        return _open_on_cpu(manifest, path), "cpu"


def _open_on_cpu(manifest: Manifest, path: Path) -> "InferenceSession":
    import onnxruntime

    try:
        return onnxruntime.InferenceSession(
            path, _options(manifest), ["CPUExecutionProvider"], disabled_optimizers=without(manifest)
        )
    except Exception as err:  # onnxruntime's errors have no base of their own
        raise UnreadableModel(manifest.name, err) from err


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


@functools.cache
def cpu_features() -> frozenset[str]:
    """By Linux's names; none where it does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.partition(":")[2] for line in lines if line.startswith("flags")), "").split())


def _options(manifest: Manifest) -> "SessionOptions":
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # Parallel runs use the cores: the callers' threads scale with them, a session's own pool does not and would spin.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    for key, value in manifest.session_options.items():
        options.add_session_config_entry(key, value)
    options.log_severity_level = _FATAL  # what is an error is raised as one: no need to print it too
    return options


def _check(name: str, direction: str, expected: Sequence[Tensor], actual: Sequence["NodeArg"]) -> None:
    if len(expected) != len(actual) or not all(map(_matches, expected, actual)):
        found = [signature(arg.name, _dtype(arg), arg.shape) for arg in actual]
        raise WrongModelShape(name, direction, expected=_listed(expected), actual=_listed(found))


def _matches(expected: Tensor, actual: "NodeArg") -> bool:
    return (
        (expected.name, expected.dtype) == (actual.name, _dtype(actual))
        and len(expected.shape) == len(actual.shape)
        # onnxruntime shows a size that is not fixed as its name, or None.
        and all(
            wanted == size if isinstance(wanted, int) else not isinstance(size, int)
            for wanted, size in zip(expected.shape, actual.shape, strict=True)
        )
    )


def _dtype(arg: "NodeArg") -> str:
    element: str = arg.type.removeprefix("tensor(").removesuffix(")")
    return _DTYPES.get(element, element)


def _listed(items: Sequence[object]) -> str:
    return ", ".join(map(str, items)) or "nothing"
