from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import pytest

from daemon.sources.clock import Timeline
from daemon.sources.pace import GOPS, KeyframeSpacing, Rate


def wanted(pts: Iterable[float], fps: float) -> list[int]:
    """Which of the frames."""
    timeline, rate = Timeline(), Rate(fps)
    taken = []
    for index, each in enumerate(pts):
        timeline.advance(each)
        if rate.wants(timeline.now, timeline.interval):
            taken.append(index)
    return taken


@pytest.mark.parametrize(
    ("source", "fps", "steps"),
    [
        (25, 25, {1}),
        (25, 50, {1}),
        (25, 24.99, {1, 2}),
        (24.9, 25, {1}),
        (25, 12.5, {2}),
        (25, 10, {2, 3}),
        (25, 6.25, {4}),
        (25, 5, {5}),
        (25, 1, {25}),
        (25, 0.2, {125}),
        (30, 25, {1, 2}),
        (30, 10, {3}),
        (29.97, 15, {1, 2, 3}),
        (5, 2, {2, 3}),
        (0.5, 5, {1}),
    ],
)
@pytest.mark.parametrize("jitter", [0.0, 0.2])
def test_the_rate_is_kept_and_evenly(source: float, fps: float, steps: set[int], jitter: float) -> None:
    """With timestamps that are early and late by up to a fifth of an interval too."""
    count = round(source * max(60, 20 / fps))
    noise = np.random.default_rng(1).uniform(-jitter, jitter, count) / source
    taken = wanted(np.arange(count) / source + noise, fps)
    assert len(taken) == pytest.approx(min(fps / source, 1) * count, rel=0.01, abs=1)
    gaps = [b - a for a, b in pairwise(taken[3:])]  # the first ones find the phase
    assert set(gaps) <= steps


def test_after_a_gap_it_counts_anew_and_does_not_catch_up() -> None:
    pts = [*np.arange(50) / 25, *(100 + np.arange(50) / 25)]
    taken = wanted(pts, 5)
    assert 50 in taken
    assert len(taken) == pytest.approx(20, abs=1)
    assert min(b - a for a, b in pairwise(taken[1:])) >= 3


@pytest.mark.parametrize(
    "pts",
    [
        np.zeros(250),
        -np.arange(250) / 25,
        np.tile(np.arange(50) / 25, 5),
        np.arange(250) // 10 / 2.5,
        np.where(np.arange(250) < 125, 0, 86_400 * 365.0) + np.arange(250) / 25,
    ],
    ids=["stuck", "backwards", "starting over", "ten alike", "a jump"],
)
def test_broken_timestamps_neither_stop_nor_flood_it(pts: Iterable[float]) -> None:
    taken = wanted(pts, 5)
    assert 45 <= len(taken) <= 60
    assert max(b - a for a, b in pairwise(taken)) <= 11


def test_what_is_ruled_out_is_never_wanted() -> None:
    """Asked of frames of which those before have not been seen, as a decoder that reorders does."""
    pts = np.arange(500) / 25 + np.random.default_rng(2).uniform(-0.01, 0.01, 500)
    timeline, rate = Timeline(), Rate(3)
    ruled_out: set[int] = set()
    taken = set()
    for index, each in enumerate(pts):
        timeline.advance(each)
        if rate.wants(timeline.now, timeline.interval):
            taken.add(index)
        ahead = range(index + 1, min(index + 4, 500))
        ruled_out |= {i for i in ahead if rate.rules_out(timeline.at(pts[i]), timeline.interval)}
    assert ruled_out & taken == set()
    assert len(ruled_out) > 350


@pytest.mark.parametrize(
    ("pts", "period", "expected"),
    [
        ([0, 1, 2], 1, False),
        ([0, 1, 2, 3], 1, True),
        ([0, 1.01, 1.99, 3], 1, True),
        ([0, 1, 2, 3], 0.9, False),
        ([0, 1, 2, 12], 1, False),
        ([0, 12, 13, 14, 15], 1, True),
        ([0, 1, 0, 1], 1, False),
    ],
)
def test_keyframes_within(pts: list[float], period: float, expected: bool) -> None:
    assert GOPS == 3
    spacing = KeyframeSpacing()
    for each in pts:
        spacing.see(each)
    assert spacing.within(period) == expected
