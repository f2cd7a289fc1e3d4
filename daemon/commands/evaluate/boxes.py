"""Detections against labelled boxes: matching, precision and recall, average precision. Boxes are x1, y1, x2, y2."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from daemon.commands.evaluate.figures import Figure
from daemon.commands.evaluate.metrics import proportion
from processors.boxes import iou
from processors.types import Floats

IGNORED_OVERLAP = 0.5
RECALL_POINTS = np.linspace(0, 1, 101)
RESAMPLES = 100


@dataclass(frozen=True, slots=True)
class Detections:
    """Of one picture: boxes (n, 4) by descending scores (n,), and the labelled boxes (m, 4).

    What is labelled as ignored counts neither way.
    """

    boxes: Floats
    scores: Floats
    wanted: Floats
    ignored: Floats


@dataclass(frozen=True, slots=True)
class Matches:
    """The detections of one picture that count, (n,) by descending score, and how many boxes were wanted."""

    scores: Floats
    hits: npt.NDArray[np.bool_]
    wanted: int


def match(found: Detections, overlap: float, low: float = 0.0, high: float = np.inf) -> Matches:
    """Each detection, best first, takes the free wanted box that it overlaps most, by an IoU of `overlap` at least.

    One that takes none is false, but for those that lie on an ignored box: with an IoU of a half, or with more than
    half of their own area. With a band of heights [low, high) the wanted boxes outside it are ignored, and so are
    detections outside it that take none.
    """
    heights = found.wanted[:, 3] - found.wanted[:, 1]
    in_band = (low <= heights) & (heights < high)
    wanted = found.wanted[in_band]
    on_ignored = _on_any(found.boxes, np.concatenate([found.ignored, found.wanted[~in_band]]))
    found_heights = found.boxes[:, 3] - found.boxes[:, 1]
    dropped = on_ignored | (found_heights < low) | (found_heights >= high)
    overlaps = iou(found.boxes, wanted)
    free = np.ones(len(wanted), bool)
    hits = np.zeros(len(found.boxes), bool)
    for i, row in enumerate(overlaps if len(wanted) else ()):
        candidates = np.where(free, row, -1.0)
        best = int(np.argmax(candidates))
        if candidates[best] >= overlap:
            hits[i] = True
            free[best] = False
    counts = hits | ~dropped
    return Matches(found.scores[counts], hits[counts], len(wanted))


def _on_any(boxes: Floats, ignored: Floats) -> npt.NDArray[np.bool_]:
    low = np.maximum(boxes[:, None, :2], ignored[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], ignored[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(axis=2)
    covered = common > (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)[:, None] / 2
    return np.asarray((covered | (iou(boxes, ignored) >= IGNORED_OVERLAP)).any(axis=1), bool)


def average_precision(matches: Sequence[Matches]) -> float | None:
    """Precision, made to fall with recall, in the mean over 101 recall points (COCO's); None without wanted boxes."""
    wanted = sum(m.wanted for m in matches)
    if not wanted:
        return None
    scores = np.concatenate([m.scores for m in matches])
    if not len(scores):
        return 0.0
    hits = np.concatenate([m.hits for m in matches])[np.argsort(-scores, kind="stable")]
    true = np.cumsum(hits)
    precision = true / np.arange(1, len(hits) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(true / wanted, RECALL_POINTS, "left")
    return float(np.append(precision, 0.0)[at].mean())


def average_precision_figure(matches: Sequence[Matches]) -> Figure | None:
    """With the standard error over pictures, by the bootstrap (Efron 1979)."""
    value = average_precision(matches)
    if value is None:
        return None
    draw = np.random.default_rng(0)
    resampled = [
        ap
        for _ in range(RESAMPLES)
        if (ap := average_precision([matches[i] for i in draw.integers(len(matches), size=len(matches))])) is not None
    ]
    return Figure(value, float(np.std(resampled)) if len(matches) > 1 else None)


def recall(matches: Sequence[Matches], threshold: float) -> Figure | None:
    wanted = sum(m.wanted for m in matches)
    return proportion(_hits(matches, threshold), wanted) if wanted else None


def precision(matches: Sequence[Matches], threshold: float) -> Figure | None:
    found = sum(int(np.count_nonzero(m.scores >= threshold)) for m in matches)
    return proportion(_hits(matches, threshold), found) if found else None


def false_boxes(matches: Sequence[Matches], threshold: float) -> int:
    return sum(int(np.count_nonzero(~m.hits[m.scores >= threshold])) for m in matches)


def pictures_with_false_boxes(matches: Sequence[Matches], threshold: float) -> int:
    return sum(false_boxes([m], threshold) > 0 for m in matches)


def _hits(matches: Sequence[Matches], threshold: float) -> int:
    return sum(int(np.count_nonzero(m.hits[m.scores >= threshold])) for m in matches)
