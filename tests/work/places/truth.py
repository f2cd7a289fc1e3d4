"""Who was in a zone and crossed a line, by all boxes of a track at once: another way to the answers of Whereabouts."""

from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from daemon.work.places.geometry import Point, Size
from daemon.work.places.whereabouts import MARGIN, SETTLED_S

Floats = npt.NDArray[np.float64]


class Sighting(NamedTuple):
    """Where the point of a track's box was, in pixels, and how large the box."""

    at: float
    point: Point
    size: float


class Stay(NamedTuple):
    entered_at: float
    left_at: float


class Passing(NamedTuple):
    to_the_right: bool
    at: float


class Run(NamedTuple):
    """Sightings one after the other on the same side; `at`: of the first of them."""

    inside: bool
    at: float
    counts: bool


def stays(track: Sequence[Sighting], corners: Sequence[Point], size: Size) -> list[Stay]:
    """Those in a polygon, whose corners are in shares of the picture."""
    pixels = np.array(corners) * size
    kept = [run for run in _runs(track, pixels) if run.counts]
    turns = [(inside, next(of).at) for inside, of in groupby(kept, lambda run: run.inside)]
    ends = [at for _, at in turns[1:]] + [track[-1].at]
    return [Stay(at, end) for (inside, at), end in zip(turns, ends, strict=True) if inside]


def _runs(track: Sequence[Sighting], pixels: Floats) -> list[Run]:
    sides = [list(of) for _, of in groupby(track, lambda sighting: within(sighting.point, pixels))]
    runs = []
    for number, side in enumerate(sides):
        deepest = max(_from_edges(one.point, pixels, closed=True) - MARGIN * one.size for one in side)
        lasts = side[-1].at - side[0].at >= SETTLED_S
        at_an_end = number in (0, len(sides) - 1)
        runs.append(Run(within(side[0].point, pixels), side[0].at, deepest > 0 or lasts or at_an_end))
    return runs


def within(point: Point, pixels: Floats) -> bool:
    """By how many edges a ray to the right meets (Shimrat 1962); edges themselves are inside."""
    if _from_edges(point, pixels, closed=True) < 1e-9:
        return True
    (x, y), (x1, y1), (x2, y2) = point, pixels.T, np.roll(pixels, -1, axis=0).T
    spans = (y1 > y) != (y2 > y)
    return bool(np.count_nonzero(x1[spans] + (y - y1[spans]) / (y2 - y1)[spans] * (x2 - x1)[spans] > x) % 2)


def _from_edges(point: Point, pixels: Floats, *, closed: bool) -> float:
    starts, ends = (pixels, np.roll(pixels, -1, axis=0)) if closed else (pixels[:-1], pixels[1:])
    along = ends - starts
    share = np.clip(((point - starts) * along).sum(axis=1) / (along**2).sum(axis=1), 0, 1)
    return float(np.linalg.norm(starts + share[:, None] * along - point, axis=1).min())


def passings(track: Sequence[Sighting], points: Sequence[Point], size: Size) -> list[Passing]:
    """Those across a line, whose points are in shares of the picture."""
    pixels = np.array(points) * size
    balance, since, passed = 0, 0.0, []
    for number, sighting in enumerate(track):
        met = meets(track[number - 1].point, sighting.point, pixels) if number else 0
        since = sighting.at if met and not balance else since
        balance += met
        far = _from_edges(sighting.point, pixels, closed=False) > MARGIN * sighting.size
        if balance and (far or sighting.at - since >= SETTLED_S or sighting is track[-1]):
            passed += [Passing(balance > 0, since)] * abs(balance)
            balance = 0
    return passed


def meets(before: Point, after: Point, pixels: Floats) -> int:
    """How often a way meets the parts of a line from their left, less how often from their right.

    By where on both they meet, as the solution of two equations.
    """
    way = np.subtract(after, before)
    balance = 0
    for start, end in pairwise(pixels):
        part = end - start
        turn = part[0] * way[1] - part[1] * way[0]
        if turn:
            gap = np.array(before) - start
            on_way = (gap[0] * part[1] - gap[1] * part[0]) / turn
            on_part = (gap[0] * way[1] - gap[1] * way[0]) / turn
            balance += int(np.sign(turn)) if 0 < on_way <= 1 and 0 <= on_part <= 1 else 0
    return balance
