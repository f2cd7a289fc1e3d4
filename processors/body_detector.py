"""Finds people with two networks whose answers are fused: NanoDet (RangiLyu 2020), MoveNet multipose (Google 2021)."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from configs.section import Section
from models.manifest import ModelName
from models.session import Session
from models.store import ModelStore
from processors.arrays import blob, fitted, padded
from processors.boxes import iou, nms
from processors.types import Box, Confidence, Floats, Image, Label, Object, Pyramid, Sample

NANODET_SIDE = 416
NANODET_MULTIPLE = 32
NANODET_MEAN = (103.53, 116.28, 123.675)
NANODET_SCALE = (1 / 57.375, 1 / 57.12, 1 / 58.395)
NANODET_OUTPUTS = {
    8: ("Identity:0", "Identity_3:0"),
    16: ("Identity_1:0", "Identity_4:0"),
    32: ("Identity_2:0", "Identity_5:0"),
}
"""Class probabilities and distances of each stride's grid."""
NANODET_BINS = np.arange(11)
NANODET_NMS = 0.5
PERSON = 0

MOVENET_SIDE = 256
MOVENET_MULTIPLE = 32
MOVENET_EXPONENT = 2
"""Takes the confidence of a person's centre to that which the fusion is made for."""

LOWEST_SCORE = 0.05
"""Boxes that score less take no part in the fusion."""
SAME_PERSON = 0.55
"""Boxes with a larger IoU are one person's."""
TRUST = 0.8
"""The weight of each network's scores in the fusion."""
FUSED_NMS = 0.6


class Scored(NamedTuple):
    """Boxes (n, 4) in pixels and their scores (n,), by descending score."""

    boxes_xyxy: Floats
    scores: Floats


class BodyDetectorSettings(Section):
    model: ModelName = Field(
        "nanodet_g_416",
        description="The detection model: a name that `visaged models` lists. nanodet_g_416_int8 computes in 8 bits "
        "and takes half the time on a CPU with VNNI (Intel since 2019, AMD since Zen 4), else more. It finds as many, "
        "with slightly other boxes and confidences.",
    )
    second_model: ModelName | None = Field(
        "people_movenet_multipose",
        description="A second detection model, for up to six people, whose boxes are fused with those of the first. "
        "null: only the first runs. That takes two thirds of the time and gives higher confidences, but "
        "finds fewer of the people in full view.",
    )
    score_threshold: float = Field(
        0.35,
        ge=0,
        le=1,
        description="Confidence, 0 to 1. Bodies with a lower one are left out. At 0.25 more small and hidden people "
        "are found, and more false ones.",
    )


class BodyDetector:
    """Replaces the bodies of each sample by those it finds, by descending confidence."""

    applies_to: ClassVar[Label] = "body"
    needs: ClassVar[frozenset[type]] = frozenset()
    makes: ClassVar[frozenset[type]] = frozenset({Box, Confidence})
    Settings: ClassVar = BodyDetectorSettings

    def __init__(self, settings: BodyDetectorSettings, models: ModelStore) -> None:
        self._threshold = settings.score_threshold
        self._nanodet = models.session(settings.model)
        self._movenet = models.session(settings.second_model) if settings.second_model else None

    def __call__(self, samples: Sequence[Sample]) -> None:
        for sample in samples:
            others = [obj for obj in sample.objects if obj.label != "body"]
            sample.objects = self.detect(sample.frame.pyramid) + others

    def detect(self, pyramid: Pyramid) -> list[Object]:
        """The bodies of one picture of any size and shape."""
        found = nanodet(self._nanodet, pyramid)
        if self._movenet is not None:
            found = fused(found, movenet(self._movenet, pyramid))
        bodies = []
        for box, score in zip(found.boxes_xyxy, found.scores, strict=True):
            if score >= self._threshold:
                body = Object("body", box)
                body.put(Confidence(float(score)))
                bodies.append(body)
        return bodies


