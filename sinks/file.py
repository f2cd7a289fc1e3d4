# The sinks engineer is back and is rewriting this file: see /tmp/SINKS_ENGINEER_IS_BACK.md
"""Documents to a file of JSON Lines."""

import asyncio
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Literal

from pydantic import BaseModel, ConfigDict, Field

from sinks.base import Record, SinkError


class FileSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["file"]
    path: Path = Field(description="The file of JSON Lines that documents are appended to; its folder must be there.")
    sync: bool = Field(
        False,
        description="Wait after each batch until the disk has it: what was acknowledged then survives a power cut.",
    )


class FileSink:
    """Loses, where `sync` is off, what the kernel had not written at a power cut; repeats and reorders nothing.

    One document a line, appended. After a crash the last line may be cut short: the next open() ends it, so that every
    later line is whole.
    """

    def __init__(self, settings: FileSettings) -> None:
        self.counts: Counter[str] = Counter()
        self._settings = settings
        self._file: BinaryIO | None = None

    async def open(self) -> None:
        await asyncio.to_thread(self._open)

    async def write(self, records: Sequence[Record]) -> None:
        await asyncio.to_thread(self._write, records)

    async def close(self) -> None:
        if self._file is not None:
            await asyncio.to_thread(self._file.close)
            self._file = None

    def _open(self) -> None:
        path = self._settings.path
        try:
            self._file = path.open("a+b", buffering=0)
            end = self._file.seek(0, os.SEEK_END)
            if end and os.pread(self._file.fileno(), 1, end - 1) != b"\n":
                self._file.write(b"\n")
        except OSError as err:
            raise SinkError(f"{path}: {err.strerror}", retriable=False) from err

    def _write(self, records: Sequence[Record]) -> None:
        assert self._file is not None  # noqa: S101  # open() came first
        lines = b"".join(record.value + b"\n" for record in records)
        end = self._file.seek(0, os.SEEK_END)
        try:
            written = 0
            while written < len(lines):
                written += self._file.write(lines[written:])
            if self._settings.sync:
                os.fsync(self._file.fileno())
        except OSError as err:
            self._file.truncate(end)  # all or nothing, so that trying again repeats no line
            raise SinkError(f"{self._settings.path}: {err.strerror}", retriable=True, unwritten=records) from err
