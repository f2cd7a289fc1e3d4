"""Compares two templates: how far apart they are, and what that says about one person or two."""

from dataclasses import dataclass

import numpy as np

from models.store import ModelStore
from processors.templates import similarity, unpack

DISTANCES = 10_000
"""The distance of two embeddings at a right angle, which is what two people's have on average; of opposite ones, twice
this; of equal ones, 0."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What a comparison says.

    `distance` is (1 - cosine) in ten-thousandths. `fa_r` is the share of pairs of two people that are at most as far
    apart, `fr_r` the share of pairs of one person that are farther. `score`, 0..1, falls as the distance grows: 0.9 is
    reached where fa_r is 1e-4, and half of the pairs of one person have 0.95.
    """

    distance: int
    fa_r: float
    fr_r: float
    score: float


class Matcher:
    """The curves of `verification_curves`, fitted on labelled pairs (models/recipes/verification_curves.py).

    Between their points fa_r is interpolated in its logarithm, the others linearly: all are monotone in the distance.
    """

    def __init__(self, models: ModelStore, curves: str = "verification_curves") -> None:
        with np.load(models.path(curves)) as file:
            self._model = file["model"].tobytes()
            self._distance, self._log_fa_r, self._fr_r, self._score = (
                file[name] for name in ("distance", "log_fa_r", "fr_r", "score")
            )

    def compare(self, a: bytes, b: bytes) -> Verification:
        """Raises TemplateError for what is not a template of the model that the curves are for."""
        cosine = similarity(unpack(a, self._model), unpack(b, self._model))
        return self.at(round((1 - cosine) * DISTANCES))

    def at(self, distance: int) -> Verification:
        return Verification(
            distance=distance,
            fa_r=float(10 ** np.interp(distance, self._distance, self._log_fa_r)),
            fr_r=float(np.interp(distance, self._distance, self._fr_r)),
            score=float(np.interp(distance, self._distance, self._score)),
        )
