"""Draws watermarks on pictures: words and logos, single or tiled, more or less transparent."""

import string
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

Image = NDArray[np.uint8]
Mask = NDArray[np.float32]
"""(h, w), 0..1: where the mark is."""

WORDS = (
    *("SAMPLE", "PREVIEW", "COPY", "DRAFT", "Photo Studio", "stock", "PROOF", "(c) 2024", "demo", "NOT FOR SALE"),
    *("archive", "TRIAL VERSION", "confidential", "www.", "by "),
)
COLOURS = ((255, 255, 255), (255, 255, 255), (0, 0, 0), (128, 128, 128))
ANGLES, ANGLES_OF_TILES = (0, 0, 0, 45, 30, -30, -45, 90), (0, 30, 45, -30)
PAD = 3


def watermarked(picture: Image, random: np.random.Generator, fonts: Sequence[Path], logos: int) -> tuple[Image, Mask]:
    """The picture with a mark drawn over it, and where.

    `fonts`: TrueType files; `logos`: 0 or 1, which share no shape.
    """
    height, width = picture.shape[:2]
    tiled = random.random() < 0.35
    mark = stamp(random, fonts, logos, random.uniform(0.03, 0.08 if tiled else 0.16) * min(height, width))
    mark = mark.rotate(float(random.choice(ANGLES_OF_TILES if tiled else ANGLES)), expand=True)
    if mark.width > 0.95 * width:
        mark = mark.resize((max(int(0.95 * width), 1), max(int(mark.height * 0.95 * width / mark.width), 1)))
    layer = Pillow.new("L", (width, height), 0)
    for x, y in (tiles if tiled else single)(random, mark, width, height):
        layer.paste(mark, (int(x), int(y)), mark)
    return blended(picture, np.asarray(layer).astype(np.float32) / 255, random)


def blended(picture: Image, mask: Mask, random: np.random.Generator) -> tuple[Image, Mask]:
    strength = random.uniform(0.18, 0.95)
    colour = (*COLOURS, random.integers(0, 256, 3))[int(random.integers(len(COLOURS) + 1))]
    levels, cover = picture.astype(np.float32), strength * mask[..., None]
    if random.random() < 0.25:  # a soft shadow
        levels *= 1 - 0.5 * np.roll(cover, (2, 2), (0, 1))
    return (levels * (1 - cover) + np.float32(colour) * cover).clip(0, 255).astype(np.uint8), mask


Places = list[tuple[float, float]]


def tiles(random: np.random.Generator, mark: Pillow.Image, width: int, height: int) -> Places:
    """Every second row is moved by half a step."""
    across, down = mark.width * random.uniform(1.1, 1.8), mark.height * random.uniform(1.2, 3)
    top, left = -down * random.random(), -across * random.random()
    rows = enumerate(np.arange(top, height, down))
    return [(x, y) for row, y in rows for x in np.arange(left - row % 2 * across / 2, width, across)]


def single(random: np.random.Generator, mark: Pillow.Image, width: int, height: int) -> Places:
    """In the middle, at a border or anywhere between."""
    x = random.choice([(width - mark.width) / 2, width * 0.02, width * 0.98 - mark.width])
    anywhere = random.uniform(0, max(1, height - mark.height))
    y = random.choice([anywhere, height * 0.02, height * 0.98 - mark.height, (height - mark.height) / 2])
    return [(float(x), float(y))]


