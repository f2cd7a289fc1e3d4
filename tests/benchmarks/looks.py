"""What looking less often saves and loses: python -m tests.benchmarks.looks FOLDER-OR-CLIP ... [--detector NAME]

By `tracking.per` of the detector: every n-th frame, and `auto`. A labelled tracking set (docs/evaluation.md) is held
against its labels, other clips against the tracks of every-frame looks. CPU is of one core: decoding, conversion and
detector, each timed on every frame once, and what following takes. With `flow` predictions are corrected by sparse
optical flow (Lucas and Kanade 1981) between luma planes of a quarter of the width, which the daemon does not do.
"""

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
import numpy.typing as npt

from daemon.commands.evaluate.labels import find_sets, read_set
from daemon.commands.evaluate.tracking import Clip, Count, Look, Replay, Truth, count, truths
from daemon.flow.receipts import LookCounts
from daemon.prepare import prepare
from daemon.work.looks import Looking, Looks
from models.store import ModelStore
from processors.registry import PROCESSORS
from processors.tracker import Track, Tracker, TrackerSettings, _Moment, _Open
from processors.types import Confidence, Floats, Frame, Label, Object, Processor, Sample
from tests.benchmarks.work import bgr, frames_of

EVERY: Mapping[str, int | None] = {str(n): n for n in (1, 2, 3, 5, 10)} | {"auto": None}
WITH_FLOW = ("3", "5", "10")
SHRUNK = 4
POINTS = 4
"""Of a box, along each side."""
INNER = 0.7
"""Share of a box in which they lie: less of what is behind."""
LEAST = 1 / 3
"""Share of them that must be found again."""
BACK = 0.5
"""Pixels of the shrunk plane by which a point may miss itself when it is followed back."""
SCALES = (0.95, 1.05)
Grey = npt.NDArray[np.uint8]


@dataclass
class Seen:
    """A clip, looked at on every frame; milliseconds of CPU of each."""

    clip: Clip
    greys: list[Grey] = field(default_factory=list)
    decode_ms: list[float] = field(default_factory=list)
    shrink_ms: list[float] = field(default_factory=list)
    look_ms: list[float] = field(default_factory=list)


class Clock:
    def __init__(self) -> None:
        self._at = time.process_time()

    def lap_ms(self) -> float:
        before, self._at = self._at, time.process_time()
        return (self._at - before) * 1000


def seen(path: Path, detector: Processor, truth: Mapping[int, Truth]) -> Seen:
    looks: list[Look] = []
    found = Seen(Clip(path.stem, ()))
    clock = Clock()
    for index, picture in enumerate(frames_of(path)):
        found.decode_ms.append(clock.lap_ms())
        found.greys.append(shrunk(picture))
        found.shrink_ms.append(clock.lap_ms())
        sample = Sample(Frame.of(bgr(picture), index=index))
        detector([sample])
        found.look_ms.append(clock.lap_ms())
        boxes = np.array([obj.box_xyxy for obj in sample.objects]).reshape(-1, 4)
        confidences = tuple(obj[Confidence].value for obj in sample.objects)
        looks.append(Look(picture.time or 0.0, picture.width, picture.height, boxes, truth.get(index), confidences))
    found.clip = Clip(path.stem, tuple(looks))
    return found


