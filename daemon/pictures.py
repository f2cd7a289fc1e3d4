"""Encoded pictures to arrays. Files that were cut short are told from whole ones: cv2.imdecode returns them half grey.

Pillow reads the headers and decides what is damaged. JPEGs without any flaw are decoded by simplejpeg, which writes BGR
at once and so takes half of Pillow's time; both are libjpeg-turbo, and their pixels the same. What Pillow warns of and
its own limit of pixels prepare() turns off.
"""

import contextlib
import io
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import cv2
import numpy as np
import PIL.Image
import simplejpeg
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from daemon.errors import DamagedImage, ImageTooLarge, UnsupportedImage
from processors.types import Image

EXIF_ORIENTATION = 0x0112
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


def decode(data: bytes, max_pixels: int) -> Image:
    """The picture as it is displayed (EXIF), its first frame, in BGR.

    JPEG, PNG, BMP or WebP by its first bytes; grey, 16 bits, alpha (dropped), palettes and CMYK too. Raises
    UnsupportedImage, DamagedImage or ImageTooLarge, the last before anything is decoded.
    """
    open_picture = _format(data)
    with _decoding():
        picture = open_picture(io.BytesIO(data))
    check_size(picture.width, picture.height, max_pixels)
    with _decoding():
        image = _flawless_jpeg(picture, data)
        if image is None:
            picture.load()
            image = _to_bgr(picture)
        orientation = picture.getexif().get(EXIF_ORIENTATION, 1)
    return UPRIGHT[orientation](image) if orientation in UPRIGHT else image


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Raises ImageTooLarge."""
    if width * height > max_pixels:
        megapixels = math.ceil(width * height / 1e5) / 10
        raise ImageTooLarge(
            f"Image resolution is too large: {megapixels:g} megapixels, the limit is {max_pixels / 1e6:g}"
        )


def _format(data: bytes) -> Callable[[io.BytesIO], ImageFile]:
    """Pillow's class for these first bytes. Image.open() would go by more than these, and take multi-picture files."""
    if data.startswith(b"\xff\xd8\xff"):
        return JpegImageFile
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return PngImageFile
    if data.startswith(b"BM"):
        return BmpImageFile
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return WebPImageFile
    raise UnsupportedImage("This image format is not supported")


@contextlib.contextmanager
def _decoding() -> Iterator[None]:
    """Pillow's formats raise what their parsing meets: OSError, SyntaxError, ValueError, struct.error, zlib.error..."""
    try:
        yield
    except Exception as err:
        raise DamagedImage(f"The image is damaged: {err}") from err


def _flawless_jpeg(picture: ImageFile, data: bytes) -> Image | None:
    """None for other formats, and where libjpeg-turbo has but a warning: what is then to be made of it Pillow knows."""
    if not isinstance(picture, JpegImageFile) or picture.mode not in ("RGB", "L"):
        return None
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
        if (width, height) != picture.size:  # whose size is not too large
            return None
        return simplejpeg.decode_jpeg(data, colorspace="BGR")  # type: ignore[no-any-return]
    except ValueError:
        return None


def _to_bgr(picture: PIL.Image.Image) -> Image:
    if picture.mode.startswith("I"):  # 16 bits of grey, which Pillow's own conversion clips
        grey = np.asarray(picture) >> 8
        return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
    if picture.mode in ("P", "PA", "LA"):
        picture = picture.convert("RGBA")
    elif picture.mode not in ("RGB", "RGBA"):
        picture = picture.convert("RGB")
    pixels = np.frombuffer(picture.tobytes("raw", "BGR"), np.uint8)
    return pixels.reshape(picture.height, picture.width, 3)
