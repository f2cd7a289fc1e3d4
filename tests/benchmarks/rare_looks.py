"""Tracks where looks are rare: python -m tests.benchmarks.rare_looks FOLDER

A labelled tracking set (docs/evaluation.md), looked at 1 to .05 times a second, from several beginnings each. `tracks`
are those that have a labelled face on them; a `switch` is a person whose track is another than at the look before; a
`mixed` track has more than one person. `without` is the tracker that ends every track after `lost_after`.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from daemon.commands.evaluate.labels import find_sets, read_set
from daemon.commands.evaluate.tracking import OVERLAP, Clip, Follow, our_tracker, watcher
from models.store import ModelStore
from processors import tracker
from processors.boxes import iou
from processors.registry import PROCESSORS

RATES = (1.0, 0.5, 0.2, 0.1, 0.05)
BEGINNINGS = 10


@dataclass(slots=True)
class Tally:
    people: int = 0
    tracks: int = 0
    mixed: int = 0
    switches: int = 0
    looks: int = 0


def seen_by(clip: Clip, follow: Follow, tally: Tally) -> None:
    """Adds what a tracker makes of a clip."""
    people_of: dict[int, set[str]] = defaultdict(set)
    track_of: dict[str, int] = {}
    for look in clip.looks:
        ids = follow(look)
        if look.truth is None or not len(look.truth.boxes):
            continue
        overlaps = iou(look.truth.boxes, look.boxes) if len(look.boxes) else np.zeros((len(look.truth.boxes), 0))
        for row, (person, _) in enumerate(look.truth.identities):
            if not look.truth.wanted[row] or not overlaps.shape[1] or overlaps[row].max() < OVERLAP:
                continue
            track = ids[int(overlaps[row].argmax())]
            tally.looks += 1
            tally.switches += track_of.setdefault(person, track) != track
            track_of[person] = track
            people_of[track].add(person)
    tally.people += len(track_of)
    tally.tracks += len(people_of)
    tally.mixed += sum(len(people) > 1 for people in people_of.values())


def thinned(clip: Clip, rate: float) -> Iterator[Clip]:
    step = round(clip.rate / rate)
    for beginning in range(0, step, max(step // BEGINNINGS, 1)):
        yield Clip(clip.name, clip.looks[beginning::step])


def measure(clips: Sequence[Clip], rate: float) -> Tally:
    tally = Tally()
    for clip in clips:
        for part in thinned(clip, rate):
            seen_by(part, our_tracker(), tally)
    return tally


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    watch = watcher({"face-detector": PROCESSORS["face-detector"].Settings()}, ModelStore())
    clips = [watch(clip) for path in find_sets(folder) for clip in read_set(path).pictures]
    near = tracker.NEAR
    print("looks/s | people | tracks, without | switches, without | mixed, without")
    for rate in RATES:
        tracker.NEAR = near
        ours = measure(clips, rate)
        tracker.NEAR = -1.0
        without = measure(clips, rate)
        print(
            f"{rate:7g} | {ours.people:6} | {ours.tracks:6} {without.tracks:8} | {ours.switches:8} {without.switches:8}"
            f" | {ours.mixed:5} {without.mixed:8}   ({ours.looks} looks)"
        )


if __name__ == "__main__":
    main()
