"""WebP (RFC 9649): chunks of a RIFF, one of them the picture; an animation's first frame lies on its canvas."""

import struct
from collections.abc import Iterator

import cv2
import numpy as np

from daemon.pictures.base import damaged
from processors.types import Image

HEADER_BYTES = 12
BITSTREAMS = (b"VP8 ", b"VP8L")
ALL = slice(None)


class WebpFile:
    """The first bitstream alone reaches the decoder: alpha is not looked at, and metadata is nothing to it."""

    def __init__(self, data: bytes) -> None:
        """Raises DamagedImage."""
        self.exif = b""
        self._at: tuple[int, int] | None = None
        canvas: tuple[int, int] | None = None
        bitstream = b""
        for kind, body in _chunks(data[HEADER_BYTES:], int.from_bytes(data[4:8], "little") - 4):
            match kind:
                case b"VP8X":
                    canvas = (1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little"))
                case b"ANMF" if not bitstream:
                    self._at = (2 * int.from_bytes(body[:3], "little"), 2 * int.from_bytes(body[3:6], "little"))
                    bitstream = _bitstream(body[16:])
                case b"VP8 " | b"VP8L" if not bitstream:
                    bitstream = _chunk(kind, body)
                case b"EXIF":
                    self.exif = body.removeprefix(b"Exif\x00\x00")
        if not bitstream:
            raise damaged("it has no picture")
        self._stored = _size(bitstream)
        self.width, self.height = self._stored if self._at is None else canvas or self._stored
        self._bare = b"RIFF" + struct.pack("<I", 4 + len(bitstream)) + b"WEBP" + bitstream

    def decode(self) -> Image:
        image = cv2.imdecode(np.frombuffer(self._bare, np.uint8), cv2.IMREAD_COLOR)
        if image is None or image.shape[:2] != self._stored[::-1]:
            raise damaged("its data cannot be decoded")
        if self._at is None or self._stored == (self.width, self.height):
            return image  # type: ignore[return-value]
        (left, top), (width, height) = self._at, self._stored
        if left + width > self.width or top + height > self.height:
            raise damaged("a frame reaches beyond the canvas")
        whole = np.zeros((self.height, self.width, 3), np.uint8)
        whole[top : top + height, left : left + width] = image
        return whole


def read(data: bytes) -> WebpFile:
    return WebpFile(data)


def _chunks(data: bytes, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Type and body of a list of this many bytes."""
    if len(data) < size:
        raise damaged("its end is missing")
    at = 0
    while at + 8 <= size:
        kind, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + length > len(data):
            raise damaged("a chunk is cut short")
        yield kind, data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _bitstream(frame: bytes) -> bytes:
    return next((_chunk(kind, body) for kind, body in _chunks(frame, len(frame)) if kind in BITSTREAMS), b"")


def _chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def _size(chunk: bytes) -> tuple[int, int]:
    """Width and height, by the bitstream's own header: 14 bits each."""
    body = chunk[8:]
    if chunk.startswith(b"VP8L"):
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
