"""The schemas that are published: printed, and written as files."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from daemon.commands.run import App
from daemon.config.model import Config
from daemon.errors import ConfigError
from daemon.http.openapi.published import ASYNCAPI, OPENAPI
from daemon.http.openapi.published import published as published_by
from daemon.http.settings import HttpSettings
from daemon.wire.codec import Members, encode
from daemon.wire.schemas.documents import DIALECT, documents


def published() -> Mapping[str, Members]:
    """All, by the names of their files: what a daemon with HTTP, and nothing else configured, would serve."""
    return asyncio.run(_published())


async def _published() -> Mapping[str, Members]:
    app = App(Config(http=HttpSettings()))
    assert app.http is not None  # noqa: S101  # it is configured
    try:
        return await asyncio.to_thread(published_by, app.http.routes)
    finally:
        await app.close()


def shown(of: str) -> str:
    return text(PRINTED[of]())


def text(schema: object) -> str:
    return encode(schema, indent=2).decode() + "\n"


def bundle() -> Members:
    """The schemas of all records in one, each by its `$id` (JSON Schema 2020-12, section 9.3)."""
    return {"$schema": DIALECT, "$defs": {schema["$id"]: schema for schema in documents().values()}}


PRINTED: Mapping[str, Callable[[], Members]] = {
    "documents": bundle,
    "asyncapi": lambda: published()[ASYNCAPI],
    "openapi": lambda: published()[OPENAPI],
}
"""What `visaged schema` prints."""


def write(folder: Path) -> None:
    """Raises ConfigError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, schema in published().items():
            (folder / name).write_text(text(schema), encoding="utf-8")
    except OSError as err:
        raise ConfigError(f"{folder}: the schemas can't be written: {err.strerror}") from err
