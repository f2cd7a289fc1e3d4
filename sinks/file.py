"""Documents to a file of JSON Lines."""

import asyncio
import contextlib
import errno
import logging
import os
import select
import stat
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from sinks.base import Linger, Record, SinkError, SinkInUse
from sinks.lines import behind, joined, one_line_each, raise_refused
from sinks.lock import Held, lock
from sinks.rotation import Archive, RotationSettings
from sinks.selection import Selection

log = logging.getLogger(__name__)

POLL_S = 0.1
TIDY_S = 60.0
"""How often it is seen to that a quiet file's time is over, and that of filled ones."""


class FileSettings(Selection):
    type: Literal["file"]
    linger: Linger = 0.05
    path: Path = Field(
        description="The file (JSON Lines) to which documents are appended. Its folder must exist. A file that was "
        "moved or deleted, as by logrotate, is made anew. The file is locked: a second daemon waits `stop_timeout` "
        "for it and then ends. A FIFO or a device is not locked; a FIFO needs a reader."
    )
    sync: bool = Field(
        False,
        description="Call fsync after each batch: acknowledged documents then survive a power cut. Costs a wait for "
        "the disk per batch.",
    )
    rotate: RotationSettings | None = Field(
        None,
        description="Begin a new file by size and age; a filled one stays beside `path`, and the time of its end is in "
        "its name. {}: after 100 MB or a day, in gzip. null: one file, which only grows.",
    )


class FileSink:
    """Loses, without `sync`, what the kernel had not put on the disk at a power cut; repeats and reorders nothing.

    One document a line, appended; keys, headers and timestamps are not kept. Of a batch that a full disk or file ends
    the first lines get in, and none in part. A line that a crash cut short is ended at the next open(), so that all
    later ones are whole. The file is locked, as a second writer would end its lines; one that has been moved or deleted
    is made anew, with the lock. While the disk hangs close() waits for it, as nothing can call back a write.

    With `rotate` a batch that would make the file too large, or that comes in another period, begins a new one. Filled
    files are compressed and deleted by a thread that no write waits for. A file that cannot be given another name is
    written on, and `rotation_failed` is counted.

    A FIFO or a device is not locked, and what a FIFO's reader had not read when it went away is lost.
    """

    def __init__(self, settings: FileSettings) -> None:
        self.counts: Counter[str] = Counter()
        self._path = settings.path
        self._sync = settings.sync
        self._archive = Archive(settings.path, settings.rotate) if settings.rotate is not None else None
        self._file: _File | None = None
        self._tidying: asyncio.Task[None] | None = None
        self._rotated = asyncio.Event()
        self._closed = threading.Event()
        self._lock = threading.Lock()  # a write() that is cancelled leaves its thread at work: close() waits for it

    async def open(self) -> None:
        self._closed.clear()
        try:
            await asyncio.to_thread(self._open)
        except Held as err:
            raise SinkInUse(f"{self._path}: {err.strerror}") from None
        except OSError as err:
            # A FIFO that nobody reads yet is "no such device" (fifo(7)).
            raise SinkError(f"{self._path}: {err.strerror}", retriable=err.errno == errno.ENXIO) from err
        if self._archive is not None and self._tidying is None:
            self._tidying = asyncio.create_task(self._keep_tidy(self._archive))

    async def write(self, records: Sequence[Record]) -> None:
        lines, refused = one_line_each(records)
        rotations = self.counts["rotations"]
        written, err = await asyncio.to_thread(self._append, joined(lines))
        if self.counts["rotations"] > rotations:
            self._rotated.set()
        if left := behind(lines, written):
            message = f"{self._path}: {err.strerror if err else 'closed'}"
            raise SinkError(message, retriable=True, unwritten=left, refused=refused) from err
        raise_refused(refused)

    async def close(self) -> None:
        self._closed.set()
        if self._tidying is not None:
            self._tidying.cancel()
            await asyncio.wait([self._tidying])
            self._tidying = None
        await asyncio.to_thread(self._close)

    async def _keep_tidy(self, archive: Archive) -> None:
        while True:
            await asyncio.to_thread(self._rotate_if_due)
            await asyncio.to_thread(archive.tidy, self._closed)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TIDY_S):
                    await self._rotated.wait()
            self._rotated.clear()

    def _open(self) -> None:
        with self._lock:
            self._close_file()
            self._file = self._opened()

    def _opened(self) -> "_File":
        file = _File(self._path, self._closed)
        if self._archive is not None:
            try:
                self._archive.recover()
            except BaseException:
                file.close()
                raise
        return file

    def _append(self, lines: bytes) -> tuple[int, OSError | None]:
        """How many bytes, of whole lines, were written, and what kept the rest from it."""
        with self._lock:
            try:
                if self._file is not None and not self._file.is_at(self._path):
                    log.info("%s was moved or deleted: a new file is begun", self._path)
                    self._close_file()
                if self._file is None:
                    self._file = self._opened()
                self._file = self._rotated_for(len(lines), self._file)
                written, error = self._file.append(lines, sync=self._sync)
            except OSError as err:
                written, error = 0, err
            if error is not None:
                self._close_file()  # the next write() opens it afresh: its disk may come back, or its reader
            return written, error

    def _rotate_if_due(self) -> None:
        with self._lock:
            if self._file is not None and self._file.is_at(self._path):
                self._file = self._rotated_for(0, self._file)

    def _rotated_for(self, more: int, file: "_File") -> "_File":
        """The file that `more` bytes go to: a new one where it is time for that, and one can be made."""
        archive = self._archive
        if archive is None or not file.is_due(archive.settings, more):
            return file
        try:
            new = _File(archive.next, self._closed)  # locked before it has the name that a second daemon waits for
        except OSError as err:
            return self._unrotated(file, err)
        try:
            archive.swap()
        except OSError as err:
            if file.is_at(self._path):
                new.close()
                return self._unrotated(file, err)
        file.close()
        self.counts["rotations"] += 1
        return new

    def _unrotated(self, file: "_File", err: OSError) -> "_File":
        if not self.counts["rotation_failed"]:
            log.warning("%s: no new file can be begun: %s", self._path, err.strerror)
        self.counts["rotation_failed"] += 1
        return file

    def _close(self) -> None:
        if self._archive is not None:
            self._archive.wait()
        with self._lock:
            self._close_file()

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


