"""Tracks against labelled ones: switches and MOTA (Bernardin and Stiefelhagen 2008), IDF1 (Ristani et al. 2016).

Also where the detector runs less often than frames come (`tracking.per`): what is predicted then counts as found.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel

from daemon.commands.evaluate.figures import Figure, Report, Row
from daemon.commands.evaluate.labels import BOX, Label, Picture
from daemon.commands.evaluate.task import ClipTask, Context, stacked
from daemon.errors import ConfigError, SourceError
from daemon.flow.receipts import LookCounts
from daemon.sources.base import Waits
from daemon.sources.settings import SourceSettings
from daemon.sources.video import VideoReader
from daemon.work.looks import Looking, Looks
from models.store import ModelStore
from processors.assignment import assign
from processors.boxes import iou
from processors.registry import PROCESSORS
from processors.tracker import Track, Tracker, TrackerSettings
from processors.types import Box, Confidence, Floats, Frame, Image, Object, Processor, Sample
from processors.types import Label as FaceOrBody

DETECTOR = "face-detector"
OVERLAP = 0.5
VISIBLE = 0.5
"""Share of a face that must be in view for it to be wanted."""
RATES = (12.5, 5.0, 2.0)
"""Frames a second at which clips are looked at beside their own rate."""
EVERY: Mapping[str, int | None] = {f"a look every {n} frames": n for n in (2, 3, 5, 10)} | {"looks by auto": None}
"""`per` of the detector, beside every frame."""

Identity = tuple[str, int]
"""A labelled track, and how many times it has come into the picture: who comes back may be somebody new."""


@dataclass(frozen=True, slots=True)
class Truth:
    """The labelled boxes of one frame: (n, 4), and which are wanted, (n,)."""

    identities: tuple[Identity, ...]
    boxes: Floats
    wanted: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Look:
    """The detections of one frame; `truth` is None where it has no label."""

    pts: float
    width: int
    height: int
    boxes: Floats
    truth: Truth | None
    confidences: tuple[float, ...] = ()
    """Of each box; none: all are sure."""

    def sample(self) -> Sample:
        return Sample(self.frame(), self.objects())

    def frame(self, index: int = 0) -> Frame:
        return Frame(_no_picture, width=self.width, height=self.height, index=index, pts=self.pts, captured_at=self.pts)

    def objects(self, label: FaceOrBody = "face") -> list[Object]:
        found = [Object(label, box) for box in self.boxes]
        for obj, confidence in zip(found, self.confidences, strict=False):
            obj.put(Confidence(confidence))
        return found


@dataclass(frozen=True, slots=True)
class Clip:
    name: str
    looks: tuple[Look, ...]

    @property
    def rate(self) -> float:
        duration = self.looks[-1].pts - self.looks[0].pts if self.looks else 0.0
        return (len(self.looks) - 1) / duration if duration > 0 else 0.0

    def at(self, rate: float) -> "Clip":
        """Every n-th frame, for the n that comes nearest to the rate."""
        return Clip(self.name, self.looks[:: max(round(self.rate / rate), 1)])


def truths(labels: Sequence[Label]) -> dict[int, Truth]:
    """By frame. A track that a labelled frame lacks has left the picture."""
    by_frame: dict[int, list[Label]] = {}
    for label in labels:
        by_frame.setdefault(int(label.number("frame")), []).append(label)
    visits: Counter[str] = Counter()
    present: set[str] = set()
    found = {}
    for frame in sorted(by_frame):
        boxes = {label.text("track"): (label, box) for label in by_frame[frame] if (box := label.box()) is not None}
        visits.update(boxes.keys() - present)
        present = set(boxes)
        found[frame] = Truth(
            identities=tuple((track, visits[track]) for track in boxes),
            boxes=stacked(box for _, box in boxes.values()),
            wanted=np.array([_in_view(label) for label, _ in boxes.values()], bool),
        )
    return found


def _in_view(label: Label) -> bool:
    return not label.values.get("visible") or label.number("visible") >= VISIBLE


def _no_picture() -> Image:
    raise AssertionError("a tracker looks at no picture")


class _Detecting:
    """Takes the frames of a clip as they are decoded, and keeps the boxes alone."""

    stopped = False

    def __init__(self, detector: Processor, wanted: Mapping[int, Truth]) -> None:
        self.looks: list[Look] = []
        self._detector = detector
        self._truths = wanted

    def put(self, frame: Frame) -> None:
        sample = Sample(frame)
        self._detector([sample])
        boxes = stacked(obj.box_xyxy for obj in sample.objects)
        confidences = tuple(obj[Confidence].value for obj in sample.objects)
        truth = self._truths.get(frame.index)
        self.looks.append(Look(frame.pts, frame.width, frame.height, boxes, truth, confidences))

    offer = put

    def fail(self, error: Exception) -> None:
        raise SourceError(f"frame {len(self.looks)}: {error}")

    def skip(self, reason: str) -> None:
        raise AssertionError(f"nothing was to be skipped: {reason}")

    def opened(self, codec: str) -> None: ...
    def waits(self, what: Waits | None) -> None: ...


def watcher(settings: Mapping[str, BaseModel], models: ModelStore) -> Callable[[Picture], Clip]:
    """What detects faces on all frames of one clip; from several threads at once."""
    detector = PROCESSORS[DETECTOR](settings[DETECTOR], models)

    def watch(clip: Picture) -> Clip:
        detecting = _Detecting(detector, truths(clip.labels))
        try:
            VideoReader(SourceSettings(source=str(clip.path))).read(detecting)
        except SourceError as err:
            raise ConfigError(f"{clip.labels[0].place}: {err}") from err
        return Clip(clip.path.stem, tuple(detecting.looks))

    return watch


Follow = Callable[[Look], Sequence[int]]
"""A tracker: the track of each box of a frame, called in the order of the frames."""


def our_tracker() -> Follow:
    tracker = Tracker(TrackerSettings())

    def follow(look: Look) -> list[int]:
        sample = look.sample()
        tracker(sample)
        return [obj[Track].id for obj in sample.objects]

    return follow


class Replay:
    """A detector that finds on each frame of a clip what has been found there."""

    needs: ClassVar[frozenset[type]] = frozenset()
    makes: ClassVar[frozenset[type]] = frozenset({Box, Confidence})

    def __init__(self, clip: Clip, label: FaceOrBody = "face") -> None:
        self.applies_to: FaceOrBody = label
        self._looks = clip.looks

    def __call__(self, samples: Sequence[Sample]) -> None:
        for sample in samples:
            sample.objects = self._looks[sample.frame.index].objects(self.applies_to)


class Carried(NamedTuple):
    """A clip with the boxes that are found and predicted, and the tracks of each frame's."""

    clip: Clip
    ids: Sequence[Sequence[int]]
    looks: int
    """Frames that were looked at."""

    def follow(self) -> "Follow":
        ids = iter(self.ids)
        return lambda _: next(ids)


