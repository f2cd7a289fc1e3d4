import numpy as np
import pytest

from processors.boxes import clipped, iou, nms, square
from processors.types import Floats

A, B, FAR = (0.0, 0.0, 10.0, 10.0), (5.0, 0.0, 15.0, 10.0), (100.0, 100.0, 110.0, 110.0)  # IoU of A and B: 1/3


@pytest.mark.parametrize(
    ("boxes", "scores", "overlap", "kept"),
    [
        ([], [], 0.3, []),
        ([A], [0.7], 0.3, [0]),
        ([A, B, FAR], [0.7, 0.9, 0.8], 0.3, [1, 2]),
        ([A, B, FAR], [0.7, 0.9, 0.8], 0.34, [1, 2, 0]),
        ([A, A, A], [0.7, 0.9, 0.8], 0.3, [1]),
        ([(-20, -20, -10, -10), (-20, -20, -10, -11), FAR], [0.5, 0.6, 0.1], 0.3, [1, 2]),
    ],
    ids=["none", "one", "overlapping", "below the threshold", "equal", "outside the picture"],
)
def test_nms(boxes: list[tuple[float, ...]], scores: list[float], overlap: float, kept: list[int]) -> None:
    assert nms(np.array(boxes).reshape(-1, 4), np.array(scores), overlap).tolist() == kept


def plain_iou(a: Floats, b: Floats) -> float:
    width, height = (max(min(a[2 + k], b[2 + k]) - max(a[k], b[k]), 0.0) for k in (0, 1))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return float(width * height / (sum(areas) - width * height))


def test_nms_is_greedy_on_random_boxes() -> None:
    random = np.random.default_rng(3)
    corners = random.uniform(-50, 50, (200, 2))
    boxes = np.concatenate([corners, corners + random.uniform(1, 40, (200, 2))], axis=1)
    scores = random.permutation(200) / 200  # no two alike
    kept: list[int] = []
    for i in np.argsort(-scores):
        if all(plain_iou(boxes[i], boxes[j]) <= 0.3 for j in kept):
            kept.append(int(i))
    assert 1 < len(kept) < 150
    assert nms(boxes, scores, 0.3).tolist() == kept


@pytest.mark.parametrize(
    ("box", "scale", "centre", "side"),
    [((0, 0, 10, 4), 1.0, (5, 2), 10), ((-3, 1, 1, 9), 1.5, (-1, 5), 12)],
)
def test_square(box: tuple[float, ...], scale: float, centre: tuple[float, float], side: float) -> None:
    found_centre, found_side = square(np.array(box, float), scale)
    assert (tuple(found_centre), found_side) == (centre, side)


def test_iou_of_each_with_each() -> None:
    flat = (3.0, 3.0, 3.0, 9.0)
    inside_out = (9.0, 9.0, 3.0, 3.0)
    found = iou(np.array([A, B, flat]), np.array([A, FAR, inside_out, flat]))
    np.testing.assert_allclose(found, np.array([[1, 0, 0, 0], [1 / 3, 0, 0, 0], [0, 0, 0, 0]]))
    assert iou(np.zeros((0, 4)), np.array([A])).shape == (0, 1)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((2, 3, 7, 8), (2, 3, 7, 8)),
        ((-5, -5, 50, 50), (0, 0, 20, 10)),
        ((15, -3, 25, 4), (15, 0, 20, 4)),
        ((-9, -9, -5, -5), (0, 0, 1, 1)),
        ((90, 90, 95, 95), (19, 9, 20, 10)),
        ((4, 4, 4.2, 4.1), (4, 4, 5, 5)),
    ],
)
def test_clipped_is_at_least_a_pixel(box: tuple[float, ...], expected: tuple[float, ...]) -> None:
    np.testing.assert_array_equal(clipped(np.array(box, np.float64), 20, 10), expected)
