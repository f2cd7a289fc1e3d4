"""PNG (W3C, third edition): chunks, of which four make the picture."""

import io
import struct
import zlib
from collections.abc import Iterator

from PIL.PngImagePlugin import PngImageFile

from daemon.pictures.base import damaged
from daemon.pictures.bgr import to_bgr
from processors.types import Image

SIGNATURE_BYTES = 8
FRAMING_BYTES = 12  # length, type and checksum
IEND = struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND"))


class PngFile:
    """Its one picture, or the one that an animation shows where animations are unknown."""

    def __init__(self, data: bytes) -> None:
        """Raises DamagedImage."""
        self.exif = b""
        header = palette = b""
        pixels: list[bytes] = []
        for kind, chunk in _chunks(data):
            body = chunk[8:-4]
            match kind:
                case b"IHDR" if not header:
                    header = chunk
                case b"PLTE":
                    palette = chunk
                case b"IDAT":
                    pixels.append(chunk[8 : 8 + int.from_bytes(chunk[:4])])
                case b"eXIf":
                    self.exif = body
        if len(header) < FRAMING_BYTES + 13:
            raise damaged("its header is cut short")
        self.width, self.height = struct.unpack_from(">II", header, 8)
        self._bare = b"".join([data[:SIGNATURE_BYTES], header, palette, _chunk(b"IDAT", b"".join(pixels)), IEND])

    def decode(self) -> Image:
        return to_bgr(PngImageFile(io.BytesIO(self._bare)))


def read(data: bytes) -> PngFile:
    return PngFile(data)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Type and whole chunk; the last may be cut short."""
    at = SIGNATURE_BYTES
    while at + 8 <= len(data):
        end = at + FRAMING_BYTES + int.from_bytes(data[at : at + 4])
        kind = data[at + 4 : at + 8]
        yield kind, data[at:end]
        if kind == b"IEND":
            return
        at = end


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))