def stamp(random: np.random.Generator, fonts: Sequence[Path], logos: int, height: float) -> Pillow.Image:
    """White on black: words of about this height in pixels, a logo, or both."""
    kind = random.random()
    if kind < 0.3:
        return logo(random, max(12, int(height * random.uniform(1.5, 4))), logos)
    words = text(random, ImageFont.truetype(str(random.choice([str(font) for font in fonts])), max(8, int(height))))
    if kind <= 0.85:
        return words
    beside = logo(random, words.height * 2, logos)
    both = Pillow.new("L", (words.width + beside.width + 2 * PAD, max(words.height, beside.height)), 0)
    both.paste(beside, (0, 0))
    both.paste(words, (beside.width + 2 * PAD, (both.height - words.height) // 2))
    return both


def text(random: np.random.Generator, font: ImageFont.FreeTypeFont) -> Pillow.Image:
    words = phrase(random)
    left, top, right, bottom = font.getbbox(words)
    drawn = Pillow.new("L", (int(right - left) + 2 * PAD, int(bottom - top) + 2 * PAD), 0)
    ImageDraw.Draw(drawn).text((PAD - left, PAD - top), words, font=font, fill=255)
    if random.random() >= 0.2:
        return drawn
    outline = cv2.magnitude(*np.gradient(np.asarray(drawn).astype(np.float32)))
    return Pillow.fromarray((outline * 1.5).clip(0, 255).astype(np.uint8))


def phrase(random: np.random.Generator) -> str:
    words = str(random.choice(WORDS))
    if words in ("www.", "by ") or random.random() < 0.5:
        words += "".join(random.choice(list(string.ascii_letters + string.digits), random.integers(4, 12)))
    return words + (".com" if random.random() < 0.2 else "")


def logo(random: np.random.Generator, side: int, logos: int) -> Pillow.Image:
    picture = Pillow.new("L", (side, side), 0)
    draw = LOGOS[logos][int(random.integers(3))]
    draw(ImageDraw.Draw(picture), random, side / 2, side * 0.46, max(1, side // 18))
    return picture


def star(draw: ImageDraw.ImageDraw, random: np.random.Generator, c: float, r: float, width: int) -> None:
    """In a ring. All logos: about the middle `c`, of radius `r`, with lines of this width."""
    draw.ellipse([c - r, c - r, c + r, c + r], outline=255, width=width)
    draw.polygon(corners(5, c, r * 0.75, random.uniform(0, 6), 2), fill=255)


def camera(draw: ImageDraw.ImageDraw, random: np.random.Generator, c: float, r: float, width: int) -> None:
    draw.rounded_rectangle([c * 0.12, c * 0.5, c * 1.88, c * 1.7], c * 0.2, outline=255, width=width)
    draw.ellipse([c - r * 0.45, c - r * 0.35, c + r * 0.45, c + r * 0.55], outline=255, width=width)
    draw.rectangle([c * 0.7, c * 0.28, c * 1.3, c * 0.5], fill=255)


def stroke(draw: ImageDraw.ImageDraw, random: np.random.Generator, c: float, r: float, width: int) -> None:
    """Bent, with dots."""
    angle = random.uniform(0, 6)
    draw.line([*corners(int(random.integers(3, 7)), c, r, angle), (c, c)], fill=255, width=width * 2)
    for x, y in corners(3, c, r * 0.6, angle + 1):
        draw.ellipse([x - width, y - width, x + width, y + width], fill=255)


def shield(draw: ImageDraw.ImageDraw, random: np.random.Generator, c: float, r: float, width: int) -> None:
    draw.polygon([(c - r, c - r), (c + r, c - r), (c + r, c), (c, c + r), (c - r, c)], outline=255, width=width)
    for stripe in np.linspace(-0.6, 0.6, 4):
        draw.line([(c + stripe * r, c - r), (c + stripe * r, c + r * 0.3)], fill=255, width=width)


def triangles(draw: ImageDraw.ImageDraw, random: np.random.Generator, c: float, r: float, width: int) -> None:
    angle = random.uniform(0, 6)
    for part in (1, 0.65, 0.3):
        draw.polygon(corners(3, c, r * part, angle), outline=255, width=width)


def spiral(draw: ImageDraw.ImageDraw, random: np.random.Generator, c: float, r: float, width: int) -> None:
    start, turns = random.uniform(0, 6), np.linspace(0, 5 * np.pi, 80)
    radii = r * turns / turns[-1]
    draw.line(list(zip(c + radii * np.cos(turns + start), c + radii * np.sin(turns + start), strict=True)), 255, width)


LOGOS = ((star, camera, stroke), (shield, triangles, spiral))


def corners(number: int, c: float, r: float, angle: float, skip: int = 1) -> list[tuple[float, float]]:
    turns = angle + 2 * np.pi * skip * np.arange(number) / number
    return list(zip((c + r * np.cos(turns)).tolist(), (c + r * np.sin(turns)).tolist(), strict=True))
