"""Encoded pictures to arrays. By Pillow, which tells a file that was cut short: cv2.imdecode returns it half grey."""

import contextlib
import io
import math
import threading
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import PIL.Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.Image import Transpose
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from daemon.errors import DamagedImage, ImageTooLarge, UnsupportedImage
from processors.types import Image

PIL.Image.MAX_IMAGE_PIXELS = None  # check_size() in its place: Pillow warns, then refuses, at sizes of its own

EXIF_ORIENTATION = 0x0112
UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
"""What brings a picture of this EXIF orientation into the displayed one."""

_one_at_a_time = threading.Lock()


def decode(data: bytes, max_pixels: int) -> Image:
    """The picture as it is displayed (EXIF), its first frame, in BGR; read-only.

    JPEG, PNG, BMP or WebP by its first bytes; grey, 16 bits, alpha (dropped), palettes and CMYK too. Raises
    UnsupportedImage, DamagedImage or ImageTooLarge, the last before anything is decoded.
    """
    open_picture = _format(data)
    with _decoding(), _without_warnings():
        picture = open_picture(io.BytesIO(data))
    check_size(picture.width, picture.height, max_pixels)
    with _decoding():
        picture.load()
        with _without_warnings():
            orientation = picture.getexif().get(EXIF_ORIENTATION)
        return _to_bgr(picture.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else picture)


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


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    """Odd metadata makes Pillow warn; the warnings' filters are the whole process's, hence the lock."""
    with _one_at_a_time, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


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
