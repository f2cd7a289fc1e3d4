"""The files of the shots, named by what is in them: one for all events of a track that have the same picture."""

import contextlib
import hashlib
from collections.abc import Iterable, Set
from pathlib import Path

from daemon.work.state import private

BLOCK_BYTES = 4096
"""In which file systems give out their space."""
DIGEST_BYTES = 16


class Pictures:
    """A folder with nothing else in it. Raises OSError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def begin(self, known: Set[bytes]) -> None:
        """Removes what is not known: what a crash, or a kill, has left."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        names = {self._path(digest).name for digest in known}
        for path in self._folder.iterdir():
            if path.name not in names:
                path.unlink()

    def write(self, digest: bytes, jpeg: bytes) -> None:
        """Whole or not at all, and for nobody else's eyes."""
        path = self._path(digest)
        beside = path.with_suffix(".new")
        try:
            with open(beside, "wb", opener=private) as file:
                file.write(jpeg)
            beside.replace(path)
        except OSError:
            beside.unlink(missing_ok=True)  # on a full disk a half is space too
            raise

    def read(self, digest: bytes) -> bytes | None:
        """None: it is not there whole, after a power cut or by somebody else's hand."""
        with contextlib.suppress(FileNotFoundError):
            jpeg = self._path(digest).read_bytes()
            return jpeg if digest_of(jpeg) == digest else None
        return None

    def remove(self, digests: Iterable[bytes]) -> None:
        for digest in digests:
            self._path(digest).unlink(missing_ok=True)

    def _path(self, digest: bytes) -> Path:
        return self._folder / f"{digest.hex()}.jpg"


def digest_of(jpeg: bytes) -> bytes:
    return hashlib.sha256(jpeg).digest()[:DIGEST_BYTES]


def size_on_disk(length: int) -> int:
    return -(-length // BLOCK_BYTES) * BLOCK_BYTES