class _File:
    """An open file, locked, behind a whole line. For one thread at a time."""

    def __init__(self, path: Path, closed: threading.Event) -> None:
        """Where it may wait for a reader, writing ends when `closed` is set. Raises OSError."""
        self._closed = closed
        self._fd = _opened(path)
        self._can_seek = stat.S_ISREG(os.fstat(self._fd).st_mode)
        try:
            _lock(self._fd, path)
            if self._can_seek and not self.is_at(path):  # its writer filled it and let go between our open() and lock
                raise Held(errno.EWOULDBLOCK, "in use: its writer has just begun a new file")
            self._end_line()
        except BaseException:
            self.close()
            raise

    def is_at(self, path: Path) -> bool:
        try:
            return os.path.samestat(path.stat(), os.fstat(self._fd))
        except FileNotFoundError:
            return False

    def is_due(self, rotation: RotationSettings, more: int) -> bool:
        state = os.fstat(self._fd)
        return self._can_seek and rotation.is_due(state.st_size, state.st_mtime, more)

    def append(self, lines: bytes, *, sync: bool) -> tuple[int, OSError | None]:
        """How many bytes, of whole lines, were written, and what kept the rest from it."""
        written, error = self._write(lines)
        whole = lines.rfind(b"\n", 0, written) + 1
        if sync:
            try:
                os.fsync(self._fd)
            except OSError as err:
                whole, error = 0, err
        if whole < written and self._can_seek:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, os.fstat(self._fd).st_size - (written - whole))
        return whole, error

    def close(self) -> None:
        os.close(self._fd)

    def _write(self, data: bytes) -> tuple[int, OSError | None]:
        at = 0
        try:
            while at < len(data) and not (self._closed.is_set() and not self._can_seek):
                try:
                    at += os.write(self._fd, memoryview(data)[at:])
                except BlockingIOError:  # a FIFO whose reader is slow
                    self._wait()
        except OSError as err:
            return at, err
        return at, None

    def _wait(self) -> None:
        writable = select.poll()
        writable.register(self._fd, select.POLLOUT)
        writable.poll(POLL_S * 1000)

    def _end_line(self) -> None:
        end = os.lseek(self._fd, 0, os.SEEK_END) if self._can_seek else 0
        if end and os.pread(self._fd, 1, end - 1) != b"\n":
            _, error = self._write(b"\n")
            if error is not None:
                raise error


def _opened(path: Path) -> int:
    flags = os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
    if path.exists() and not path.is_file():
        return os.open(path, flags | os.O_WRONLY)
    return os.open(path, flags | os.O_RDWR, 0o644)


def _lock(fd: int, path: Path) -> None:
    try:
        lock(fd)
    except Held:
        raise
    except OSError as err:
        log.warning("%s is not locked, as its disk knows no locks (%s): it must have no other writer", path, err)
