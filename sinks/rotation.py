"""Files that a file sink has filled: named by the time of their end, compressed, and deleted in the end."""

import contextlib
import gzip
import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final, Literal

from pydantic import Field, model_validator

from configs.section import Section

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

log = logging.getLogger(__name__)

DAY_S: Final = 86_400.0
CHUNK_BYTES: Final = 1_000_000
TIME: Final = "%Y%m%dT%H%M%S.%fZ"
ENDINGS: Final = {"none": "", "gzip": ".gz", "zstd": ".zst"}
PART: Final = ".part"
"""What a compressed file's name ends with until it is whole."""


class RotationSettings(Section):
    bytes: int | None = Field(
        100_000_000,
        ge=1,
        description="Bytes that a file has at most before a new one is begun. null: whatever its size.",
    )
    every: float | None = Field(
        DAY_S,
        gt=0,
        description="Seconds of a period, counted from midnight UTC: no file has documents of two. 86400 is a file a "
        "day, 3600 one an hour. null: whatever its age.",
    )
    compress: Literal["none", "gzip", "zstd"] = Field(
        "gzip", description="How files are compressed that are no longer written to. zstd is faster."
    )
    keep: int | None = Field(
        None, ge=0, description="Number of such files that are kept; the oldest are deleted. null: any number."
    )
    keep_days: float | None = Field(
        None,
        gt=0,
        description="Days after which such a file is deleted, counted from its last document. null: never.",
    )

    @model_validator(mode="after")
    def _by_something(self) -> "RotationSettings":
        if self.bytes is None and self.every is None:
            raise ValueError("expected `bytes` or `every`, got neither")
        return self

    def is_due(self, size: int, written_at: float, more: int) -> bool:
        """Whether `more` bytes go to a new file, where there is one of this size; `written_at` in Unix seconds."""
        too_large = self.bytes is not None and more > 0 and size + more > self.bytes
        too_old = self.every is not None and written_at // self.every != time.time() // self.every
        return size > 0 and (too_large or too_old)


class Archive:
    """The files beside `path` that were filled. Its methods block, each for one thread at a time."""

    def __init__(self, path: Path, settings: RotationSettings) -> None:
        self._path = path
        self.settings = settings
        self._lock = threading.Lock()
        self._told: set[str] = set()

    @property
    def next(self) -> Path:
        """The name under which the next file is made."""
        return self._path.with_name(f".{self._path.name}.new")

    def swap(self) -> None:
        """Puts the next file into the place of the filled one. At no time there is none. Raises OSError."""
        self._last.hardlink_to(self._path)
        self.next.replace(self._path)
        self._last.rename(self._name())

    def recover(self) -> None:
        """Ends a swap that a crash or an error has cut short. Raises OSError."""
        if self._last.exists():
            if self._last.samefile(self._path):
                self._last.unlink()
            else:
                self._last.rename(self._name())

    def files(self) -> list[Path]:
        """The oldest first. Raises OSError."""
        return sorted(path for path in self._path.parent.iterdir() if self._is_filled(path.name))

    def tidy(self, stopped: threading.Event) -> None:
        """Compresses and deletes what is due, until it is `stopped`: what is left is for the next time."""
        with self._lock:
            for step in (self._compress_all, self._delete_old):
                try:
                    step(stopped)
                except OSError as err:
                    self._tell(f"{err.filename or self._path}: {err.strerror}")

    def wait(self) -> None:
        """Until nothing is being done."""
        with self._lock:
            pass

    @property
    def _last(self) -> Path:
        return self._path.with_name(f".{self._path.name}.old")

    def _name(self) -> Path:
        """Of a filled file; one that there is not yet."""
        while True:
            time_of_end = datetime.now(UTC).strftime(TIME)
            filled = self._path.with_name(f"{self._path.stem}-{time_of_end}{self._path.suffix}")
            if not any(filled.with_name(filled.name + ending).exists() for ending in ENDINGS.values()):
                return filled

    def _is_filled(self, name: str) -> bool:
        rest = name.removeprefix(f"{self._path.stem}-")
        for ending in ENDINGS.values():
            with contextlib.suppress(ValueError):
                datetime.strptime(rest, f"{TIME}{self._path.suffix.replace('%', '%%')}{ending}").replace(tzinfo=UTC)
                return rest != name
        return False

    def _compress_all(self, stopped: threading.Event) -> None:
        ending = ENDINGS[self.settings.compress]
        for path in self.files() if ending else ():
            if path.suffix == self._path.suffix and not stopped.is_set():
                self._compress(path, path.with_name(path.name + ending), stopped)

    def _compress(self, path: Path, whole: Path, stopped: threading.Event) -> None:
        part = whole.with_name(whole.name + PART)
        try:
            with path.open("rb") as source, _private_as(source, part) as raw, self._compressor(raw) as target:
                while chunk := source.read(CHUNK_BYTES):
                    if stopped.is_set():
                        return
                    target.write(chunk)
            shutil.copystat(path, part)  # when its last document came
            part.rename(whole)
            path.unlink()
        finally:
            part.unlink(missing_ok=True)

    def _compressor(self, raw: IO[bytes]) -> "contextlib.AbstractContextManager[IO[bytes]]":
        if self.settings.compress == "zstd":
            return zstd.ZstdFile(raw, "wb")  # type: ignore[return-value]
        return gzip.GzipFile(self._path.name, "wb", 6, raw)  # type: ignore[return-value]

    def _delete_old(self, _: threading.Event) -> None:
        files, settings = self.files(), self.settings
        old = set(files[: max(len(files) - settings.keep, 0)] if settings.keep is not None else ())
        if settings.keep_days is not None:
            oldest = time.time() - settings.keep_days * DAY_S
            old |= {path for path in files if path.stat().st_mtime < oldest}
        for path in old:
            path.unlink()

    def _tell(self, message: str) -> None:
        if message not in self._told:
            log.warning("%s: filled files stay as they are", message)
        self._told.add(message)


@contextlib.contextmanager
def _private_as(source: IO[bytes], path: Path) -> Iterator[IO[bytes]]:
    """A new file that those may read who may read the source; on the disk when it is closed."""
    mode = os.fstat(source.fileno()).st_mode & 0o777
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode), "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
