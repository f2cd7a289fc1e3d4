"""Tasks on boxes: faces, bodies, and whether masked faces are found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from daemon.commands.evaluate.boxes import (
    Detections,
    Matches,
    average_precision,
    average_precision_figure,
    false_boxes,
    match,
    pictures_with_false_boxes,
    precision,
    recall,
)
from daemon.commands.evaluate.figures import Figure, Report, Row
from daemon.commands.evaluate.labels import BOX, Picture
from daemon.commands.evaluate.metrics import proportion
from daemon.commands.evaluate.task import Context, Task, stacked
from processors.boxes import iou
from processors.types import Confidence, Sample

LOWEST_SCORE = 0.05
"""From which confidence detections count for average precision, as the sets' own figures do."""

OVERLAP = 0.5
LOOSE_OVERLAP = 0.4  # for faces that were labelled with squares by hand
OVERLAPS = np.arange(0.5, 1.0, 0.05)

Bands = Sequence[tuple[float, float]]
FACE_BANDS: Bands = ((8, 16), (16, 32), (32, 64), (64, 128), (128, np.inf))
BODY_BANDS: Bands = ((0, 64), (64, 160), (160, np.inf))


def observe_boxes(picture: Picture, sample: Sample) -> Detections:
    """A detector's objects are in the order of their confidence."""
    labelled = [(box, label.ignore) for label in picture.labels if (box := label.box()) is not None]
    return Detections(
        boxes=stacked(obj.box_xyxy for obj in sample.objects),
        scores=np.array([obj[Confidence].value for obj in sample.objects]),
        wanted=stacked(box for box, ignore in labelled if not ignore),
        ignored=stacked(box for box, ignore in labelled if ignore),
    )


def report_faces(seen: Sequence[Detections], context: Context) -> Report:
    threshold = context.settings.score_threshold
    loosely = [match(found, LOOSE_OVERLAP) for found in seen]
    also = {"AP40": average_precision_figure(loosely), "recall at IoU .4": recall(loosely, threshold)}
    return Report(_rows(seen, threshold, FACE_BANDS, also))


def report_bodies(seen: Sequence[Detections], context: Context) -> Report:
    aps = [average_precision([match(found, float(overlap)) for found in seen]) for overlap in OVERLAPS]
    known = [ap for ap in aps if ap is not None]
    also = {"AP50:95": Figure(float(np.mean(known))) if known else None}
    return Report(_rows(seen, context.settings.score_threshold, BODY_BANDS, also))


def _rows(
    seen: Sequence[Detections], threshold: float, bands: Bands, also: Mapping[str, Figure | None]
) -> tuple[Row, ...]:
    """Average precision from LOWEST_SCORE on, the rest at the threshold; `count` is of labelled boxes.

    `also` is what else is known of the whole set.
    """
    whole = _row("", [match(found, OVERLAP) for found in seen], threshold, also)
    by_band = [
        _row(_band(low, high), [match(found, OVERLAP, low, high) for found in seen], threshold) for low, high in bands
    ]
    return (whole, *(row for row in by_band if row.count))


def _band(low: float, high: float) -> str:
    return f"from {low:g} px" if high == np.inf else f"{low:g} to {high:g} px"


def _row(
    name: str, matches: Sequence[Matches], threshold: float, also: Mapping[str, Figure | None] = MappingProxyType({})
) -> Row:
    figures = {
        "AP50": average_precision_figure(matches),
        "recall": recall(matches, threshold),
        "precision": precision(matches, threshold),
        "false boxes": Figure(false_boxes(matches, threshold)),
        "pictures with one": Figure(pictures_with_false_boxes(matches, threshold)),
        **also,
    }
    present = {figure_name: figure for figure_name, figure in figures.items() if figure is not None}
    return Row(name, sum(m.wanted for m in matches), present)


@dataclass(frozen=True, slots=True)
class Faced:
    masked: bool
    found: bool


def observe_masked(picture: Picture, sample: Sample) -> Faced:
    """Whether the face that is labelled with a mask or without one is found."""
    box = picture.label.box()
    masked = picture.label.flag("mask")
    found = stacked(obj.box_xyxy for obj in sample.objects)
    return Faced(masked, box is not None and bool((iou(found, box[None]) >= LOOSE_OVERLAP).any()))


def report_masked(seen: Sequence[Faced], context: Context) -> Report:
    groups = {"": list(seen), "masked": [s for s in seen if s.masked], "bare": [s for s in seen if not s.masked]}
    return Report(
        tuple(
            Row(name, len(group), {"recall": proportion(sum(s.found for s in group), len(group))})
            for name, group in groups.items()
            if group
        )
    )


FACES = Task(
    "faces",
    frozenset(BOX),
    "face-detector",
    "all",
    observe_boxes,
    report_faces,
    {"score_threshold": LOWEST_SCORE},
)
BODIES = Task(
    "bodies",
    frozenset(BOX),
    "body-detector",
    "all",
    observe_boxes,
    report_bodies,
    {"score_threshold": 0.0},  # the networks themselves begin at LOWEST_SCORE
)
MASKED_FACES = Task(
    "masked faces found", frozenset({"mask", *BOX}), "face-detector", "all", observe_masked, report_masked
)
