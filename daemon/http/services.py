"""The services by name: which processors each runs, and which of the results it answers with."""

from collections.abc import Mapping
from dataclasses import dataclass

from processors.types import Box, Confidence, Label, Landmarks, Pose


@dataclass(frozen=True, slots=True)
class Service:
    """A service that detects: it takes a sample or a picture alone, and needs no objects."""

    chain: tuple[str, ...]
    emits: frozenset[type]
    detects: Label
    max_pixels: int | None = None
    """Of an image; None: as many as the configuration allows."""


SERVICES: Mapping[str, Service] = {
    "face-detector-face-fitter": Service(
        chain=("face-detector", "face-fitter"),
        emits=frozenset({Confidence, Box, Landmarks, Pose}),
        detects="face",
    ),
}
