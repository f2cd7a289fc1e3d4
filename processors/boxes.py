"""Pure functions over boxes: (n, 4) or (4,) x1, y1, x2, y2 in pixels."""

import cv2
import numpy as np
import numpy.typing as npt

from processors.types import Floats


def nms(boxes_xyxy: Floats, scores: Floats, overlap: float) -> npt.NDArray[np.intp]:
    """Greedy non-maximum suppression: the indices that stay, by descending score.

    A box goes when its IoU with a better one is above `overlap`.
    """
    if not len(scores):
        return np.zeros(0, np.intp)
    boxes_xywh = np.concatenate([boxes_xyxy[:, :2], boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]], axis=1)
    kept = cv2.dnn.NMSBoxes(boxes_xywh.tolist(), scores.tolist(), 0.0, overlap)
    return np.asarray(kept, np.intp).reshape(-1)


def square(box_xyxy: Floats, scale: float) -> tuple[Floats, float]:
    """Centre (2,) and side of the square about a box: `scale` times its longer side."""
    centre = (box_xyxy[:2] + box_xyxy[2:]) / 2
    return centre, float(np.max(box_xyxy[2:] - box_xyxy[:2]) * scale)


def clipped(box_xyxy: Floats, width: int, height: int) -> Floats:
    """The part of a box inside a picture; of one that is outside, the pixels nearest to it."""
    low = np.clip(box_xyxy[:2], 0, (width - 1, height - 1))
    return np.concatenate([low, np.clip(box_xyxy[2:], low + 1, (width, height))])


def iou(boxes_xyxy: Floats, others_xyxy: Floats) -> Floats:
    """(n, m): intersection over union of each box with each other."""
    intersection = _intersection(boxes_xyxy, others_xyxy)
    union = _area(boxes_xyxy)[:, None] + _area(others_xyxy)[None] - intersection
    return intersection / np.maximum(union, np.finfo(np.float64).tiny)


def inside(boxes_xyxy: Floats, others_xyxy: Floats) -> Floats:
    """(n, m): the share of each box that lies in each other."""
    area = np.maximum(_area(boxes_xyxy), np.finfo(np.float64).tiny)
    return _intersection(boxes_xyxy, others_xyxy) / area[:, None]


def _intersection(boxes_xyxy: Floats, others_xyxy: Floats) -> Floats:
    low = np.maximum(boxes_xyxy[:, None, :2], others_xyxy[None, :, :2])
    high = np.minimum(boxes_xyxy[:, None, 2:], others_xyxy[None, :, 2:])
    shared: Floats = np.prod(np.clip(high - low, 0, None), axis=2)
    return shared


def _area(boxes_xyxy: Floats) -> Floats:
    """(n,); of a box turned inside out 0."""
    area: Floats = np.prod(np.clip(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], 0, None), axis=1)
    return area
