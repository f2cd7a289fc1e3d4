"""Where the streams that were added at run time are kept."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from daemon.errors import ConfigError, InvalidDocument, RegistryError
from daemon.wire.codec import Members, encode, parse
from daemon.work.state import private

FORMAT = 1


class Registry(Protocol):
    """Entries by the streams' ids. It blocks: for one thread at a time."""

    def load(self) -> Mapping[str, Members]:
        """All of them. Raises ConfigError where it holds something else."""

    def put(self, stream: str, entry: Members) -> None:
        """In the place of the one that it has. What has returned outlives a crash. Raises RegistryError."""

    def remove(self, stream: str) -> None:
        """It may have none. What has returned outlives a crash. Raises RegistryError."""


class FileRegistry:
    """One JSON file that its owner alone can read, written anew with each change: passwords are in it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: Mapping[str, Members] = {}

    def load(self) -> Mapping[str, Members]:
        try:
            match parse(self._path.read_bytes()) if self._path.exists() else {"format": FORMAT, "streams": {}}:
                case {"format": 1, "streams": dict(streams)} if all(isinstance(one, dict) for one in streams.values()):
                    self._entries = streams
                case _:
                    raise ConfigError(f"{self._path}: expected the streams of format {FORMAT}: {REMEDY}")
        except InvalidDocument:
            raise ConfigError(f"{self._path}: expected JSON that visaged wrote: {REMEDY}") from None
        except OSError as err:
            raise ConfigError(f"{self._path}: cannot be read: {err.strerror}") from err
        return self._entries

    def put(self, stream: str, entry: Members) -> None:
        self._write({**self._entries, stream: entry})

    def remove(self, stream: str) -> None:
        if stream in self._entries:
            self._write({name: entry for name, entry in self._entries.items() if name != stream})

    def _write(self, entries: Mapping[str, Members]) -> None:
        new = self._path.with_suffix(".new")
        try:
            with open(new, "wb", opener=private) as file:
                file.write(encode({"format": FORMAT, "streams": entries}))
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)
            _sync(self._path.parent)
        except OSError as err:
            raise RegistryError(f"state_dir: {self._path} cannot be written: {err.strerror}") from err
        self._entries = entries


REMEDY = "move it away to start without the streams that were added at run time"


def _sync(folder: Path) -> None:
    """Without it a power cut may bring back the file before."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
