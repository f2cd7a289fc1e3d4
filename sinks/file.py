"""Documents to a file of JSON Lines."""

import asyncio
import contextlib
import os
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from configs.section import Section
from sinks.base import Linger, Record, SinkError
from sinks.lines import joined, one_line_each, raise_refused


class FileSettings(Section):
    type: Literal["file"]
    linger: Linger = 0.05
    path: Path = Field(description="The file (JSON Lines) to which documents are appended. Its folder must exist.")
    sync: bool = Field(
        False,
        description="Call fsync after each batch: acknowledged documents then survive a power cut. Costs a wait for "
        "the disk per batch.",
    )


class FileSink:
    """Loses, without `sync`, what the kernel had not put on the disk at a power cut; repeats and reorders nothing.

    One document a line, appended; keys, headers and timestamps are not kept. A batch gets in as a whole or not at all.
    A line that a crash cut short is ended at the next open(), so that all later ones are whole. The file must have no
    other writer. While the disk hangs close() waits for it, as nothing can call back a write.
    """

    def __init__(self, settings: FileSettings) -> None:
        self.counts: Counter[str] = Counter()
        self._path = settings.path
        self._sync = settings.sync
        self._fd: int | None = None
        self._lock = threading.Lock()  # a write() that is cancelled leaves its thread at work: close() waits for it

    async def open(self) -> None:
        try:
            await asyncio.to_thread(self._open)
        except OSError as err:
            raise SinkError(f"{self._path}: {err.strerror}", retriable=False) from err

    async def write(self, records: Sequence[Record]) -> None:
        lines, refused = one_line_each(records)
        try:
            await asyncio.to_thread(self._append, joined(lines))
        except OSError as err:
            message = f"{self._path}: {err.strerror}"
            raise SinkError(message, retriable=True, unwritten=lines, refused=refused) from err
        raise_refused(refused)

    async def close(self) -> None:
        await asyncio.to_thread(self._close)

    def _open(self) -> None:
        with self._lock:
            self._fd = _open_whole(self._path)

    def _append(self, lines: bytes) -> None:
        with self._lock:
            if self._fd is None:
                self._fd = _open_whole(self._path)
            end = os.lseek(self._fd, 0, os.SEEK_END)
            try:
                _write_all(self._fd, lines)
                if self._sync:
                    os.fsync(self._fd)
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._fd, end)
                os.close(self._fd)  # the next write() opens it afresh: it may have been moved, or its disk come back
                self._fd = None
                raise

    def _close(self) -> None:
        with self._lock:
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None


def _open_whole(path: Path) -> int:
    """Opens the file for appending, behind a whole line."""
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        end = os.lseek(fd, 0, os.SEEK_END)
        if end and os.pread(fd, 1, end - 1) != b"\n":
            _write_all(fd, b"\n")
    except OSError:
        os.close(fd)
        raise
    return fd


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
