import itertools
from math import inf, isfinite

import numpy as np
import pytest

from processors.assignment import assign
from processors.types import Floats


def cheapest(costs: Floats) -> tuple[int, float]:
    """Of all ways to pair: how many pairs the best one has, and what they cost."""
    n, m = costs.shape
    ways = (
        [costs[row, column] for row, column in enumerate(columns) if column < m and isfinite(costs[row, column])]
        for columns in itertools.permutations(range(n + m), n)
    )
    fewest_lacking, cost = min((n - len(way), sum(way)) for way in ways)
    return n - fewest_lacking, cost


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (3, 2), (3, 3), (4, 3), (3, 4), (1, 4), (4, 1)])
@pytest.mark.parametrize("forbidden", [0.0, 0.3, 0.7])
def test_no_other_way_has_more_pairs_or_costs_less(shape: tuple[int, int], forbidden: float) -> None:
    draw = np.random.default_rng(0)
    for _ in range(30):
        costs = draw.normal(scale=10, size=shape)
        costs[draw.random(shape) < forbidden] = inf
        pairs = assign(costs)
        assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
        assert (len(pairs), sum(costs[pair] for pair in pairs)) == pytest.approx(cheapest(costs))


def test_the_dearer_pair_is_taken_where_it_saves_more_elsewhere() -> None:
    """Greedily, the cheapest pair first, it would cost 0 + 9."""
    assert assign(np.array([[0.0, 1.0], [1.0, 9.0]])) == [(0, 1), (1, 0)]


def test_equal_costs_are_whole_numbers_that_tie() -> None:
    assert len(assign(np.zeros((5, 7)))) == 5


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_nothing_is_paired_with_nothing(shape: tuple[int, int]) -> None:
    assert assign(np.zeros(shape)) == []


def test_a_pair_of_infinite_cost_is_never_made() -> None:
    assert assign(np.full((3, 3), inf)) == []
    assert assign(np.array([[inf, 5.0], [inf, 1.0]])) == [(1, 1)]


def test_as_good_as_sorting_where_costs_are_squared_distances_on_a_line() -> None:
    """There the best way pairs both in order; of a size at which searching by hand would not end."""
    draw = np.random.default_rng(1)
    here, there = draw.random(60), draw.random(60)
    pairs = dict(assign((here[:, None] - there) ** 2))
    assert [pairs[int(row)] for row in np.argsort(here)] == np.argsort(there).tolist()
