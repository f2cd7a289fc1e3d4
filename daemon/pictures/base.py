"""What is read of any format."""

import struct
from typing import Final, Protocol

from daemon.errors import DamagedImage
from processors.types import Image


class PictureFile(Protocol):
    """A picture that has not been decoded yet."""

    width: int
    height: int
    """As stored, in pixels."""
    exif: bytes
    """A TIFF of EXIF's tags; empty where the file has none."""

    def decode(self) -> Image:
        """BGR as stored. Whatever its libraries raise means that the picture is damaged."""


ORIENTATION: Final = 0x0112
SHORT, LONG = 3, 4
ENTRY_BYTES = 12


def orientation(exif: bytes) -> int:
    """By IFD0 of EXIF's TIFF (TIFF 6.0, section 2); 1, as stored, where it can't be read."""
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(exif[:4])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}I", exif, 4)
        (entries,) = struct.unpack_from(f"{order}H", exif, start)
        for at in range(start + 2, start + 2 + entries * ENTRY_BYTES, ENTRY_BYTES):
            tag, kind = struct.unpack_from(f"{order}HH", exif, at)
            if tag == ORIENTATION and kind in (SHORT, LONG):
                (value,) = struct.unpack_from(order + ("H" if kind == SHORT else "I"), exif, at + 8)
                return int(value)
    except struct.error:
        pass
    return 1


def damaged(why: object) -> DamagedImage:
    return DamagedImage(f"The image is damaged: {why}")
