"""Portraits as files of any format."""

import io
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image

import daemon.simulator

FOLDER = Path(daemon.simulator.__file__).parent / "pictures"
PEOPLE = Path(__file__).parent / "data" / "pictures"
ORIENTATION = 0x0112


@cache
def file_of(name: str) -> bytes:
    """The JPEG of a portrait: one face."""
    return (FOLDER / f"{name}.jpg").read_bytes()


@cache
def photo_of(name: str) -> bytes:
    """The JPEG of a whole photo: obama and obama2 are of one person."""
    return (PEOPLE / f"{name}.jpg").read_bytes()


def opened(name: str) -> Image.Image:
    return Image.open(io.BytesIO(file_of(name)))


def encoded(picture: Image.Image, file_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, file_format, **options)
    return buffer.getvalue()


def oriented(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


def side_by_side(*names: str) -> Image.Image:
    pictures = [opened(name) for name in names]
    canvas = Image.new("RGB", (sum(p.width for p in pictures), max(p.height for p in pictures)))
    left = 0
    for picture in pictures:
        canvas.paste(picture, (left, 0))
        left += picture.width
    return canvas
