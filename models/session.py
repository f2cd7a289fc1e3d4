"""Running a network, by the runtime that the configuration names or that is the fastest."""

import logging
import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from numpy.typing import NDArray

from models import network, onnxruntime, openvino
from models.cpu import cpu_model
from models.errors import (
    InferenceFailed,
    ProviderUnavailable,
    UnreadableModel,
    WrongInput,
    WrongModelShape,
)
from models.manifest import Manifest, signature
from models.measurements import Key, Measurements, Way, inputs_of, milliseconds
from models.network import Network, Precision, listed
from models.onnxruntime import OnnxRuntimeNetwork
from models.openvino import OpenVinoNetwork

log = logging.getLogger(__name__)

Provider = Literal["cpu", "cuda", "openvino", "auto"]

PAYS = 0.9
"""OpenVINO is taken by "auto" where it needs this part of onnxruntime's time at most."""

_runs: "dict[int, Run]" = {}


class Session:
    """One open network. `run` may be called from several threads at once: each computes in its own."""

    def __init__(
        self,
        manifest: Manifest,
        path: Path,
        provider: Provider = "cpu",
        precision: Precision = "f32",
        measurements: Measurements | None = None,
    ) -> None:
        """Opens `path`, whose hash is the caller's to check.

        "cpu" and "cuda" are onnxruntime's. "openvino" leaves to onnxruntime what OpenVINO can't open. "auto" takes CUDA
        where it works, else of both runtimes the one that `measurements` say is faster. `precision` is the lowest with
        which OpenVINO may compute. `network` and `why` say what came of it.
        Raises UnreadableModel, WrongModelShape and, but for "auto", ProviderUnavailable and PrecisionUnavailable.
        """
        self.manifest = manifest
        self._opening = _Opening(manifest, path, precision, measurements or Measurements())
        self._provider = provider
        self.network, self.why = self._opening.by(provider)
        way = self.network
        log.info("%s: opened on %s by %s, %s", manifest.name, way.device, way.runtime, way.precision)

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Arrays by name, in and out, with the manifest's types and shapes. Raises WrongInput or InferenceFailed."""
        if not self._accepts(inputs):
            raise WrongInput(
                self.manifest.name,
                expected=listed(self.manifest.inputs),
                actual=listed([signature(name, array.dtype, array.shape) for name, array in inputs.items()]),
            )
        try:
            run = self.network.new_run()
            _runs[threading.get_ident()] = Run(self, run)
            outputs = run(inputs)
        except Exception as err:  # the runtimes' errors have no base of their own
            raise InferenceFailed(self.manifest.name, err) from err
        finally:
            _runs.pop(threading.get_ident(), None)
        return {tensor.name: output for tensor, output in zip(self.manifest.outputs, outputs, strict=True)}

    def reopen(self) -> None:
        """Runs from now on are those of a new network; the old one goes when no run is in it."""
        self.network, self.why = self._opening.by(self._provider)

    def _accepts(self, inputs: Mapping[str, NDArray[Any]]) -> bool:
        wanted = {tensor.name: tensor for tensor in self.manifest.inputs}
        return inputs.keys() == wanted.keys() and all(wanted[name].accepts(array) for name, array in inputs.items())


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a session that has not ended."""

    session: Session
    _run: network.Run

    def terminate(self) -> None:
        """Asks the runtime to end it between two operators: it then raises InferenceFailed."""
        self._run.terminate()


def run_in(thread: int) -> Run | None:
    """The run that the thread of this identifier is in; None: it is in none."""
    return _runs.get(thread)


class Opened(NamedTuple):
    network: Network
    why: str
    """Why by this runtime and precision."""


@dataclass(frozen=True, slots=True)
class _Opening:
    """How a network is opened."""

    manifest: Manifest
    path: Path
    precision: Precision
    measurements: Measurements

    def by(self, provider: Provider) -> Opened:
        match provider:
            case "cpu":
                return Opened(OnnxRuntimeNetwork(self.manifest, self.path), "provider: cpu")
            case "cuda":
                return Opened(OnnxRuntimeNetwork(self.manifest, self.path, "cuda"), "provider: cuda")
            case "openvino":
                return self._by_openvino()
            case "auto":
                return self._by_the_best()

    def _by_openvino(self) -> Opened:
        try:
            opened: Network = OpenVinoNetwork(self.manifest, self.path, self._lowest)
        except (UnreadableModel, WrongModelShape) as err:
            log.warning("%s; it stays on onnxruntime", err)
            return Opened(OnnxRuntimeNetwork(self.manifest, self.path), str(err))
        if self._lowest != self.precision:
            return Opened(opened, f"full precision: {self.manifest.full_precision}")
        return Opened(opened, "provider: openvino")

    @property
    def _lowest(self) -> Precision:
        """With which OpenVINO may compute the network."""
        return "f32" if self.manifest.full_precision else self.precision

    def _by_the_best(self) -> Opened:
        try:
            return Opened(OnnxRuntimeNetwork(self.manifest, self.path, "cuda"), "CUDA works")
        except ProviderUnavailable as err:
            log.info("%s: on the CPU: %s", self.manifest.name, err)
        try:
            openvino.core()
        except ProviderUnavailable as err:
            return Opened(OnnxRuntimeNetwork(self.manifest, self.path), str(err))
        return self._by_the_fastest()

    def _by_the_fastest(self) -> Opened:
        default = Way(onnxruntime.RUNTIME, "f32")
        precisions: dict[Precision, None] = dict.fromkeys(("f32", self._lowest))
        ways = [default, *(Way(openvino.RUNTIME, precision) for precision in precisions if openvino.has(precision))]
        took = {way: self._measured(way) for way in ways}
        fastest = min(ways, key=lambda way: took[way] if way != default else took[way] * PAYS)
        why = ", ".join(f"{way} {_told(took[way])}" for way in ways)
        return Opened(self._open(fastest), f"measured: {why}")

    def _measured(self, way: Way) -> float:
        version = onnxruntime.version() if way.runtime == onnxruntime.RUNTIME else openvino.version()
        key = Key(cpu_model(), self.manifest.sha256, way.runtime, version, way.precision)
        return self.measurements.of(key, self.manifest.name, lambda: self._measure(way))

    def _measure(self, way: Way) -> float:
        try:
            opened = self._open(way)
        except (UnreadableModel, WrongModelShape):
            if way.runtime == onnxruntime.RUNTIME:
                raise
            return math.inf
        return milliseconds(opened, inputs_of(self.manifest))

    def _open(self, way: Way) -> Network:
        if way.runtime == onnxruntime.RUNTIME:
            return OnnxRuntimeNetwork(self.manifest, self.path)
        return OpenVinoNetwork(self.manifest, self.path, way.precision)


def _told(took: float) -> str:
    return "can't open it" if math.isinf(took) else f"{took:.1f} ms"