def shrunk(picture: av.VideoFrame) -> Grey:
    small = picture.reformat(picture.width // SHRUNK, picture.height // SHRUNK, "gray", interpolation="FAST_BILINEAR")
    return small.to_ndarray()  # type: ignore[return-value]


class Move(NamedTuple):
    """Pixels of the picture, and the factor by which a box grows."""

    shift: Floats
    scale: float


class FlowTracker(Tracker):
    """Moves what it predicts as the pixels in the boxes do, where that can be seen."""

    def __init__(self, greys: Sequence[Grey]) -> None:
        super().__init__(TrackerSettings())
        self._greys = iter(greys)
        self._grey: Grey | None = None
        self._moved: dict[int, tuple[Floats, Floats]] = {}
        """By track: the centre and the logarithms of the sides to which the last two planes move it."""

    def _advance(self, moment: _Moment) -> list[_Open]:
        before, self._grey = self._grey, next(self._greys)
        tracks = [track for label, of in self._tracks.items() for track in of if self._saw(label, track)]
        moves = moves_of([track.box_xyxy for track in tracks], before, self._grey) if before is not None else []
        self._moved = {
            track.id: (track.centre + move.shift, track.log_sides + np.log(move.scale))
            for track, move in zip(tracks, moves, strict=False)
            if move is not None
        }
        return super()._advance(moment)

    def _predicted(self, label: str, frame: Frame) -> Iterator[Object]:
        for track in self._tracks.get(label, ()):
            if track.id in self._moved:
                track.centre, track.log_sides = self._moved[track.id]
        return super()._predicted(label, frame)


def moves_of(boxes: Sequence[Floats], before: Grey, after: Grey) -> list[Move | None]:
    """None: too few points of a box are found again."""
    if not boxes:
        return []
    side = np.linspace(-INNER, INNER, POINTS)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    corners = np.stack(boxes).reshape(-1, 2, 2) / SHRUNK
    centres, halves = corners.mean(axis=1), (corners[:, 1] - corners[:, 0]) / 2
    points = (centres[:, None] + grid * halves[:, None]).astype(np.float32)
    ahead, found = followed(points, before, after)
    back, found_back = followed(ahead, after, before)
    kept = found & found_back & (np.abs(back - points).max(axis=2) < BACK)
    return [move(*each) for each in zip(points, ahead, kept, strict=True)]


def followed(
    points: npt.NDArray[np.float32], before: Grey, after: Grey
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    ahead, status, _ = cv2.calcOpticalFlowPyrLK(
        before, after, points.reshape(-1, 1, 2), None, winSize=(11, 11), maxLevel=2
    )  # type: ignore[call-overload]
    return ahead.reshape(points.shape), status.reshape(points.shape[:2]) == 1


def move(points: Floats, ahead: Floats, kept: npt.NDArray[np.bool_]) -> Move | None:
    if kept.mean() < LEAST:
        return None
    points, ahead = points[kept] * SHRUNK, ahead[kept] * SHRUNK
    spread, spread_ahead = (np.linalg.norm(of - np.median(of, axis=0), axis=1).mean() for of in (points, ahead))
    return Move(np.median(ahead - points, axis=0), float(np.clip(spread_ahead / max(spread, 1e-6), *SCALES)))


@dataclass
class Result:
    frames: int = 0
    looks: int = 0
    cpu_ms: float = 0.0
    count: Count = field(default_factory=Count)

    def __add__(self, other: "Result") -> "Result":
        return Result(
            self.frames + other.frames,
            self.looks + other.looks,
            self.cpu_ms + other.cpu_ms,
            self.count + other.count,
        )


def measured(of: Seen, label: Label, every: int | None, *, flow: bool = False) -> tuple[Result, Clip, list[list[int]]]:
    counts = LookCounts()
    tracker = FlowTracker(of.greys) if flow else Tracker(TrackerSettings())
    looking = Looking([Looks(label, Replay(of.clip, label), every)], tracker, counts)
    looks: list[Look] = []
    ids: list[list[int]] = []
    cpu_ms = sum(of.decode_ms) + (sum(of.shrink_ms) if flow else 0.0)
    for index, look in enumerate(of.clip.looks):
        before, clock = counts.looks.total(), Clock()
        sample = looking.look(look.frame(index), index)
        looking.follow(sample)
        cpu_ms += clock.lap_ms() + of.look_ms[index] * (counts.looks.total() - before)
        boxes = np.array([obj.box_xyxy for obj in sample.objects]).reshape(-1, 4)
        looks.append(replace(look, boxes=boxes))
        ids.append([obj[Track].id for obj in sample.objects])
    clip = Clip(of.clip.name, tuple(looks))
    said = iter(ids)
    result = Result(len(looks), counts.looks.total(), cpu_ms, count(clip, lambda _: next(said)))
    return result, clip, ids


def by_itself(of: Seen, label: Label) -> Seen:
    """With what every-frame looks find for its truth."""
    _, clip, ids = measured(of, label, 1)
    looks = (
        replace(look, truth=Truth(tuple((str(one), 1) for one in tracks), found.boxes, np.ones(len(tracks), bool)))
        for look, found, tracks in zip(of.clip.looks, clip.looks, ids, strict=True)
    )
    return replace(of, clip=Clip(of.clip.name, tuple(looks)))


def clips(paths: Sequence[Path], detector: Processor) -> Iterator[Seen]:
    for path in paths:
        if path.is_dir():
            pictures = [picture for folder in find_sets(path) for picture in read_set(folder).pictures]
            yield from (seen(picture.path, detector, truths(picture.labels)) for picture in pictures)
        else:
            yield by_itself(seen(path, detector, {}), detector.applies_to)


def show(name: str, result: Result) -> None:
    of = result.count
    print(
        f"  {name:10} | {result.looks / result.frames:5.2f} | {of.hits / of.wanted:6.3f} | "
        f"{2 * of.identified / (of.wanted + of.found):5.3f} | {of.switches:8} | {result.cpu_ms / result.frames:6.2f}",
        flush=True,
    )


def table(name: str, of: Sequence[Seen], label: Label) -> None:
    print(f"{name}\n  every      | looks | recall | IDF1  | switches | CPU ms a frame")
    for every, n in EVERY.items():
        show(every, sum((measured(one, label, n)[0] for one in of), Result()))
    for every in WITH_FLOW:
        flowing = (measured(one, label, EVERY[every], flow=True)[0] for one in of)
        show(f"{every}, flow", sum(flowing, Result()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path, metavar="FOLDER-OR-CLIP")
    parser.add_argument("--detector", choices=("face-detector", "body-detector"), default="face-detector")
    arguments = parser.parse_args()
    prepare()
    kind = PROCESSORS[arguments.detector]
    detector: Processor = kind(kind.Settings(), ModelStore())
    found = list(clips(arguments.paths, detector))
    for one in found:
        table(one.clip.name, [one], detector.applies_to)
    if len(found) > 1:
        table("all", found, detector.applies_to)


if __name__ == "__main__":
    main()
