"""Pictures of curves and confusion matrices, drawn with OpenCV alone."""

import bisect
import itertools
import math
import re
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from daemon.commands.evaluate.figures import Confusion, Curve, Measured
from processors.types import Image

WHITE, BLACK, GREY = (255, 255, 255), (0, 0, 0), (200, 200, 200)
COLOURS = ((180, 90, 20), (40, 120, 230), (70, 160, 60), (60, 60, 200), (150, 80, 150), (120, 120, 20))
FONT = cv2.FONT_HERSHEY_SIMPLEX
SIDE = 640
LEFT, TOP, RIGHT, BOTTOM = 70, 64, 20, 60
LOWEST_FPR = 1e-4
CELL = 76
LABELS = 120


def draw_all(measured: Sequence[Measured], folder: Path) -> list[Path]:
    """TASK-SET.roc.png and TASK-SET.confusion.png, and what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for one in measured:
        title = f"{one.task}: {one.set}"
        stem = re.sub(r"[^\w-]+", "-", f"{one.task}-{one.set}")
        pictures = {
            "roc": roc(title, one.report.curves) if one.report.curves else None,
            "confusion": confusion_matrix(title, one.report.confusion) if one.report.confusion else None,
        }
        for kind, picture in pictures.items():
            if picture is not None:
                path = folder / f"{stem}.{kind}.png"
                path.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
                written.append(path)
    return written


def roc(title: str, curves: Sequence[Curve]) -> Image:
    """The rate of true acceptance over that of false acceptance, this one on a logarithmic scale."""
    picture: Image = np.full((SIDE, SIDE, 3), 255, np.uint8)
    _text(picture, title, (LEFT, TOP - 40), 0.6)
    for exponent in range(round(math.log10(LOWEST_FPR)), 1):
        x = _x(10.0**exponent)
        cv2.line(picture, (x, TOP), (x, SIDE - BOTTOM), GREY)
        _text(picture, "1" if exponent == 0 else f"1e{exponent}", (x - 18, SIDE - BOTTOM + 20), 0.45)
    for tenth in range(0, 11, 2):
        y = _y(tenth / 10)
        cv2.line(picture, (LEFT, y), (SIDE - RIGHT, y), GREY)
        _text(picture, f"{tenth / 10:g}", (LEFT - 40, y + 5), 0.45)
    _text(picture, "false positive rate", (SIDE // 2 - 60, SIDE - 15), 0.5)
    _text(picture, "true positive rate", (8, TOP - 16), 0.5)
    for i, curve in enumerate(curves):
        colour = COLOURS[i % len(COLOURS)]
        cv2.polylines(picture, [_steps(curve)], False, colour, 2, cv2.LINE_AA)
        if curve.name:
            _text(picture, curve.name, (SIDE // 2, SIDE - BOTTOM - 20 - 22 * i), 0.5, colour)
    return picture


def _steps(curve: Curve) -> npt.NDArray[np.int32]:
    """(n, 2) pixels: what is accepted stays the same until one more may be accepted wrongly."""
    first = bisect.bisect_right(curve.fpr, LOWEST_FPR) - 1
    corners = [(_x(fpr), _y(tpr)) for fpr, tpr in zip(curve.fpr[first:], curve.tpr[first:], strict=True)]
    points = corners[:1]
    for (_, before), (x, y) in itertools.pairwise(corners):
        points += [(x, before), (x, y)]
    return np.array(points, np.int32)


def _x(fpr: float) -> int:
    share = 1 - math.log10(max(fpr, LOWEST_FPR)) / math.log10(LOWEST_FPR)
    return round(LEFT + share * (SIDE - LEFT - RIGHT))


def _y(tpr: float) -> int:
    return round(SIDE - BOTTOM - tpr * (SIDE - TOP - BOTTOM))


def confusion_matrix(title: str, confusion: Confusion) -> Image:
    """A row each labelled class, a column each that was found; darker is a larger share of the row."""
    side = CELL * len(confusion.classes)
    picture: Image = np.full((TOP + 40 + side + RIGHT, LABELS + side + RIGHT, 3), 255, np.uint8)
    _text(picture, title, (10, TOP - 40), 0.6)
    _text(picture, "labelled", (10, TOP + 28), 0.42)
    for i, name in enumerate(confusion.classes):
        _text(picture, name, (LABELS + i * CELL + 4, TOP + 28), 0.42)
        _text(picture, name, (10, TOP + 40 + i * CELL + CELL // 2 + 5), 0.45)
    for i, row in enumerate(confusion.counts):
        for j, count in enumerate(row):
            share = count / max(sum(row), 1)
            x, y = LABELS + j * CELL, TOP + 40 + i * CELL
            shade = tuple(round(255 - share * (255 - full)) for full in COLOURS[0])
            cv2.rectangle(picture, (x, y), (x + CELL - 2, y + CELL - 2), shade, cv2.FILLED)
            ink = WHITE if share > 0.5 else BLACK
            _text(picture, f"{share:.2f}", (x + 16, y + 34), 0.5, ink)
            _text(picture, str(count), (x + 16, y + 56), 0.4, ink)
    return picture


def _text(picture: Image, text: str, at: tuple[int, int], size: float, colour: tuple[int, int, int] = BLACK) -> None:
    cv2.putText(picture, text, at, FONT, size, colour, 1, cv2.LINE_AA)
