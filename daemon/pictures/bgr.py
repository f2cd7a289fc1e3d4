"""Pillow's pictures as arrays."""

import numpy as np
import PIL.Image

from processors.types import Image


def to_bgr(picture: PIL.Image.Image) -> Image:
    """Loads it; grey of 16 bits in its upper 8, alpha is dropped."""
    picture.load()
    if picture.mode.startswith("I"):  # 16 bits of grey, which Pillow's own conversion clips
        grey = np.asarray(picture) >> 8
        return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
    if picture.mode in ("P", "PA", "LA"):
        picture = picture.convert("RGBA")
    elif picture.mode not in ("RGB", "RGBA"):
        picture = picture.convert("RGB")
    pixels = np.frombuffer(picture.tobytes("raw", "BGR"), np.uint8)
    return pixels.reshape(picture.height, picture.width, 3)
