"""The motion gate: whether a scene has changed since it was last looked at."""

import cv2
import numpy as np
import numpy.typing as npt

from daemon.sources.settings import MotionSettings

WIDTH, HEIGHT = 160, 90
"""What a picture is shrunk to, whatever its shape: a cell stands for 8x8 pixels of 720p."""
Grey = npt.NDArray[np.uint8]
"""(HEIGHT, WIDTH)"""
Cells = npt.NDArray[np.float32]
"""(HEIGHT, WIDTH), grey levels."""

NOISE_MEMORY = 64  # frames
MOST_NOISE = 4.0  # grey levels; more is motion, which must not teach the gate to overlook itself
NOISE_FACTOR = 3.0
SPARSE = 4  # every how many rows and columns the change of light is estimated


class Gate:
    """Compares each picture with the last one that was looked at, not with the one before: slow motion adds up.

    A cell has changed when it differs by more than `threshold` grey levels and its own usual noise, after the change
    of the whole picture's brightness (the median) has been taken off. Cells are means of 3x3, so that sensor noise
    makes none.
    """

    def __init__(self, settings: MotionSettings) -> None:
        self._every = settings.every
        self._threshold = settings.threshold
        self._most_changed = settings.area * WIDTH * HEIGHT
        self._looked_at: Cells | None = None
        self._previous: Cells | None = None
        self._noise: Cells = np.zeros((HEIGHT, WIDTH), np.float32)
        self._learnt = 0
        self._next_look = 0.0

    def is_still(self, grey: Grey, now: float) -> bool:
        """Whether the picture at `now` (seconds that never run backwards) can be passed over."""
        cells: Cells = cv2.blur(grey, (3, 3)).astype(np.float32)
        still = self._looked_at is not None and now < self._next_look and self._same(cells, self._looked_at)
        self._learn_noise(cells)
        if not still:
            self._looked_at = cells
            self._next_look = now + self._every
        return still

    def _same(self, cells: Cells, looked_at: Cells) -> bool:
        difference = cv2.subtract(cells, looked_at)
        sample = difference[::SPARSE, ::SPARSE].ravel()
        light = np.partition(sample, sample.size // 2)[sample.size // 2]
        limit = cv2.addWeighted(self._noise, NOISE_FACTOR, self._noise, 0, self._threshold)
        changed = cv2.compare(np.abs(difference - light), limit, cv2.CMP_GT)
        return cv2.countNonZero(changed) <= self._most_changed

    def _learn_noise(self, cells: Cells) -> None:
        if self._previous is not None:
            change = cv2.min(cv2.absdiff(cells, self._previous), MOST_NOISE)  # type: ignore[call-overload]
            self._learnt = min(self._learnt + 1, NOISE_MEMORY)  # the first frames count as a plain mean
            cv2.accumulateWeighted(change, self._noise, 1 / self._learnt)
        self._previous = cells
