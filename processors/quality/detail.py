"""How much of a face's detail is there: noise and sharpness."""

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from processors.quality.curves import falling
from processors.quality.face import Cutout, eroded, hull, skin
from processors.quality.light import Grey, histogram, percentile
from processors.types import Floats

SHARPNESS_EYES = 120
NOISE_EYES = 240
"""At most this many pixels between the eyes: a face that is larger is shrunk before it is measured."""

FEWEST_PIXELS = 100
FLATTEST = 70
NOISE_KERNEL = np.array([(1, -2, 1), (-2, 4, -2), (1, -2, 1)], np.float32)
FARTHEST = 4.0
"""Standard deviations that a feature is taken at, at most."""


def noise(face: Cutout | None) -> float:
    """Standard deviation of the noise in grey levels (Immerkaer 1996), on skin away from edges (Tai and Yang 2008).

    0 where there is too little skin to tell.
    """
    if face is None:
        return 0.0
    levels = face.levels
    flat = skin(face.points_xy, levels.shape)
    if np.count_nonzero(flat) < FEWEST_PIXELS:
        return 0.0
    smooth = cv2.GaussianBlur(levels, (0, 0), 1.5)
    across, down = (cv2.convertScaleAbs(cv2.Sobel(smooth, cv2.CV_16S, dx, dy)) for dx, dy in ((1, 0), (0, 1)))
    edges: Grey = cv2.add(across, down)  # type: ignore[assignment]
    flattest = flat & (edges <= percentile(histogram(edges, flat), FLATTEST))
    response = cv2.filter2D(levels, cv2.CV_32F, NOISE_KERNEL)
    return math.sqrt(math.pi / 2) / 6 * _mean_magnitude(response, flattest.view(np.uint8))


def noise_score(noise: float) -> float:
    return falling(noise, 9, 2)


def sharpness_features(face: Cutout, noise: float) -> Floats:
    """(36,) logarithms of the families of ISO/IEC 29794-5 Sharpness, and of what they depend on.

    Means and deviations of Laplacians, of differences from local means and of Sobels, each of several sizes; their
    ratios; contrast, noise and the eyes' distance.
    """
    levels = face.levels
    mask = eroded(hull(face.points_xy, levels.shape), 3).view(np.uint8)
    smooth = cv2.GaussianBlur(levels, (3, 3), 0)
    statistics = [
        *(_magnitude(cv2.Laplacian(smooth, cv2.CV_32F, ksize=size), mask) / 4.0**size for size in (1, 3, 5, 7)),
        *(_magnitude(cv2.absdiff(levels, cv2.blur(levels, (size, size))), mask) for size in (3, 5, 7, 11)),
        *(_magnitude(cv2.Sobel(levels, cv2.CV_32F, 1, 1, ksize=size), mask) / 4.0**size for size in (3, 5, 7)),
    ]
    logarithms = np.log(np.concatenate(statistics) + 1e-4)
    _, contrast = _magnitude(levels, mask)
    return np.concatenate(
        [
            logarithms,
            logarithms[1::2] - logarithms[::2],
            np.log([contrast + 1, noise + 0.1, face.eyes_distance + 1]),
        ]
    )


def _magnitude(response: npt.NDArray[Any], mask: Grey) -> Floats:
    """(2,): mean and standard deviation of a response's magnitude where the mask is set; 0 where it is nowhere."""
    mean = _mean_magnitude(response, mask)
    variance = cv2.norm(response, cv2.NORM_L2SQR, mask) / max(cv2.countNonZero(mask), 1) - mean**2
    return np.array([mean, math.sqrt(max(variance, 0.0))])


def _mean_magnitude(response: npt.NDArray[Any], mask: Grey) -> float:
    return cv2.norm(response, cv2.NORM_L1, mask) / max(cv2.countNonZero(mask), 1)


def sharpness_score(blur: float) -> float:
    """0..1, of a blur whose sigma is `blur` pixels."""
    return falling(math.log2(blur), 1, 0.45) if blur < math.inf else 0.0


class Blur:
    """A quadratic ridge regression on sharpness_features."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as fitted:
            self._mean, self._deviation, self._weights = (fitted[name] for name in ("mean", "std", "weights"))
            self._bias = float(fitted["bias"])
        self._pairs = np.triu_indices(len(self._mean))

    def __call__(self, face: Cutout | None, noise: float) -> float:
        """The sigma, in pixels of the cutout, of the Gaussian that would blur as much; infinite without a face."""
        if face is None:
            return math.inf
        x = np.clip((sharpness_features(face, noise) - self._mean) / self._deviation, -FARTHEST, FARTHEST)
        first, second = self._pairs
        return float(2 ** (np.concatenate([x, x[first] * x[second]]) @ self._weights + self._bias))
