"""BMP (Windows' and OS/2's): a header in one of eight sizes, a palette, rows."""

import io
import struct

import cv2
import numpy as np
from PIL.BmpImagePlugin import BmpImageFile

from daemon.errors import UnsupportedImage
from daemon.pictures.base import damaged
from daemon.pictures.bgr import to_bgr
from processors.types import Image

FILE_HEADER_BYTES = 14
CORE_HEADER_BYTES = 12
RLE8, RLE4 = 1, 2
OF_RUNS = {RLE8: 8, RLE4: 4}
"""Bits of a pixel by compression."""


class BmpFile:
    """Runs are decoded by OpenCV (Pillow does it in Python, at 100 ns a pixel), all else by Pillow."""

    exif = b""

    def __init__(self, data: bytes) -> None:
        """Raises DamagedImage, and UnsupportedImage for a whole header that no decoder here knows."""
        size = int.from_bytes(data[14:18], "little")
        if len(data) < FILE_HEADER_BYTES + size or size < CORE_HEADER_BYTES:
            raise damaged("its header is cut short")
        bits, self._compression = _coding(data, size)
        try:
            opened = BmpImageFile(io.BytesIO(data))
        except (OSError, ValueError, SyntaxError, struct.error) as err:
            raise _unsupported(size, bits, self._compression) from err
        if OF_RUNS.get(self._compression, bits) != bits:
            raise _unsupported(size, bits, self._compression)
        self.width, self.height = opened.size
        self._data = data

    def decode(self) -> Image:
        if self._compression not in OF_RUNS:
            return to_bgr(BmpImageFile(io.BytesIO(self._data)))
        image = cv2.imdecode(np.frombuffer(self._data, np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            raise damaged("its runs cannot be decoded")
        return image  # type: ignore[return-value]


def read(data: bytes) -> BmpFile:
    return BmpFile(data)


def _coding(data: bytes, size: int) -> tuple[int, int]:
    """Bits of a pixel, and compression."""
    if size == CORE_HEADER_BYTES:
        return int.from_bytes(data[24:26], "little"), 0
    compression = int.from_bytes(data[30:34], "little") if size >= 20 else 0
    return int.from_bytes(data[28:30], "little"), compression


def _unsupported(size: int, bits: int, compression: int) -> UnsupportedImage:
    return UnsupportedImage(
        f"This image format is not supported: a BMP of {bits} bits a pixel, compression {compression} and a header of "
        f"{size} bytes came, one of 1, 4, 8, 16, 24 or 32 bits, plain, in runs or in bit fields was expected"
    )
