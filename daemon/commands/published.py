"""The schemas that are published: printed, and written as files."""

from collections.abc import Callable, Mapping
from pathlib import Path

from daemon.errors import ConfigError
from daemon.wire.codec import Members, encode
from daemon.wire.schemas.documents import DIALECT, documents


def published() -> Mapping[str, Members]:
    """All, by the names of their files."""
    return documents()


def shown(of: str) -> str:
    return text(PRINTED[of]())


def text(schema: object) -> str:
    return encode(schema, indent=2).decode() + "\n"


def bundle() -> Members:
    """The schemas of all records in one, each by its `$id` (JSON Schema 2020-12, section 9.3)."""
    return {"$schema": DIALECT, "$defs": {schema["$id"]: schema for schema in documents().values()}}


PRINTED: Mapping[str, Callable[[], Members]] = {"documents": bundle}
"""What `visaged schema` prints."""


def write(folder: Path) -> None:
    """Raises ConfigError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, schema in published().items():
            (folder / name).write_text(text(schema), encoding="utf-8")
    except OSError as err:
        raise ConfigError(f"{folder}: the schemas can't be written: {err.strerror}") from err
