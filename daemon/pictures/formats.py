"""The formats by their first bytes: what is taken, and what people send instead.

A format's reader goes through a file's structure and decodes nothing. It tells the size, the work that the picture
takes and EXIF, and keeps the picture's data without all else: metadata never reaches a decoder, nor do passes whose
number is not bounded. Bytes come from anywhere: a reader takes time that grows with their number alone.
"""

from collections.abc import Callable, Mapping

from daemon.errors import UnsupportedImage
from daemon.pictures import bmp, jpeg, png, webp
from daemon.pictures.base import PictureFile

READERS: Mapping[bytes, Callable[[bytes], PictureFile]] = {
    b"\xff\xd8\xff": jpeg.read,
    b"\x89PNG\r\n\x1a\n": png.read,
    b"BM": bmp.read,
    b"RIFF....WEBP": webp.read,
}
"""By first bytes; a dot is any byte."""

OTHERS: Mapping[bytes, str] = {
    b"GIF8": "GIF",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"II+\x00": "TIFF",
    b"MM\x00+": "TIFF",
    b"....ftypavi": "AVIF",
    b"....ftyphe": "HEIC",
    b"....ftypmif1": "HEIC",
    b"....ftypmsf1": "HEIC",
    b"....ftyp": "MP4",
    b"\x1aE\xdf\xa3": "Matroska",
    b"\x00\x00\x00\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\x00\x00\x00\x0cJXL ": "JPEG XL",
    b"\xff\x0a": "JPEG XL",
    b"8BPS": "PSD",
    b"\x00\x00\x01\x00": "ICO",
    b"%PDF": "PDF",
    b"PK\x03\x04": "ZIP",
    b"\x1f\x8b": "gzip",
    b"\x93NUMPY": "NumPy",
    b"\xff\xd8": "half of a JPEG's first bytes",
    b"RIFF....WAVE": "WAV",
    b"RIFF....AVI ": "AVI",
}
"""Formats that people send instead."""

TEXT_BYTES = 64  # that tell text
EXPECTED = "JPEG, PNG, BMP or WebP was expected"


def read(data: bytes) -> PictureFile:
    """Raises UnsupportedImage, DamagedImage or TooMuchWork."""
    for first, reader in READERS.items():
        if _begins(data, first):
            return reader(data)
    came = _kind(data)
    raise UnsupportedImage(f"This image format is not supported: {came + ' came, ' if came else ''}{EXPECTED}")


def _kind(data: bytes) -> str:
    """What these bytes are, as far as their beginning tells."""
    if not data:
        return "nothing"
    for first, name in OTHERS.items():
        if _begins(data, first):
            return name
    return "text" if _is_text(data[:TEXT_BYTES]) else ""


def _begins(data: bytes, first: bytes) -> bool:
    return len(data) >= len(first) and all(a in (b, ord(".")) for a, b in zip(first, data, strict=False))


def _is_text(data: bytes) -> bool:
    return all(byte >= 0x20 or byte in b"\t\r\n\f" for byte in data) and data.isascii()
