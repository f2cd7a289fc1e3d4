from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from daemon.sources.motion import HEIGHT, WIDTH, Gate, Grey
from daemon.sources.settings import MotionSettings
from processors.types import Floats

FPS = 25


def scene(seed: int = 0) -> Floats:
    """A picture with edges."""
    return np.random.default_rng(seed).integers(60, 190, (9, 16)).repeat(10, 0).repeat(10, 1).astype(np.float64)


def grey(picture: Floats, noise: float = 0.0, seed: int = 0) -> Grey:
    grain = np.random.default_rng(seed).normal(0, noise, picture.shape)
    return np.clip(picture + grain, 0, 255).astype(np.uint8)


def looked_at(pictures: Sequence[Grey], **settings: Any) -> list[int]:
    gate = Gate(MotionSettings.model_validate({"every": 1000, **settings}))
    return [index for index, each in enumerate(pictures) if not gate.is_still(each, index / FPS)]


def with_patch(x: int, y: int, width: int, height: int, darker: float) -> Floats:
    picture = scene()
    picture[y : y + height, x : x + width] -= darker
    return picture


def test_a_still_scene_is_looked_at_once_every_so_often() -> None:
    assert looked_at([grey(scene())] * 200, every=2) == [0, 50, 100, 150]


@pytest.mark.parametrize("noise", [1.0, 3.0, 6.0])
def test_noise_is_no_motion(noise: float) -> None:
    """A cell of 720p has a quarter of the sensor's noise."""
    pictures = [grey(scene(), noise, seed) for seed in range(200)]
    assert len(looked_at(pictures)) <= 5


@pytest.mark.parametrize("noise", [0.0, 3.0])
@pytest.mark.parametrize(("width", "height"), [(2, 5), (3, 3), (20, 40)])
def test_what_appears_is_seen_at_once(noise: float, width: int, height: int) -> None:
    before = [grey(scene(), noise, seed) for seed in range(100)]
    after = [grey(with_patch(70, 40, width, height, 50), noise, seed) for seed in range(100, 150)]
    seen = looked_at([*before, *after])
    assert 100 in seen
    assert len([index for index in seen if index > 100]) <= 2


def test_slow_motion_adds_up() -> None:
    """A person of 3 x 8 cells who walks one cell a second is looked at whenever it has gone about its own width."""
    pictures = [grey(with_patch(20 + index // FPS, 40, 3, 8, 50)) for index in range(20 * FPS)]
    seen = looked_at(pictures)
    assert 8 <= len(seen) <= 21
    assert max(np.diff(seen)) <= 3 * FPS


def test_a_change_of_light_is_no_motion() -> None:
    pictures = [grey(scene() + level) for level in np.linspace(0, 40, 100)]
    assert looked_at(pictures) == [0]


def test_motion_in_changed_light_is_seen() -> None:
    pictures = [grey(scene()), grey(scene() + 30), grey(with_patch(70, 40, 3, 8, 50) + 30)]
    assert looked_at(pictures) == [0, 2]


def test_what_always_moves_a_little_is_learnt_and_a_person_there_is_seen() -> None:
    """Leaves, or a screen: 20 x 20 cells that swing by 8 levels."""
    random = np.random.default_rng(0)

    def leaves(picture: Floats) -> Grey:
        picture[10:30, 10:30] += random.uniform(-8, 8, (4, 4)).repeat(5, 0).repeat(5, 1)
        return grey(picture)

    pictures = [leaves(scene()) for _ in range(400)]
    seen = looked_at([*pictures, leaves(with_patch(15, 15, 4, 10, 60))])
    assert len([index for index in seen if 200 < index < 400]) <= 2
    assert 400 in seen


@pytest.mark.parametrize(
    ("settings", "seen"), [({"threshold": 8}, True), ({"threshold": 60}, False), ({"area": 0.02}, False)]
)
def test_the_settings_decide(settings: dict[str, float], seen: bool) -> None:
    pictures = [grey(scene()), grey(with_patch(70, 40, 6, 10, 50))]
    assert looked_at(pictures, **settings) == ([0, 1] if seen else [0])
    assert 60 / (WIDTH * HEIGHT) < 0.02
