"""Tasks on eyes: open ones on whole faces, and crops of single eyes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from pydantic import BaseModel

from daemon.commands.evaluate.figures import Report, Row
from daemon.commands.evaluate.labels import Picture
from daemon.commands.evaluate.metrics import auc, proportion
from daemon.commands.evaluate.task import Context, Task
from models.store import ModelStore
from processors.arrays import resized
from processors.quality import Quality
from processors.quality.eyes import EYE_CROP, EyeClassifier
from processors.types import Image, Label, Pyramid, Sample

QUALITY = "quality-assessment-estimator"


def observe_open_eyes(picture: Picture, sample: Sample) -> tuple[bool, ...]:
    """Whether each eye is said to be open; of a portrait that isn't good, whose eyes may be closed, nothing."""
    quality = sample.objects[0][Quality]
    return (quality.is_left_eye_opened, quality.is_right_eye_opened) if picture.label.flag("good") else ()


def report_open_eyes(seen: Sequence[tuple[bool, ...]], context: Context) -> Report:
    eyes = [is_open for of_face in seen for is_open in of_face]
    figures = {"open called closed": proportion(eyes.count(False), len(eyes))} if eyes else {}
    return Report((Row("", len(eyes), figures),))


@dataclass(frozen=True, slots=True)
class Openness:
    """`probability` that the eye of a crop is open."""

    probability: float


class CropClassifier:
    """The network that looks at single eyes, on pictures of nothing else. On faces the blink has a say too."""

    applies_to: ClassVar[Label] = "face"
    needs: ClassVar[frozenset[type]] = frozenset()
    makes: ClassVar[frozenset[type]] = frozenset({Openness})

    def __init__(self, settings: BaseModel, models: ModelStore) -> None:
        self._eyes = EyeClassifier(models)

    def __call__(self, samples: Sequence[Sample]) -> None:
        for sample in samples:
            crop = resized(Pyramid(centre_square(sample.frame.image)), EYE_CROP, EYE_CROP)
            sample.put(Openness(self._eyes.of_crop(crop)))


def centre_square(image: Image) -> Image:
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return image[top : top + side, left : left + side]


def observe_eye_crop(picture: Picture, sample: Sample) -> tuple[bool, float]:
    """Whether it is open, and the probability of that."""
    return picture.label.flag("open"), sample[Openness].probability


def report_eye_crops(seen: Sequence[tuple[bool, float]], context: Context) -> Report:
    threshold = context.settings.eye_openness
    truth = np.array([is_open for is_open, _ in seen])
    probability = np.array([p for _, p in seen])
    wrong = truth != (probability >= threshold)
    figures = {"accuracy": proportion(int(np.count_nonzero(~wrong)), len(seen))}
    if truth.any():
        figures["open called closed"] = proportion(int(np.count_nonzero(wrong & truth)), int(truth.sum()))
    if not truth.all():
        figures["closed called open"] = proportion(int(np.count_nonzero(wrong & ~truth)), int((~truth).sum()))
    if truth.any() and not truth.all():
        figures["AUC"] = auc(probability[truth], probability[~truth])
    return Report((Row("", len(seen), figures),))


OPEN_EYES = Task("open eyes", frozenset({"good"}), QUALITY, "given", observe_open_eyes, report_open_eyes)
EYE_CROPS = Task(
    "crops of eyes", frozenset({"open"}), QUALITY, "all", observe_eye_crop, report_eye_crops, make=CropClassifier
)
