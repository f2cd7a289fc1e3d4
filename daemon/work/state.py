"""The folder of what must survive a crash (`state_dir`). One daemon at a time has it."""

import asyncio
import contextlib
import os
import socket
import time
from pathlib import Path

from daemon.errors import ConfigError, StateInUse
from sinks.lock import Held, lock

POLL_S = 0.2


class StateDir:
    """Held by a lock on a file `lock` in it, which says who holds it. For the event loop's thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path / "lock"
        self._fd: int | None = None

    async def hold(self, timeout: float, stop: asyncio.Event) -> None:
        """Until release(). Waits `timeout` seconds for another daemon to end, or until `stop` is set.

        Raises StateInUse, and ConfigError where the folder cannot be made or written to.
        """
        gives_up_at = time.monotonic() + timeout
        while not stop.is_set():
            try:
                self._fd = await asyncio.to_thread(self._lock)
            except Held as err:
                holder = err
            except OSError as err:
                raise ConfigError(
                    f"state_dir: expected a folder to write to, got {self._path}: {err.strerror}"
                ) from err
            else:
                return
            if time.monotonic() >= gives_up_at:
                raise StateInUse(f"state_dir: {self._path} is {await asyncio.to_thread(self._told, holder)}")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), POLL_S)

    def release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _lock(self) -> int:
        self._path.mkdir(parents=True, exist_ok=True)
        fd = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            lock(fd)
            os.ftruncate(fd, 0)
            os.write(fd, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _told(self, held: Held) -> str:
        """In the holder's own words: it may be on another machine, or in another container."""
        with contextlib.suppress(OSError):
            if holder := self._file.read_text(errors="replace").strip():
                return f"in use by {holder[:200]}"
        return held.strerror or "in use"


def private(path: str, flags: int) -> int:
    """An opener for open(): what is made can be read by its owner alone, as templates and passwords are kept here."""
    return os.open(path, flags, 0o600)
