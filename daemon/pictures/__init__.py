"""Encoded pictures to arrays: what a file costs is looked at first, then it is decoded, where there is room for it.

Files that were cut short are told from whole ones; cv2.imdecode alone returns them half grey.
"""

import contextlib
import math
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import cv2

from daemon.errors import BadImage, ImageTooLarge, Overloaded
from daemon.pictures import formats
from daemon.pictures.base import damaged, orientation
from processors.types import Image

UPRIGHT: Mapping[int, Callable[[Any], Any]] = {
    2: lambda stored: cv2.flip(stored, 1),
    3: lambda stored: cv2.rotate(stored, cv2.ROTATE_180),
    4: lambda stored: cv2.flip(stored, 0),
    5: cv2.transpose,
    6: lambda stored: cv2.rotate(stored, cv2.ROTATE_90_CLOCKWISE),
    7: lambda stored: cv2.rotate(cv2.transpose(stored), cv2.ROTATE_180),
    8: lambda stored: cv2.rotate(stored, cv2.ROTATE_90_COUNTERCLOCKWISE),
}
"""What brings a picture of this EXIF orientation into the displayed one."""

PIXELS_AT_ONCE: Final = 100_000_000


class Room:
    """For pixels that are decoded at once, in all threads. What is larger than all of it is let in alone.

    A decoder takes 3 to 15 bytes a pixel while it works: by its size alone a picture is no burden, four of the largest
    at once are one.
    """

    def __init__(self, pixels: int) -> None:
        self._pixels = pixels
        self._taken = 0
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def of(self, pixels: int, wait: float | None) -> Iterator[None]:
        """Held while it is decoded. Raises Overloaded where there is none in `wait` seconds; None: waits for ever."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._fits(pixels), wait):
                raise Overloaded("No capacity for a picture of this size, try again later")
            self._taken += pixels
        try:
            yield
        finally:
            with self._changed:
                self._taken -= pixels
                self._changed.notify_all()

    def _fits(self, pixels: int) -> bool:
        return not self._taken or self._taken + pixels <= self._pixels


ROOM = Room(PIXELS_AT_ONCE)


def decode(data: bytes, max_pixels: int, *, wait: float | None = None) -> Image:
    """The picture as it is displayed (EXIF), its first frame, in BGR.

    JPEG, PNG, BMP or WebP by its first bytes; grey, 16 bits, alpha (dropped), palettes and CMYK too. Raises
    UnsupportedImage, DamagedImage, ImageTooLarge or TooMuchWork, the last two before anything is decoded; and
    Overloaded where others are decoding pictures of PIXELS_AT_ONCE for more than `wait` seconds.
    """
    with _decoding():
        file = formats.read(data)
    check_size(file.width, file.height, max_pixels)
    with ROOM.of(file.width * file.height, wait), _decoding():
        image = file.decode()
    turn = UPRIGHT.get(orientation(file.exif))
    return image if turn is None else turn(image)


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Raises ImageTooLarge."""
    if width * height > max_pixels:
        megapixels = math.ceil(width * height / 1e5) / 10
        raise ImageTooLarge(
            f"Image resolution is too large: {megapixels:g} megapixels, the limit is {max_pixels / 1e6:g}"
        )


@contextlib.contextmanager
def _decoding() -> Iterator[None]:
    """The one boundary: parsing raises what it meets, OSError, SyntaxError, struct.error, zlib.error, cv2.error..."""
    try:
        yield
    except BadImage:
        raise
    except Exception as err:
        raise damaged(err) from err
