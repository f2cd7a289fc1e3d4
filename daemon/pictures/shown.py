"""Pictures as people are shown them: JPEGs, smaller and with what was found on them where that is asked for."""

from typing import Final

import cv2

from daemon.pictures.draw import drawn
from daemon.pictures.hide import public
from processors.types import Frame, Image, Sample

QUALITY: Final = 80
"""Of 100; OpenCV's own 95 makes twice the bytes of what looks the same."""


def sized(frame: Frame, width: int | None) -> Image:
    """Its picture, no wider than `width` pixels; shared, read-only by agreement. Raises what its conversion does."""
    if width is None or width >= frame.width:
        return frame.image
    return frame.scaled(width, max(round(frame.height * width / frame.width), 1))


def shown(sample: Sample, image: Image, *, draw: bool, display_width: int | None = None) -> bytes:
    """A JPEG of the image, which is the sample's picture in any size, with those hidden who are to be.

    `display_width`: drawn()'s.
    """
    image = public(sample, image)
    shown = drawn(sample, image, display_width) if draw else image
    _, encoded = cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return encoded.tobytes()
