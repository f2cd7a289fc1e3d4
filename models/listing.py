"""What `visaged models` shows."""

from typing import NamedTuple

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


def table(rows: list[Row]) -> str:
    """Aligned columns under their names, sizes in kB or MB."""
    cells = [[field.upper() for field in Row._fields]]
    cells[0][4] = "SIZE"
    cells += [[row.name, row.task, row.licence, row.use, _size(row.bytes), row.file] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
    )


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"
