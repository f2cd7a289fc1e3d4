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