def nanodet(session: Session, pyramid: Pyramid) -> Scored:
    picture = fitted(pyramid, NANODET_SIDE)
    net = nanodet_input(picture)
    outputs = session.run({"input_1:0": net})
    boxes, scores = (
        np.concatenate(part)
        for part in zip(*(_decode(outputs, stride, net.shape[3] // stride) for stride in NANODET_OUTPUTS), strict=True)
    )
    return _best(boxes * _scale(picture, pyramid), scores, NANODET_NMS)


def nanodet_input(picture: Image) -> npt.NDArray[np.float32]:
    """(1, 3, h, w) of a picture of which no side is longer than NANODET_SIDE."""
    return blob(picture, mean=NANODET_MEAN, scale=NANODET_SCALE, multiple=NANODET_MULTIPLE)


def movenet(session: Session, pyramid: Pyramid) -> Scored:
    picture = fitted(pyramid, MOVENET_SIDE)
    net = padded(picture, MOVENET_MULTIPLE)
    outputs = session.run({"input:0": net[None, :, :, ::-1].astype(np.int32)})
    top, left, bottom, right = outputs["boxes"][0].astype(np.float64).T
    scores = outputs["scores"][0].astype(np.float64) ** MOVENET_EXPONENT
    boxes = np.stack([left, top, right, bottom], axis=1) * np.tile(net.shape[1::-1], 2)
    seen = scores > LOWEST_SCORE
    return _best(boxes[seen] * _scale(picture, pyramid), scores[seen], 1.0)


def fused(*detectors: Scored) -> Scored:
    """One box for each group of boxes that agree.

    A group is the best box of those left and all that overlap it. Its score is the probability that not every network
    errs, each of which is right with TRUST times its best score in the group (noisy or); its box is the mean, weighted
    by the squares of the scores.
    """
    boxes = np.concatenate([found.boxes_xyxy for found in detectors])
    scores = TRUST * np.concatenate([found.scores for found in detectors])
    source = np.repeat(np.arange(len(detectors)), [len(found.scores) for found in detectors])
    if not len(boxes):
        return Scored(boxes, scores)
    overlaps = iou(boxes, boxes)
    left = np.ones(len(boxes), bool)
    groups = []
    for i in np.argsort(-scores, kind="stable"):
        if left[i]:
            group = left & (overlaps[i] > SAME_PERSON)
            left &= ~group
            groups.append(group)
    weights = np.array(groups) * scores**2
    best = np.array([[scores[group & (source == k)].max(initial=0) for k in range(len(detectors))] for group in groups])
    fused_scores = 1 - np.prod(1 - best, axis=1)
    return _best(weights @ boxes / weights.sum(axis=1, keepdims=True), fused_scores, FUSED_NMS)


def _decode(outputs: Mapping[str, npt.NDArray[np.float32]], stride: int, columns: int) -> tuple[Floats, Floats]:
    """The candidates of one stride's grid: boxes in pixels of the network's input, and scores.

    Each cell has a probability for each class and, for the distance from its centre to each side of the box, the
    logits of 0 to 10 strides (Li et al. 2020, Generalized Focal Loss).
    """
    classes, distances = (outputs[name][0] for name in NANODET_OUTPUTS[stride])
    scores = classes[:, PERSON].astype(np.float64)
    (seen,) = np.nonzero(scores > LOWEST_SCORE)
    centre = (np.stack([seen % columns, seen // columns], axis=1) + 0.5) * stride
    logits = distances[seen].reshape(-1, 4, len(NANODET_BINS)).astype(np.float64)
    odds = np.exp(logits - logits.max(axis=2, keepdims=True))
    sides = odds @ NANODET_BINS / odds.sum(axis=2) * stride
    return np.concatenate([centre - sides[:, :2], centre + sides[:, 2:]], axis=1), scores[seen]


def _scale(picture: Image, pyramid: Pyramid) -> Floats:
    """(4,): what takes boxes in the picture that a network saw to what it was made of."""
    return np.tile(np.divide(pyramid.size(), picture.shape[1::-1]), 2)


def _best(boxes_xyxy: Floats, scores: Floats, overlap: float) -> Scored:
    """Without the boxes that have no area or overlap a better one."""
    solid = (boxes_xyxy[:, 2:] > boxes_xyxy[:, :2]).all(axis=1)
    boxes_xyxy, scores = boxes_xyxy[solid], scores[solid]
    kept = nms(boxes_xyxy, scores, overlap)
    return Scored(boxes_xyxy[kept], scores[kept])
