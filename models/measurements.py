"""How long a network takes on this CPU, by runtime and precision: measured once, and remembered."""

import contextlib
import csv
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.manifest import Manifest, Tensor
from models.network import Network, Precision

log = logging.getLogger(__name__)

RUNS = 6
SIZES = {"H": 384, "W": 640}
"""Of dimensions that a run chooses; others are 1."""


class Way(NamedTuple):
    """How a network may run."""

    runtime: str
    precision: Precision

    def __str__(self) -> str:
        return f"{self.runtime} {self.precision}"


class Key(NamedTuple):
    """What a measurement holds for."""

    cpu: str
    sha256: str
    runtime: str
    version: str
    precision: str


class Measurements:
    """CPU milliseconds of a run; infinite where a network cannot run this way.

    With a `path`, a CSV file of lines that are only ever added, they outlast the process. Several may write to it.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._known: dict[Key, float] | None = None

    def of(self, key: Key, name: str, measure: Callable[[], float]) -> float:
        """As it is known, else as `measure` says. The network's `name` is for whoever reads the file."""
        if self._known is None:
            self._known = {} if self._path is None else _read(self._path)
        if key not in self._known:
            self._known[key] = measure()
            self._remember(key, name)
        return self._known[key]

    def _remember(self, key: Key, name: str) -> None:
        if self._path is None or self._known is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8", newline="") as file:
                csv.writer(file).writerow([*key, f"{self._known[key]:.3f}", name])
        except OSError as err:
            log.warning("%s: not remembered, and measured again at the next start: %s", self._path, err.strerror)


def _read(path: Path) -> dict[Key, float]:
    """A line that is damaged is as if it were not there: it is measured again."""
    known: dict[Key, float] = {}
    with (
        contextlib.suppress(OSError, csv.Error),
        path.open(encoding="utf-8", errors="replace", newline="") as file,
    ):
        for line in csv.reader(file):
            with contextlib.suppress(TypeError, ValueError):
                *key, milliseconds, _ = line
                known[Key(*key)] = float(milliseconds)
    return known


def milliseconds(network: Network, inputs: Mapping[str, NDArray[Any]]) -> float:
    """CPU time of a run in this thread: the smallest of several, as a busy machine only adds."""
    took = []
    for _ in range(RUNS):
        began = time.thread_time()
        network.new_run()(inputs)
        took.append(time.thread_time() - began)
    return min(took) * 1000


def inputs_of(manifest: Manifest) -> Mapping[str, NDArray[Any]]:
    """Noise."""
    random = np.random.default_rng(0)
    return {tensor.name: random.uniform(0, 1, _shape(tensor)).astype(tensor.dtype) for tensor in manifest.inputs}


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return tuple(size if isinstance(size, int) else SIZES.get(size, 1) for size in tensor.shape)
