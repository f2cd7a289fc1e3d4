"""Pictures as a video with one frame per second: all of a folder, sorted by name, or a list of files."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from daemon.errors import BadImage, SourceError
from daemon.pictures import decode
from daemon.pictures.masks import Corners, masked
from daemon.sources.base import Out
from daemon.sources.planes import AS_STORED, Mounted, oriented, turned
from processors.types import Frame

MAX_PIXELS = 100_000_000
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


class PicturesReader:
    """Puts the pictures of `paths()`; one that cannot be read is a failed frame, and the others go on."""

    def __init__(
        self, paths: Callable[[], Sequence[Path]], mounted: Mounted | None = None, masks: Sequence[Corners] = ()
    ) -> None:
        """`masks`: on the pictures as displayed, `mounted` included."""
        self._paths = paths
        self._orientation = turned(AS_STORED, mounted)
        self._masks = masks

    def read(self, out: Out) -> None:
        began = time.time()
        for index, path in enumerate(self._paths()):
            if out.stopped:
                return
            try:
                image = oriented(decode(path.read_bytes(), MAX_PIXELS), self._orientation)
            except BadImage as err:
                out.fail(type(err)(f"{path}: {err}"))
            except OSError as err:  # which names it
                out.fail(err)
            else:
                out.put(Frame.of(masked(image, self._masks), index=index, pts=float(index), captured_at=began + index))


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder, sorted by name. Raises SourceError if there are none."""
    try:
        paths = sorted(path for path in folder.iterdir() if is_picture(path))
    except OSError as err:
        raise SourceError(f"{folder}: {err.strerror}") from err
    if not paths:
        raise SourceError(f"{folder}: expected pictures ({', '.join(SUFFIXES)}), found none")
    return paths


def is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES
