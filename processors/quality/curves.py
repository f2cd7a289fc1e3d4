"""How a native value becomes a score of 0..1."""

import math


def rising(value: float, middle: float, width: float) -> float:
    """The logistic curve: 0.5 at `middle`, 0.73 one `width` above it."""
    return 1 / (1 + math.exp(min(max((middle - value) / width, -60.0), 60.0)))


def falling(value: float, middle: float, width: float) -> float:
    return 1 - rising(value, middle, width)


def ramp(value: float, low: float, high: float) -> float:
    """Straight from 0 at `low` to 1 at `high`."""
    return clipped((value - low) / (high - low))


def clipped(value: float) -> float:
    return min(max(value, 0.0), 1.0)
