from collections.abc import Sequence

import numpy as np
import pytest

from daemon.commands.evaluate.boxes import (
    Detections,
    Matches,
    average_precision,
    average_precision_figure,
    false_boxes,
    match,
    pictures_with_false_boxes,
    precision,
    recall,
)
from daemon.commands.evaluate.task import stacked

Box = tuple[float, float, float, float]


def picture(found: Sequence[tuple[Box, float]], wanted: Sequence[Box] = (), ignored: Sequence[Box] = ()) -> Detections:
    return Detections(
        boxes=stacked(np.array(box) for box, _ in found),
        scores=np.array([score for _, score in found]),
        wanted=stacked(map(np.array, wanted)),
        ignored=stacked(map(np.array, ignored)),
    )


def matches(hits: Sequence[bool], scores: Sequence[float], wanted: int) -> Matches:
    return Matches(np.array(scores, float), np.array(hits, bool), wanted)


A: Box = (0, 0, 10, 10)
B: Box = (100, 0, 110, 10)


def test_a_detection_takes_the_box_it_overlaps_most() -> None:
    """The better one takes the first box, though it overlaps the second too; the second detection gets what is left."""
    found = match(picture([((0, 0, 10, 12), 0.9), ((0, 1, 10, 13), 0.8)], [A, (0, 2, 10, 14)]), 0.5)
    assert found.hits.tolist() == [True, True]


def test_a_box_is_taken_once() -> None:
    found = match(picture([(A, 0.9), (A, 0.8)], [A]), 0.5)
    assert found.hits.tolist() == [True, False]
    assert found.wanted == 1


@pytest.mark.parametrize(("height", "hit"), [(20.0, True), (20.1, False)])
def test_the_overlap_is_inclusive(height: float, hit: bool) -> None:
    assert match(picture([((0, 0, 10, height), 0.9)], [A]), 0.5).hits.tolist() == [hit]


@pytest.mark.parametrize(
    ("found", "counts"),
    [
        ((0, 0, 20, 10), False),  # IoU with the ignored box exactly one half
        ((0, 0, 20.1, 10), True),
        ((2, 2, 4, 4), False),  # small, but inside it
        ((8, 0, 13, 2), True),  # two fifths of it inside
        ((7, 0, 12, 2), False),  # three fifths
        (B, True),
    ],
)
def test_what_lies_on_an_ignored_box_is_dropped(found: Box, counts: bool) -> None:
    assert len(match(picture([(found, 0.9)], ignored=[A]), 0.5).hits) == counts


def test_an_ignored_box_does_not_take_a_hit_away() -> None:
    assert match(picture([(A, 0.9)], [A], ignored=[A]), 0.5).hits.tolist() == [True]


def test_nothing_found() -> None:
    found = match(picture([], [A]), 0.5)
    assert (len(found.hits), found.wanted) == (0, 1)


def test_a_picture_without_any_box() -> None:
    assert match(picture([(A, 0.9)]), 0.5).hits.tolist() == [False]


def test_in_a_band_other_heights_count_neither_way() -> None:
    """Of A (10 px), a box of 30 px and a false detection of each height, the band from 20 has the large ones."""
    large: Box = (200, 0, 230, 30)
    found = picture([(A, 0.9), (large, 0.8), (B, 0.7), ((300, 0, 330, 30), 0.6)], [A, large])
    banded = match(found, 0.5, 20, 40)
    assert banded.hits.tolist() == [True, False]
    assert banded.scores.tolist() == [0.8, 0.6]
    assert banded.wanted == 1


def test_a_detection_outside_the_band_can_hit_inside_it() -> None:
    found = match(picture([((0, 0, 10, 9), 0.9)], [A]), 0.5, 10, 20)
    assert found.hits.tolist() == [True]


def test_average_precision_over_101_points() -> None:
    """Precision 1 up to recall .5 (51 points), then 2/3, which two hits of three detections are."""
    found = matches([True, False, True], [0.9, 0.8, 0.7], 2)
    assert average_precision([found]) == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_average_precision_orders_over_all_pictures() -> None:
    """The false box of the second picture comes first by its score: precision 1/2."""
    assert average_precision([matches([True], [0.5], 1), matches([False], [0.9], 0)]) == pytest.approx(0.5)


def test_average_precision_of_what_is_never_found() -> None:
    """Half of the boxes found, all right: the other recall points have 0."""
    assert average_precision([matches([True], [0.9], 2)]) == pytest.approx(51 / 101)
    assert average_precision([matches([], [], 2)]) == 0


def test_average_precision_without_boxes_is_none() -> None:
    assert average_precision([matches([False], [0.9], 0)]) is None
    assert average_precision_figure([matches([False], [0.9], 0)]) is None


def test_the_error_of_the_average_precision_is_over_pictures() -> None:
    alike = [matches([True, False], [0.9, 0.8], 1)] * 10
    mixed = [matches([True], [0.9], 1), matches([False], [0.9], 1)] * 10
    for found, low, high in ((alike, 0.0, 1e-9), (mixed, 0.05, 0.3)):
        figure = average_precision_figure(found)
        assert figure is not None
        assert figure.error is not None
        assert low <= figure.error <= high


def test_precision_recall_and_false_boxes_at_a_threshold() -> None:
    found = [matches([True, False, True, False], [0.9, 0.8, 0.7, 0.3], 4), matches([False], [0.4], 0)]
    at = 0.7
    found_recall, found_precision = recall(found, at), precision(found, at)
    assert found_recall is not None
    assert found_precision is not None
    assert found_recall.value == 2 / 4
    assert found_precision.value == 2 / 3
    assert false_boxes(found, at) == 1
    assert pictures_with_false_boxes(found, at) == 1
    assert pictures_with_false_boxes(found, 0.3) == 2


def test_no_recall_without_boxes_and_no_precision_without_detections() -> None:
    assert recall([matches([False], [0.9], 0)], 0.5) is None
    assert precision([matches([], [], 3)], 0.5) is None
