"""The total falls where any of its parts gets worse, and only there."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from models.store import ModelStore
from processors.quality.light import Light
from processors.quality.total import Natives, Total, parts, worst_defect
from processors.types import Pose

GOOD_LIGHT = Light(
    dark=0.05,
    bright=0.0,
    mean_score=0.9,
    entropy=7.2,
    dynamic_range=200.0,
    overlap=0.4,
    balance=0.9,
    hot_spots=0.0,
    veil=0.0,
    white=220.0,
)
GOOD = Natives(
    confidence=0.95,
    presence=1.0,
    blur=0.6,
    noise=2.0,
    light=GOOD_LIGHT,
    eyes=0.95,
    mouth=0.95,
    eyes_distance=90.0,
    pose=Pose(yaw=2, pitch=-3, roll=1),
)


def with_light(**values: float) -> Natives:
    return replace(GOOD, light=replace(GOOD_LIGHT, **values))


def turned(**angles: float) -> Natives:
    return replace(GOOD, pose=replace(GOOD.pose, **angles))


WORSE: dict[str, list[Natives]] = {
    "confidence": [replace(GOOD, confidence=value) for value in (0.9, 0.8, 0.7, 0.5)],
    "presence": [replace(GOOD, presence=value) for value in (0.9, 0.5, 0)],
    "blur": [replace(GOOD, blur=value) for value in (1, 2, 4, 8, float("inf"))],
    "noise": [replace(GOOD, noise=value) for value in (4, 8, 12, 20)],
    "dark": [with_light(dark=value) for value in (0.2, 0.5, 0.8, 1)],
    "bright": [with_light(bright=value) for value in (0.01, 0.05, 0.3, 1)],
    "mean": [with_light(mean_score=value) for value in (0.6, 0.3, 0)],
    "entropy": [with_light(entropy=value) for value in (6, 5, 4, 0)],
    "range": [with_light(dynamic_range=value) for value in (90, 60, 30, 0)],
    "overlap": [with_light(overlap=value) for value in (0.2, 0.1, 0)],
    "hot spots": [with_light(hot_spots=value) for value in (0.01, 0.03, 0.5)],
    "veil": [with_light(veil=value) for value in (0.1, 0.2, 0.5)],
    "eyes": [replace(GOOD, eyes=value) for value in (0.5, 0.2, 0)],
    "mouth": [replace(GOOD, mouth=value) for value in (0.5, 0.2, 0)],
    "distance": [replace(GOOD, eyes_distance=value) for value in (60, 30, 17, 0)],
    "yaw": [turned(yaw=value) for value in (15, -30, 45, -90)],
    "pitch": [turned(pitch=value) for value in (15, -30, 45, -90)],
    "roll": [turned(roll=value) for value in (15, -30, 45, -90, 180)],
}


@pytest.fixture(scope="module")
def total(store: ModelStore) -> Total:
    return Total(store.path("quality_unified"))


def test_a_good_face_has_nine_tenths(total: Total) -> None:
    assert total(GOOD) == pytest.approx(0.9, abs=0.03)


@pytest.mark.parametrize("name", WORSE)
def test_it_falls_step_by_step(total: Total, name: str) -> None:
    totals = [total(natives) for natives in (GOOD, *WORSE[name])]
    assert all(later <= before for before, later in pairwise(totals)), totals
    assert totals[-1] < totals[0] - 0.001, totals
    assert all(0 <= value <= 1 for value in totals)


@pytest.mark.parametrize("presence", [0.0, 0.1, 0.4])
def test_what_is_hardly_a_face_is_hardly_of_quality(total: Total, presence: float) -> None:
    assert total(replace(GOOD, presence=presence)) == presence


def test_its_balance_of_the_halves_is_no_part(total: Total) -> None:
    assert total(with_light(balance=0.0)) == total(GOOD)


def test_every_weight_belongs_to_a_part_and_none_is_negative(total: Total) -> None:
    weights: Any = total._weights
    assert weights.keys() == parts(GOOD).keys()
    assert min(weights.values()) > 0


@pytest.mark.parametrize("name", WORSE)
def test_parts_and_the_worst_defect_stay_within_0_and_1(name: str) -> None:
    for natives in WORSE[name]:
        values = [*parts(natives).values(), worst_defect(natives)]
        assert min(values) >= 0
        assert max(values) <= 1


def test_the_worst_defect_is_the_worst_alone() -> None:
    assert worst_defect(with_light(dynamic_range=60.0)) == 0.5
    assert worst_defect(with_light(dynamic_range=60.0, dark=0.8)) == 0.5
    assert worst_defect(turned(roll=60)) == pytest.approx(0.25)
