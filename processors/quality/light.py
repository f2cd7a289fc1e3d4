"""How a face is lit: measures of its luminance and of its grey levels, most of them by a histogram alone."""

import math
from dataclasses import dataclass
from functools import reduce

import cv2
import numpy as np
import numpy.typing as npt

from processors.quality.curves import falling, ramp, rising
from processors.types import Image

Grey = npt.NDArray[np.uint8]
Region = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]
"""(256,): how many pixels have each level."""

DARK, BRIGHT = 25, 247
HOT = 240
SMALLEST_SPOT = 0.0005
BLACK, WHITE = 70, 190

_LEVELS = np.arange(256)
_LINEAR = np.where(_LEVELS <= 0.04045 * 255, _LEVELS / 255 / 12.92, ((_LEVELS / 255 + 0.055) / 1.055) ** 2.4)
_BLUE, _GREEN, _RED = ((255 * weight * _LINEAR).astype(np.float32) for weight in (0.0722, 0.7152, 0.2126))


@dataclass(frozen=True, slots=True)
class Light:
    """What is measured of a face's light; each by the function of its name."""

    dark: float
    bright: float
    mean_score: float
    entropy: float
    """Bits."""
    dynamic_range: float
    """Grey levels."""
    overlap: float
    balance: float
    hot_spots: float
    veil: float
    white: float
    """Grey level."""

    def flare(self, detailed: bool) -> float:
        """The share that is burnt out, plus what stray light adds to the blacks (a share of white).

        Stray light lifts the blacks and lowers no white, as little contrast does; and the blacks of a face that is
        blurred or tiny, not `detailed`, are mixed with what is about them.
        """
        return self.hot_spots + (self.veil if detailed and self.white >= WHITE else 0.0)


def luminance(image: Image) -> Grey:
    """(h, w) luminance 0..255 of linear light: sRGB decoded, Rec. 709 weights (ISO/IEC 29794-5)."""
    blue, green, red = cv2.split(image)
    light = cv2.LUT(blue, _BLUE) + cv2.LUT(green, _GREEN) + cv2.LUT(red, _RED)
    levels: Grey = np.rint(light).astype(np.uint8)
    return levels


def grey(image: Image) -> Grey:
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)  # type: ignore[return-value]


def histogram(levels: Grey, region: Region) -> Counts:
    return cv2.calcHist([levels], [0], region.view(np.uint8), [256], [0, 256]).ravel().astype(np.int64)


def share(counts: Counts, low: int, high: int) -> float:
    """The share, 0..1, of the pixels whose level is `low` to `high`."""
    return float(int(counts[low : high + 1].sum()) / max(int(counts.sum()), 1))


def dark(luminances: Counts) -> float:
    """ISO/IEC 29794-5 UnderExposurePrevention: the share of a luminance of 25 or less. Of nothing: 1."""
    return share(luminances, 0, DARK) if luminances.any() else 1.0


def bright(luminances: Counts) -> float:
    """ISO/IEC 29794-5 OverExposurePrevention: the share of a luminance of 247 or more. Of nothing: 1."""
    return share(luminances, BRIGHT, 255) if luminances.any() else 1.0


def bright_score(bright: float) -> float:
    return 0.01 / (bright + 0.01)


def mean_score(luminances: Counts) -> float:
    """ISO/IEC 29794-5 LuminanceMean: neither dark nor bright on the whole."""
    mean = float(_LEVELS @ luminances) / max(int(luminances.sum()), 1) / 255
    return rising(mean, 0.2, 0.05) * falling(mean, 0.8, 0.05)


def entropy(luminances: Counts) -> float:
    """ISO/IEC 29794-5 DynamicRange: Shannon's entropy in bits, 0..8."""
    shares = luminances[luminances > 0] / max(int(luminances.sum()), 1)
    return float(abs(shares @ np.log2(shares)))


def percentile(counts: Counts, percent: float) -> float:
    """The level that np.percentile gives for the pixels; 0 where there are none."""
    position = (counts.sum() - 1) * percent / 100
    if position < 0:
        return 0.0
    below, above = np.searchsorted(counts.cumsum(), (math.floor(position), math.ceil(position)), side="right")
    return float(below + (above - below) * (position % 1))


def dynamic_range(greys: Counts) -> float:
    """Grey levels from the 0.1st to the 99.9th percentile (after ISO/IEC 19794-5: at least 7 bits in the face)."""
    return percentile(greys, 99.9) - percentile(greys, 0.1)


def veil(greys: Counts) -> float:
    """Veiling glare, which lifts the blacks (Talvala et al. 2007): how far the 1st percentile is above 70, of 255."""
    return max(0.0, percentile(greys, 1) - BLACK) / 255


def white(greys: Counts) -> float:
    """The 99th percentile."""
    return percentile(greys, 99)


def hot_spots(image: Image, region: Region) -> float:
    """The share of the region that is burnt out: spots of 0.05 % of it and more with every channel at 240 or above."""
    area = int(np.count_nonzero(region))
    darkest_channel = reduce(cv2.min, cv2.split(image))
    burnt = (darkest_channel >= HOT) & region
    least = SMALLEST_SPOT * area
    if np.count_nonzero(burnt) < max(least, 1):
        return 0.0
    _, _, stats, _ = cv2.connectedComponentsWithStats(burnt.view(np.uint8), connectivity=8)
    sizes = stats[1:, cv2.CC_STAT_AREA]
    return float(sizes[sizes >= least].sum() / area)


def overlap(first: Counts, second: Counts) -> float:
    """ISO/IEC 29794-5 IlluminationUniformity: what two histograms have in common, 0..1."""
    if not (first.any() and second.any()):
        return 0.0
    return float(np.minimum(first / first.sum(), second / second.sum()).sum())


def balance(luminances: Grey, left: Region, right: Region) -> float:
    """The mean luminance of the darker of two regions over that of the brighter, 0..1."""
    if not (left.any() and right.any()):
        return 0.0
    darker, brighter = sorted(cv2.mean(luminances, half.view(np.uint8))[0] for half in (left, right))
    return darker / max(brighter, 1e-6)


def overlap_score(overlap: float) -> float:
    return float(overlap**0.3)


def evenness(light: Light) -> float:
    """ISO/IEC 29794-5 IlluminationUniformity of the cheeks, with the halves' balance beside it.

    The first alone can be 0 on a passable face.
    """
    return (overlap_score(light.overlap) + ramp(light.balance, 0.15, 0.6)) / 2


def gradient(luminances: Grey, region: Region) -> float:
    """ISO/IEC 29794-5 BackgroundUniformity: the mean magnitude of Scharr's gradient."""
    across, down = (cv2.Scharr(luminances, cv2.CV_32F, dx, dy) for dx, dy in ((1, 0), (0, 1)))
    magnitude = cv2.magnitude(across, down)
    total = cv2.norm(magnitude, cv2.NORM_L1, region.view(np.uint8))  # in a sixth of the time of cv2.mean
    return total / np.count_nonzero(region)
