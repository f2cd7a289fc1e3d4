"""Words on pictures: drawn by Pillow's own font, each once."""

from functools import lru_cache
from operator import itemgetter
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from processors.types import Image

Colour = tuple[int, int, int]
"""BGR."""
Mask = npt.NDArray[np.uint8]
MOST_KEPT = 512

PAPER: Colour = (24, 20, 18)
PAPER_SHARE = 0.72
"""How much of what is behind the words their paper hides, 0..1."""


Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; the last two lie outside."""


def put_lines(
    image: Image, lines: list[tuple[str, Colour]], corner_xy: tuple[int, int], size: int, papers: list[Box]
) -> None:
    """Lays them on a dark paper, as far as it lies within the picture; `size`: pixels of the font.

    `papers` are those that lie there, which it goes below; this one is added.
    """
    masks = [mask_of(text, size) for text, _ in lines]
    pad = max(size // 4, 2)
    height, width = sum(len(mask) for mask in masks) + pad, max(mask.shape[1] for mask in masks) + 2 * pad
    x, y = _within(_below(papers, corner_xy, (width, height)), (width, height), image)
    papers.append((x, y, x + width, y + height))
    paper = image[y : y + height, x : x + width]
    if not paper.size:
        return
    paper[:] = cv2.addWeighted(paper, 1 - PAPER_SHARE, np.full_like(paper, PAPER), PAPER_SHARE, 0)
    y += pad // 2
    for mask, (_, colour) in zip(masks, lines, strict=True):
        _ink(image[y : y + mask.shape[0], x + pad : x + pad + mask.shape[1]], mask, colour)
        y += mask.shape[0]


@lru_cache(MOST_KEPT)
def mask_of(text: str, size: int) -> Mask:
    """(h, w) how much of each pixel is ink, 0..255; h is the same for all texts of a size."""
    font = _font(size)
    ascent, descent = font.getmetrics()
    canvas = PillowImage.new("L", (max(round(font.getlength(text)), 1), ascent + descent + 1))
    ImageDraw.Draw(canvas).text((0, 0), text, font=font, fill=255)
    return np.asarray(canvas)


@lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return cast(ImageFont.FreeTypeFont, ImageFont.load_default(size))


def _below(papers: list[Box], corner_xy: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """The corner, moved down so that the paper covers none of them."""
    (x, y), (width, height) = corner_xy, size
    for left, top, right, bottom in sorted(papers, key=itemgetter(1)):
        if x < right and left < x + width and y < bottom and top < y + height:
            y = bottom
    return x, y


def _within(corner_xy: tuple[int, int], size: tuple[int, int], image: Image) -> tuple[int, int]:
    """The corner, moved so that the paper lies within the picture."""
    most = image.shape[1] - size[0], image.shape[0] - size[1]
    x, y = (max(min(at, limit), 0) for at, limit in zip(corner_xy, most, strict=True))
    return x, y


def _ink(part: Image, mask: Mask, colour: Colour) -> None:
    share = mask[: part.shape[0], : part.shape[1], None].astype(np.float32) / 255
    part[:] = (part * (1 - share) + np.array(colour, np.float32) * share).round()
