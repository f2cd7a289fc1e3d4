"""Measures of scores, classes and errors. Pure functions; scores are higher for what is to be accepted."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from daemon.commands.evaluate.figures import Confusion, Curve, Figure
from processors.types import Floats

CURVE_POINTS = 200
LOWEST_FPR = 1e-5


def proportion(hits: int, count: int) -> Figure:
    """The share, with the standard error after Agresti and Coull (1998), which is not 0 where all or none hit."""
    adjusted = (hits + 2) / (count + 4)
    return Figure(hits / count, float(np.sqrt(adjusted * (1 - adjusted) / (count + 4))))


def mean(values: Floats) -> Figure:
    spread = float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
    return Figure(float(np.mean(values)), spread)


def auc(accept: Floats, refuse: Floats) -> Figure:
    """The chance that one to be accepted scores above one to be refused, ties by half (Mann and Whitney).

    Its standard error is Hanley and McNeil's (1982).
    """
    ordered = np.sort(refuse)
    below = np.searchsorted(ordered, accept, "left")
    equal = np.searchsorted(ordered, accept, "right") - below
    area = float(np.mean(below + equal / 2) / len(refuse))
    alone = area / (2 - area) - area**2
    together = 2 * area**2 / (1 + area) - area**2
    variance = area * (1 - area) + (len(accept) - 1) * alone + (len(refuse) - 1) * together
    return Figure(area, float(np.sqrt(variance / (len(accept) * len(refuse)))))


def tpr_at_fpr(accept: Floats, refuse: Floats, fpr: float) -> Figure:
    """The share accepted above the lowest threshold that lets through at most this share of those to be refused.

    The error takes the cases as independent, which pairs of the same person are not: it is a little too small.
    """
    allowed = int(np.floor(fpr * len(refuse) + 1e-9))  # 1e-9: 0.07 * 100 is 7.000000000000001, 0.29 * 100 below 29
    highest_refused = np.partition(refuse, len(refuse) - allowed - 1)[len(refuse) - allowed - 1]
    return proportion(int(np.count_nonzero(accept > highest_refused)), len(accept))


def equal_error_rate(accept: Floats, refuse: Floats) -> Figure:
    """Where as large a share is wrongly refused as wrongly accepted: the mean of both where they are nearest."""
    thresholds = np.unique(np.concatenate([accept, refuse]))
    refused = np.searchsorted(np.sort(accept), thresholds, "left") / len(accept)
    accepted = 1 - np.searchsorted(np.sort(refuse), thresholds, "left") / len(refuse)
    nearest = int(np.argmin(np.abs(refused - accepted)))
    return Figure(float(refused[nearest] + accepted[nearest]) / 2)


def curve(name: str, accept: Floats, refuse: Floats) -> Curve:
    """The share accepted at shares of false acceptance that are even on a logarithmic scale, and at 0."""
    lowest = max(LOWEST_FPR, 1 / len(refuse))
    wanted = np.concatenate([[0.0], np.geomspace(lowest, 1.0, CURVE_POINTS - 1)])
    allowed = np.minimum(np.floor(wanted * len(refuse) + 1e-9).astype(int), len(refuse) - 1)
    thresholds = np.sort(refuse)[::-1][allowed]
    taken = 1 - np.searchsorted(np.sort(accept), thresholds, "right") / len(accept)
    taken[-1] = 1.0
    return Curve(name, tuple(wanted.round(6).tolist()), tuple(taken.round(6).tolist()))


def confusion(classes: Sequence[str], truth: npt.NDArray[np.intp], found: npt.NDArray[np.intp]) -> Confusion:
    """Of class indices."""
    counts = np.zeros((len(classes), len(classes)), int)
    np.add.at(counts, (truth, found), 1)
    return Confusion(tuple(classes), tuple(map(tuple, counts.tolist())))


def angle_errors(found: Floats, truth: Floats) -> Floats:
    """Absolute differences in degrees, over the shorter way round."""
    difference: Floats = np.abs((found - truth + 180) % 360 - 180)
    return difference
