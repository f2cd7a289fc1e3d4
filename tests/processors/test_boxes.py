import numpy as np
import pytest

from processors.boxes import nms, square
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


def iou(a: Floats, b: Floats) -> float:
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
        if all(iou(boxes[i], boxes[j]) <= 0.3 for j in kept):
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
