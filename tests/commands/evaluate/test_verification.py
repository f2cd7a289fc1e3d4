import importlib

import numpy as np
import pytest

from daemon.commands.evaluate.verification import (
    distances_of_pairs,
    embedding,
    is_calibrated_on,
    same_of_pairs,
    truth_of_fa_r,
)
from models.store import ModelStore
from processors.matcher import Matcher
from processors.templates import pack, quantised, similarity

VECTORS = np.random.default_rng(0).normal(size=(4, 256))
MODEL = bytes(16)


def test_the_embedding_of_a_template() -> None:
    packed = quantised(VECTORS[0])
    assert embedding(pack(packed, MODEL)).tolist() == packed.tolist()


def test_distances_of_pairs_are_the_matchers() -> None:
    embeddings = [quantised(vector) for vector in VECTORS]
    expected = [
        round((1 - similarity(embeddings[i], embeddings[j])) * 10_000)
        for i, j in ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))
    ]
    assert distances_of_pairs(embeddings).tolist() == expected


def test_a_face_that_was_not_found_is_farthest_from_all() -> None:
    a, b = (quantised(vector) for vector in VECTORS[:2])
    near = distances_of_pairs([a, b])[0]
    assert distances_of_pairs([a, None, b, None]).tolist() == [20_000, near, 20_000, 20_000, 20_000, 20_000]


@pytest.mark.parametrize(
    ("identities", "expected"),
    [(["a", "b", "a"], [False, True, False]), (["x", "x"], [True]), (["x"], [])],
)
def test_pairs_of_one_person(identities: list[str], expected: list[bool]) -> None:
    assert same_of_pairs(identities).tolist() == expected


def test_people_of_the_calibration_are_those_of_the_recipes() -> None:
    recipe = importlib.import_module("models.recipes.labelled_faces")  # recipes are not under mypy
    names = [f"person {i}" for i in range(200)]
    halves = [is_calibrated_on(name) for name in names]
    assert halves == [recipe.is_fitted_on(name) for name in names]
    assert 80 < sum(halves) < 120


def test_what_fa_r_says_is_held_against_the_pairs(store: ModelStore) -> None:
    """Of 1,000 pairs two are as near as the farthest distance with an fa_r of 1e-3 at most, the others one farther."""
    matcher = Matcher(store)
    farthest = max(d for d in range(10_000) if matcher.at(d).fa_r <= 1e-3)
    distances = np.full(1000, farthest + 1.0)
    distances[:2] = farthest
    figure = truth_of_fa_r(matcher, -distances, 1e-3)
    assert figure.value == pytest.approx(2)
    assert figure.error == pytest.approx(2, abs=0.2)
