"""What `visaged models` shows."""

from collections.abc import Sequence
from typing import NamedTuple

from models.network import Network
from models.store import FileState, ModelStore


class Row(NamedTuple):
    name: str
    task: str
    licence: str
    use: str
    bytes: int
    file: FileState


def listing(store: ModelStore) -> list[Row]:
    return [
        Row(manifest.name, manifest.task, manifest.licence, manifest.use, manifest.bytes, store.check(manifest.name))
        for manifest in store.manifests()
    ]


class Opened(NamedTuple):
    """How a network of the list runs on this machine."""

    name: str
    device: str
    runtime: str
    precision: str
    why: str


def opened(store: ModelStore, rows: Sequence[Row]) -> list[Opened]:
    """Opens each network whose file is right, as the store's provider and precision say. Raises ModelError."""
    names = [row.name for row in rows if row.file == "ok" and store.manifest(row.name).is_network]
    sessions = [(name, store.session(name)) for name in names]
    return [Opened(name, *_way(session.network), session.why) for name, session in sessions]


def _way(network: Network) -> tuple[str, str, str]:
    return network.device, network.runtime, network.precision


def table(rows: Sequence[Row]) -> str:
    """Aligned columns under their names, sizes in kB or MB."""
    heading = [field.upper() for field in Row._fields]
    heading[4] = "SIZE"
    lines = [[row.name, row.task, row.licence, row.use, _size(row.bytes), row.file] for row in rows]
    return _aligned([heading, *lines])


def table_of_runtimes(rows: Sequence[Opened]) -> str:
    return _aligned([[field.upper() for field in Opened._fields], *rows])


def _aligned(cells: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
    )


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"
