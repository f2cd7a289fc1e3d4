"""What looking again at faces that may not be upright gains and costs: python -m tests.benchmarks.turns FOLDER...

FOLDER holds labelled sets (docs/evaluation.md) of pictures of one face, of which the largest that is found counts. Each
picture is turned, and its answers are held against those of the same picture upright, with and without further looks.
The thresholds of processors/quarter_turn.py were chosen on one half of the pictures, by a hash of the person or the
path; the other half is the one to quote (`--half 1`).
"""

import argparse
import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from daemon.commands.evaluate.labels import LabelledSet, Picture, find_sets, read_set
from daemon.commands.evaluate.metrics import angle_errors
from daemon.commands.evaluate.task import largest
from daemon.commands.evaluate.turns import turned
from daemon.commands.evaluate.verification import embedding
from daemon.pictures import decode
from daemon.prepare import prepare
from models.store import ModelStore
from processors.age import Age
from processors.chain import Chain
from processors.face_detector import FaceDetector
from processors.face_fitter import FaceFitter
from processors.gender import Gender
from processors.quarter_turn import SURE
from processors.registry import build_chain
from processors.template_extractor import Template
from processors.types import Confidence, Frame, Image, Object, Pose, Processor, Sample

MAX_PIXELS = 100_000_000
WRONG = 20.0  # degrees of roll
REST = ("gender-estimator", "age-estimator", "template-extractor")


@dataclass
class Spent:
    """Seconds of CPU on pictures as they are; `doubtful` are faces of which the detector is not sure."""

    faces: int = 0
    doubtful: int = 0
    detector: float = 0.0
    without: float = 0.0
    with_looks: float = 0.0

    @property
    def cost(self) -> float:
        """Of the looks, over that of the detector and the fitter without them."""
        return (self.with_looks - self.without) / (self.detector + self.without)


@dataclass(frozen=True)
class Answers:
    roll: float
    male: bool
    years: float
    template: bytes

    def alike(self, other: "Answers") -> float:
        mine, others = (embedding(one.template).astype(np.float64) for one in (self, other))
        return float(mine @ others) / max(float(np.linalg.norm(mine) * np.linalg.norm(others)), 1.0)


class Bench:
    def __init__(self, models: ModelStore) -> None:
        self.spent = Spent()
        self._detector = FaceDetector(FaceDetector.Settings(), models)
        self._fitters: dict[bool, Processor] = {
            looks: FaceFitter(FaceFitter.Settings(**({} if looks else {"turn_model": None})), models)
            for looks in (False, True)
        }
        self._rest: Chain = build_chain(REST, {}, models)

    def __call__(self, image: Image, *, as_it_is: bool) -> dict[bool, Answers] | None:
        """Without and with further looks; None where no face is found."""
        sample = Sample(Frame.of(image))
        detector = seconds_of(self._detector, sample)
        if not sample.objects:
            return None
        face = largest(sample.objects)
        spent, answers = {}, {}
        for looks in (False, True) if self.spent.faces % 2 else (True, False):
            one = sample.of([face.copy()])
            spent[looks] = seconds_of(self._fitters[looks], one)
            self._rest([one])
            answers[looks] = answers_of(one.objects[0])
        if as_it_is:
            self.spent.faces += 1
            self.spent.doubtful += face[Confidence].value < SURE
            self.spent.detector += detector
            self.spent.without += spent[False]
            self.spent.with_looks += spent[True]
        return answers


def seconds_of(processor: Processor, sample: Sample) -> float:
    began = time.thread_time()
    processor([sample])
    return time.thread_time() - began


def answers_of(face: Object) -> Answers:
    return Answers(face[Pose].roll, face[Gender].is_male, face[Age].years, face[Template].blob)


def half_of(picture: Picture) -> int:
    values = picture.labels[0].values
    name = values.get("identity") or values.get("person") or values["path"]
    return hashlib.sha256(name.encode()).digest()[0] % 2


def rows(labelled: LabelledSet, bench: Bench, pictures: Sequence[Picture], turns: Sequence[float]) -> Iterator[str]:
    seen: dict[float, list[tuple[Answers, dict[bool, Answers] | None]]] = {turn: [] for turn in turns}
    for picture in pictures:
        image = decode(picture.path.read_bytes(), MAX_PIXELS)
        upright = bench(image, as_it_is=True)
        for turn in turns if upright else ():
            seen[turn].append((upright[True], bench(turned(image, turn), as_it_is=False)))  # type: ignore[index]
    spent = bench.spent
    yield f"{labelled}: {spent.faces} faces, {spent.doubtful / spent.faces:.3f} in doubt, cost {spent.cost:.1%}"
    for turn, of_turn in seen.items():
        found = [(upright, after) for upright, after in of_turn if after is not None]
        yield f"  turned by {turn:g}: found {len(found)} of {len(of_turn)}"
        for looks, name in (False, "without"), (True, "with"):
            yield f"    {name:8}{summary([(upright, after[looks]) for upright, after in found], turn)}"


def summary(pairs: Sequence[tuple[Answers, Answers]], turn: float) -> str:
    if not pairs:
        return ""
    off = angle_errors(
        np.array([after.roll for _, after in pairs]), np.array([upright.roll - turn for upright, _ in pairs])
    )
    years = np.array([abs(after.years - upright.years) for upright, after in pairs])
    return (
        f"roll off by more than {WRONG:g}: {np.mean(off > WRONG):.3f}, median {np.median(off):.1f}; "
        f"another gender {np.mean([upright.male != after.male for upright, after in pairs]):.3f}; "
        f"age by {years.mean():.1f}, most {years.max():.0f}; "
        f"template {np.median([upright.alike(after) for upright, after in pairs]):.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--half", type=int, choices=(0, 1), default=1)
    parser.add_argument("--limit", type=int, default=100, help="so many pictures of each set")
    parser.add_argument("--turn", type=float, nargs="*", default=(45, 90, 135, 180), metavar="DEGREES")
    arguments = parser.parse_args()
    prepare()
    models = ModelStore()
    for path in (path for folder in arguments.folders for path in find_sets(folder)):
        labelled = read_set(path)
        of_half = [picture for picture in labelled.pictures if half_of(picture) == arguments.half]
        places = np.linspace(0, len(of_half) - 1, min(arguments.limit, len(of_half))).round().astype(int)
        for line in rows(labelled, Bench(models), [of_half[i] for i in places], arguments.turn):
            print(line, flush=True)


if __name__ == "__main__":
    main()
