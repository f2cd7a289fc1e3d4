"""Bytes in base64: pictures."""

import binascii
import re
import string
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol

import cv2
import numpy as np
import pybase64
from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from daemon.errors import BadBase64, InvalidDocument, Problem, TooManyBytes
from daemon.pictures import check_size, decode
from processors.types import Image

NOT_BASE64 = "Failed to decode base64 string"
DATA_URL = re.compile(rb"\s*data:[^,]*;base64\s*,", re.IGNORECASE)
URL_SAFE = bytes.maketrans(b"-_", b"+/")
WHITE_SPACE = string.whitespace.encode()


def decode_base64(text: str) -> bytes:
    """The standard alphabet or the URL-safe one, padded or not; white space and the head of a data URL are ignored.

    Raises BadBase64, also where nothing is in it.
    """
    encoded = text.encode("ascii", "replace")
    try:
        data = pybase64.b64decode(encoded, validate=True)
    except binascii.Error:
        data = _decode_other_spelling(encoded)
    if not data:
        raise BadBase64(NOT_BASE64)
    return data


def _decode_other_spelling(encoded: bytes) -> bytes:
    """Apart, because copying a picture into the standard spelling costs more than decoding it."""
    head = DATA_URL.match(encoded)
    bare = encoded[head.end() if head else 0 :].translate(URL_SAFE, WHITE_SPACE).rstrip(b"=")
    try:
        return pybase64.b64decode(bare + b"=" * (-len(bare) % 4), validate=True)
    except binascii.Error as err:
        raise BadBase64(NOT_BASE64) from err


def encode_base64(data: bytes) -> str:
    return pybase64.b64encode(data).decode("ascii")


class Picture(Protocol):
    """A picture as it came."""

    def decode(self, *, max_pixels: int, max_bytes: int, wait: float | None = None) -> Image:
        """Raises BadBase64, BadImage, TooManyBytes (`max_bytes` of an encoded picture) or InvalidDocument.

        Overloaded too, where there is no room to decode it in `wait` seconds.
        """


@dataclass(frozen=True, slots=True)
class EncodedPicture:
    """A file's bytes."""

    data: bytes

    def decode(self, *, max_pixels: int, max_bytes: int, wait: float | None = None) -> Image:
        if len(self.data) > max_bytes:
            raise TooManyBytes("image", len(self.data), max_bytes)
        return decode(self.data, max_pixels, wait=wait)


class _Blob(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)

    blob: str


class ImageBlob(_Blob):
    """A file's bytes in base64."""

    format: Literal["IMAGE", "NDARRAY"] = "IMAGE"

    def decode(self, *, max_pixels: int, max_bytes: int, wait: float | None = None) -> Image:
        picture = EncodedPicture(decode_base64(self.blob))
        return picture.decode(max_pixels=max_pixels, max_bytes=max_bytes, wait=wait)


class ArrayBlob(_Blob):
    """Rows of RGB bytes in base64."""

    format: Literal["NDARRAY"]
    dtype: Literal["uint8", "uint8_t"]
    shape: Annotated[tuple[PositiveInt, PositiveInt, Literal[3]], Field(strict=False)]

    def decode(self, *, max_pixels: int, max_bytes: int, wait: float | None = None) -> Image:
        height, width, channels = self.shape
        check_size(width, height, max_pixels)
        data = decode_base64(self.blob)
        if len(data) != height * width * channels:
            message = f"Shape should hold the blob's {len(data)} bytes, not {height * width * channels}"
            raise InvalidDocument([Problem(("_image", "shape"), message, "value_error")])
        rgb = np.frombuffer(data, np.uint8).reshape(self.shape)
        return cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)  # type: ignore[return-value]
