"""Bytes in base64: pictures."""

import binascii
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
TOO_MANY_BYTES = "Request body size is too large"


def decode_base64(text: str) -> bytes:
    """Standard alphabet and padding; white space and the head of a data URL are ignored.

    Raises BadBase64, also where nothing is in it.
    """
    encoded = text.encode("ascii", "replace")
    if encoded.startswith(b"data:"):
        encoded = encoded.partition(b";base64,")[2]
    try:
        data = pybase64.b64decode(encoded, validate=True)
    except binascii.Error:
        data = _decode_wrapped(encoded)
    if not data:
        raise BadBase64(NOT_BASE64)
    return data


def _decode_wrapped(encoded: bytes) -> bytes:
    """Base64 in lines; apart, because copying a picture without its white space costs more than decoding it."""
    try:
        return pybase64.b64decode(encoded.translate(None, string.whitespace.encode()), validate=True)
    except binascii.Error as err:
        raise BadBase64(NOT_BASE64) from err


def encode_base64(data: bytes) -> str:
    return pybase64.b64encode(data).decode("ascii")


class Picture(Protocol):
    """A picture as it came."""

    def decode(self, *, max_pixels: int, max_bytes: int) -> Image:
        """Raises BadBase64, BadImage, TooManyBytes (`max_bytes` of an encoded picture) or InvalidDocument."""


@dataclass(frozen=True, slots=True)
class EncodedPicture:
    """A file's bytes."""

    data: bytes

    def decode(self, *, max_pixels: int, max_bytes: int) -> Image:
        if len(self.data) > max_bytes:
            raise TooManyBytes(TOO_MANY_BYTES)
        return decode(self.data, max_pixels)


class _Blob(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)

    blob: str


class ImageBlob(_Blob):
    """A file's bytes in base64."""

    format: Literal["IMAGE", "NDARRAY"] = "IMAGE"

    def decode(self, *, max_pixels: int, max_bytes: int) -> Image:
        return EncodedPicture(decode_base64(self.blob)).decode(max_pixels=max_pixels, max_bytes=max_bytes)


class ArrayBlob(_Blob):
    """Rows of RGB bytes in base64."""

    format: Literal["NDARRAY"]
    dtype: Literal["uint8", "uint8_t"]
    shape: Annotated[tuple[PositiveInt, PositiveInt, Literal[3]], Field(strict=False)]

    def decode(self, *, max_pixels: int, max_bytes: int) -> Image:
        height, width, channels = self.shape
        check_size(width, height, max_pixels)
        data = decode_base64(self.blob)
        if len(data) != height * width * channels:
            message = f"Shape should hold the blob's {len(data)} bytes, not {height * width * channels}"
            raise InvalidDocument([Problem(("_image", "shape"), message, "value_error")])
        rgb = np.frombuffer(data, np.uint8).reshape(self.shape)
        return cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)  # type: ignore[return-value]
