"""Frames of a run with objects where a test wants them, and processors that say what they are told to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from processors.types import Box, Confidence, Floats, Frame, Label, Object, Sample

WIDTH, HEIGHT = 640, 360
FPS = 10
START = 1_700_000_000.0
PICTURE = np.zeros((HEIGHT, WIDTH, 3), np.uint8)


def frame(index: int) -> Frame:
    return Frame.of(PICTURE, index=index, pts=index / FPS, captured_at=START + index / FPS)


def box(x: float, y: float, width: float = 56, height: float = 56) -> Floats:
    """By its centre, in pixels."""
    return np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2])


def face(x: float, y: float = 100, size: float = 56, confidence: float = 1.0) -> Object:
    obj = Object("face", box(x, y, size, size))
    obj.put(Confidence(confidence))
    return obj


def body(x: float, y: float = 180, height: float = 240) -> Object:
    obj = Object("body", box(x, y, height / 3, height))
    obj.put(Confidence(1.0))
    return obj


@dataclass(frozen=True, slots=True)
class Name:
    """What a Namer says of an object: the number of the call."""

    value: int


class Detector:
    """Finds what the scene has on each frame: objects of its own, as a detector's are."""

    applies_to: Label = "face"
    needs: ClassVar[frozenset[type]] = frozenset()
    makes: ClassVar[frozenset[type]] = frozenset({Box, Confidence})

    def __init__(self, *scene: Sequence[Object]) -> None:
        self._scene = scene

    def __call__(self, samples: Sequence[Sample]) -> None:
        for sample in samples:
            sample.objects = [_fresh(obj) for obj in self._scene[sample.frame.index]]


def _fresh(obj: Object) -> Object:
    fresh = Object(obj.label, obj.box_xyxy)
    fresh.put(obj[Confidence])
    return fresh


class Namer:
    """Counts the objects of its label that it is given, and the frames on which it was."""

    needs: ClassVar[frozenset[type]] = frozenset({Box})
    makes: ClassVar[frozenset[type]] = frozenset({Name})

    def __init__(self, label: Label = "face") -> None:
        self.applies_to = label
        self.frames: list[int] = []
        self.broken = False

    def __call__(self, samples: Sequence[Sample]) -> None:
        for sample in samples:
            for obj in sample.objects:
                if obj.label != self.applies_to:
                    continue
                self.frames.append(sample.frame.index)
                if self.broken:
                    raise ZeroDivisionError
                obj.put(Name(len(self.frames)))
