from pathlib import Path

import numpy as np
import pytest

from models.store import ModelStore
from processors.matcher import DISTANCES, Matcher, Verification
from processors.template_extractor import TemplateExtractor
from processors.templates import (
    DIMENSIONS,
    WrongChecksum,
    WrongMagic,
    WrongModel,
    WrongSize,
    WrongVersion,
    model_id,
    pack,
    quantised,
)
from processors.types import Floats

EVERY_DISTANCE = range(2 * DISTANCES + 1)


@pytest.fixture(scope="module")
def matcher(store: ModelStore) -> Matcher:
    return Matcher(store)


@pytest.fixture(scope="module")
def model(store: ModelStore) -> bytes:
    return TemplateExtractor(TemplateExtractor.Settings(), store).model


@pytest.fixture(scope="module")
def curve(matcher: Matcher) -> list[Verification]:
    """All that can be said."""
    return [matcher.at(distance) for distance in EVERY_DISTANCE]


def at_cosine(cosine: float) -> tuple[Floats, Floats]:
    a, b = np.zeros((2, DIMENSIONS))
    a[0], b[:2] = 1.0, (cosine, np.sqrt(1 - cosine**2))
    return a, b


@pytest.mark.parametrize(
    ("cosine", "distance"), [(1.0, 0), (0.9, 1000), (0.6, 4000), (0.0, 10_000), (-0.5, 15_000), (-1.0, 20_000)]
)
def test_distance_follows_from_the_cosine(matcher: Matcher, model: bytes, cosine: float, distance: int) -> None:
    a, b = (pack(quantised(vector), model) for vector in at_cosine(cosine))
    found = matcher.compare(a, b)
    assert found.distance == pytest.approx(distance, abs=40)  # of 127 steps
    assert found == matcher.at(found.distance)
    assert matcher.compare(b, a) == found


def test_a_template_is_nearest_to_itself(matcher: Matcher, model: bytes) -> None:
    a = pack(quantised(np.random.default_rng(1).normal(size=DIMENSIONS)), model)
    same = matcher.compare(a, a)
    assert (same.distance, same.fr_r, same.score) == (0, 1.0, 1.0)
    assert same.fa_r <= 1e-6


def test_curves_are_monotone(curve: list[Verification]) -> None:
    for name, sign in (("distance", 1), ("fa_r", 1), ("fr_r", -1), ("score", -1)):
        values = np.array([getattr(each, name) for each in curve], float)
        assert (sign * np.diff(values) >= 0).all(), name
    scores = [each.score for each in curve]
    assert len(set(scores)) == len(scores)  # any two distances can be told apart by it


def test_curves_span_all_distances(curve: list[Verification]) -> None:
    nearest, farthest = curve[0], curve[-1]
    assert (nearest.score, farthest.score) == (1.0, 0.0)
    assert (nearest.fr_r, farthest.fr_r) == (1.0, 0.0)
    assert nearest.fa_r == pytest.approx(1e-6)
    assert farthest.fa_r == 1.0


def test_a_score_of_point_nine_is_a_false_accept_in_ten_thousand(curve: list[Verification]) -> None:
    for each in curve:
        assert (each.score >= 0.9) == (each.fa_r <= 1e-4), each


def test_half_of_one_person_s_pairs_score_as_in_the_contract_s_example(curve: list[Verification]) -> None:
    """It prints fr_r .52 beside a score of .95."""
    median = next(each for each in curve if each.fr_r <= 0.52)
    assert median.score == pytest.approx(0.95, abs=0.005)
    assert median.fa_r < 1e-5


def test_what_is_not_a_template_of_the_model_is_refused(matcher: Matcher, model: bytes) -> None:
    good = pack(quantised(np.ones(DIMENSIONS)), model)
    foreign = pack(quantised(np.ones(DIMENSIONS)), model_id("another"))
    for bad, error in (
        (good[:-1], WrongSize),
        (b"JUNK" + good[4:], WrongMagic),
        (good[:4] + b"\x09" + good[5:], WrongVersion),
        (good[:-1] + b"\0", WrongChecksum),
        (foreign, WrongModel),
    ):
        for pair in ((good, bad), (bad, good)):
            with pytest.raises(error):
                matcher.compare(*pair)


def test_the_curves_are_those_of_the_shipped_extractor(store: ModelStore, model: bytes) -> None:
    with np.load(Path(store.path("verification_curves"))) as file:
        assert file["model"].tobytes() == model