def carried(clip: Clip, every: int | None) -> Carried:
    """What a stream makes of a clip whose detector runs so often (daemon/work/looks.py)."""
    counts = LookCounts()
    looking = Looking([Looks("face", Replay(clip), every)], Tracker(TrackerSettings()), counts)
    samples = [looking.look(look.frame(index), index) for index, look in enumerate(clip.looks)]
    for sample in samples:
        looking.follow(sample)
    boxes = [stacked(obj.box_xyxy for obj in sample.objects) for sample in samples]
    looks = (replace(look, boxes=found) for look, found in zip(clip.looks, boxes, strict=True))
    ids = [[obj[Track].id for obj in sample.objects] for sample in samples]
    return Carried(Clip(clip.name, tuple(looks)), ids, counts.looks.total())


@dataclass(slots=True, eq=False)
class _Followed:
    """`moved`: by how much the corners moved in a frame when last seen; `box` is where it is foretold."""

    id: int
    box: Floats
    seen: Floats
    moved: Floats = field(default_factory=lambda: np.zeros(4))
    unseen: int = 0

    def see(self, box: Floats) -> None:
        self.moved = (box - self.seen) / self.unseen
        self.box = self.seen = box
        self.unseen = 0


class GreedyOverlap:
    """What anybody would write first, to compare with: the pair of the largest overlap with the foretold box first."""

    LEAST_OVERLAP = 0.25
    LONGEST_UNSEEN = 12  # frames

    def __init__(self) -> None:
        self._tracks: list[_Followed] = []
        self._ids = itertools.count(1)

    def __call__(self, look: Look) -> list[int]:
        for track in self._tracks:
            track.box = track.box + track.moved
        overlaps = iou(stacked(track.box for track in self._tracks), look.boxes)
        track_of: dict[int, _Followed] = {}
        for flat in np.argsort(-overlaps, axis=None, kind="stable"):
            row, column = divmod(int(flat), len(look.boxes))
            if overlaps[row, column] <= self.LEAST_OVERLAP:
                break
            if column not in track_of and self._tracks[row] not in track_of.values():
                track_of[column] = self._tracks[row]
        for track in self._tracks:
            track.unseen += 1
        for i, box in enumerate(look.boxes):
            if i in track_of:
                track_of[i].see(box)
            else:
                track_of[i] = _Followed(next(self._ids), box, box)
                self._tracks.append(track_of[i])
        self._tracks = [track for track in self._tracks if track.unseen <= self.LONGEST_UNSEEN]
        return [track_of[i].id for i in range(len(look.boxes))]


@dataclass(frozen=True, slots=True)
class Count:
    """Of labelled boxes and of those found; `apart` are the switches of a face that no other one touched meanwhile.

    `identified`: in the best pairing of labelled and found tracks, how many boxes are of paired ones and overlap.
    """

    wanted: int = 0
    found: int = 0
    hits: int = 0
    switches: int = 0
    apart: int = 0
    identities: int = 0
    tracks: int = 0
    identified: int = 0

    def __add__(self, other: "Count") -> "Count":
        return Count(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


def count(clip: Clip, follow: Follow) -> Count:
    """Follows a clip's boxes from its start and holds them against its labels.

    A face keeps the track that it had while the boxes overlap enough; all others are paired for the largest overlaps.
    Boxes on faces that are not wanted do not count.
    """
    track_of: dict[Identity, int] = {}
    touched: set[Identity] = set()  # by another, since they were last hit
    together: Counter[tuple[Identity, int]] = Counter()
    identities: set[Identity] = set()
    tracks: set[int] = set()
    total = Count()
    for look in clip.looks:
        ids = follow(look)
        if (truth := look.truth) is None:
            continue
        touching = dict(zip(truth.identities, _touching(truth.boxes), strict=True))
        touched |= {identity for identity, touches in touching.items() if touches}
        overlaps = iou(truth.boxes, look.boxes)
        kept = np.array([[track_of.get(identity) == track for track in ids] for identity in truth.identities])
        costs = np.where(overlaps >= OVERLAP, 1 - overlaps - kept.reshape(overlaps.shape), np.inf)
        pairs = assign(costs)
        hits = [(truth.identities[row], ids[column]) for row, column in pairs if truth.wanted[row]]
        ignored = {column for row, column in pairs if not truth.wanted[row]}
        switched = [identity for identity, track in hits if track_of.get(identity, track) != track]
        total += Count(
            wanted=int(np.count_nonzero(truth.wanted)),
            found=len(ids) - len(ignored),
            hits=len(hits),
            switches=len(switched),
            apart=len(set(switched) - touched),
        )
        for identity, track in hits:
            track_of[identity] = track
            if not touching[identity]:
                touched.discard(identity)
        together.update(
            (truth.identities[row], ids[column])
            for row, column in np.argwhere(overlaps >= OVERLAP)
            if truth.wanted[row] and column not in ignored
        )
        identities.update(itertools.compress(truth.identities, truth.wanted))
        tracks.update(track for i, track in enumerate(ids) if i not in ignored)
    identified = _identified(together)
    return total + Count(identities=len(identities), tracks=len(tracks), identified=identified)


def _touching(boxes: Floats) -> list[bool]:
    """Whether each box overlaps another one."""
    return [bool(others) for others in (iou(boxes, boxes) > 0).sum(axis=1) > 1]


def _identified(together: Mapping[tuple[Identity, int], int]) -> int:
    rows = {identity: i for i, identity in enumerate(dict.fromkeys(identity for identity, _ in together))}
    columns = {track: i for i, track in enumerate(dict.fromkeys(track for _, track in together))}
    counts = np.zeros((len(rows), len(columns)))
    for (identity, track), times in together.items():
        counts[rows[identity], columns[track]] = times
    return int(sum(counts[pair] for pair in assign(-counts)))


def report_tracks(seen: Sequence[Clip], context: Context) -> Report:
    """All clips and each of them, at their own rate and thinned; `count` is of wanted boxes."""
    rows = _rows(seen, "")
    for rate in RATES:
        rows += _rows([clip.at(rate) for clip in seen if clip.rate > rate], f"at {rate:g} fps")
    rows += [_carried_row(name, [carried(clip, every) for clip in seen]) for name, every in EVERY.items()]
    return Report(tuple(rows))


def _carried_row(name: str, clips: Sequence[Carried]) -> Row:
    total = sum((count(one.clip, one.follow()) for one in clips), Count())
    frames = sum(len(one.clip.looks) for one in clips)
    looks = sum(one.looks for one in clips) / frames if frames else None
    return _figures_row(name, total, {"looks": looks})


def _rows(clips: Sequence[Clip], name: str) -> list[Row]:
    if not clips:
        return []
    ours = [count(clip, our_tracker()) for clip in clips]
    greedy = [count(clip, GreedyOverlap()) for clip in clips]
    whole = _row(name, sum(ours, Count()), sum(greedy, Count()))
    if len(clips) == 1:
        return [whole]
    names = [" ".join(filter(None, (clip.name, name))) for clip in clips]
    return [whole, *map(_row, names, ours, greedy)]


def _row(name: str, ours: Count, greedy: Count) -> Row:
    of_greedy = {
        "switches, greedy": greedy.switches,
        "apart, greedy": greedy.apart,
        "IDF1, greedy": _idf1(greedy),
    }
    return _figures_row(name, ours, of_greedy)


def _figures_row(name: str, ours: Count, others: Mapping[str, float | None]) -> Row:
    figures = {
        "recall": ours.hits / ours.wanted if ours.wanted else None,
        "switches": ours.switches,
        "apart": ours.apart,
        "IDF1": _idf1(ours),
        "MOTA": _mota(ours),
        "people": ours.identities,
        "tracks": ours.tracks,
        **others,
    }
    return Row(name, ours.wanted, {figure: Figure(value) for figure, value in figures.items() if value is not None})


def _mota(of: Count) -> float | None:
    misses, false = of.wanted - of.hits, of.found - of.hits
    return 1 - (misses + false + of.switches) / of.wanted if of.wanted else None


def _idf1(of: Count) -> float | None:
    return 2 * of.identified / (of.wanted + of.found) if of.wanted + of.found else None


TRACKS = ClipTask("tracks", frozenset({"frame", "track", *BOX}), DETECTOR, watcher, report_tracks)
