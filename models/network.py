"""What every runtime offers: an open network, and its runs."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

from numpy.typing import NDArray

from models.errors import WrongModelShape
from models.manifest import Manifest, Tensor, signature

Device = Literal["cpu", "cuda"]
Precision = Literal["f32", "bf16"]


class Run(Protocol):
    """One run of a network, which another thread can end."""

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> Sequence[NDArray[Any]]:
        """The outputs, in the manifest's order. Raises whatever the runtime raises. To be called once."""
        ...

    def terminate(self) -> None:
        """Ends the run between two operators of the network: the call then raises."""
        ...


class Network(Protocol):
    """A network that a runtime has opened. Each run computes in the thread that calls it, also beside others."""

    runtime: str
    device: Device
    precision: Precision

    def new_run(self) -> Run: ...


class Port(NamedTuple):
    """An input or output as the runtime sees it; a size that is not fixed is its name, or None."""

    name: str
    dtype: str
    shape: Sequence[int | str | None]


def expect_ports(manifest: Manifest, inputs: Sequence[Port], outputs: Sequence[Port]) -> None:
    """Raises WrongModelShape where they are not the manifest's."""
    _expect(manifest.name, "inputs", manifest.inputs, inputs)
    _expect(manifest.name, "outputs", manifest.outputs, outputs)


def _expect(name: str, direction: str, expected: Sequence[Tensor], actual: Sequence[Port]) -> None:
    if len(expected) != len(actual) or not all(map(_matches, expected, actual)):
        found = [signature(*port) for port in actual]
        raise WrongModelShape(name, direction, expected=listed(expected), actual=listed(found))


def _matches(expected: Tensor, actual: Port) -> bool:
    return (
        (expected.name, expected.dtype) == (actual.name, actual.dtype)
        and len(expected.shape) == len(actual.shape)
        and all(
            wanted == size if isinstance(wanted, int) else not isinstance(size, int)
            for wanted, size in zip(expected.shape, actual.shape, strict=True)
        )
    )


def listed(items: Sequence[object]) -> str:
    return ", ".join(map(str, items)) or "nothing"
