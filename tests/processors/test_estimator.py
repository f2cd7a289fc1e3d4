from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from processors.estimator import Estimator
from processors.types import Box, Frame, Object, Pyramid, Sample


@dataclass(frozen=True, slots=True)
class Brightness:
    value: float


class BrightnessEstimator(Estimator):
    makes: ClassVar[frozenset[type]] = frozenset({Brightness})

    def estimate(self, pyramid: Pyramid, obj: Object) -> Iterable[object]:
        x1, y1, x2, y2 = obj.box_xyxy.astype(int)
        return (Brightness(float(pyramid.image[y1:y2, x1:x2].mean())),)


def test_every_object_of_its_label_gets_its_results_from_its_own_picture() -> None:
    dark, light = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 200, np.uint8)
    light[:, :2] = 100
    left, right = Object("face", np.array([0, 0, 2, 4])), Object("face", np.array([2, 0, 4, 4]))
    body = Object("body", np.array([0, 0, 4, 4]))
    other = Object("face", np.array([0, 0, 4, 4]))
    estimator = BrightnessEstimator()
    estimator([Sample(Frame.of(light), [left, right, body]), Sample(Frame.of(dark), [other])])
    assert [face[Brightness].value for face in (left, right, other)] == [100, 200, 0]
    assert Brightness not in body
    assert (estimator.applies_to, estimator.needs) == ("face", frozenset({Box}))
