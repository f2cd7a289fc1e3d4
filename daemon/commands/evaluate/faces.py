"""Tasks on one face a picture: gender, age, emotion, mask, liveness."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from daemon.commands.evaluate.figures import Figure, Report, Row
from daemon.commands.evaluate.labels import Picture
from daemon.commands.evaluate.metrics import auc, confusion, curve, equal_error_rate, mean, proportion, tpr_at_fpr
from daemon.commands.evaluate.task import Context, Task
from daemon.errors import ConfigError
from processors.age import Age
from processors.emotion import EMOTIONS, Emotions
from processors.gender import Gender
from processors.liveness import Liveness
from processors.mask import Mask
from processors.types import Floats, Sample

GENDERS = ("male", "female")
ADULT = 18
CHILD, OLD = 13, 60
AGE_GROUPS = ((0, 13), (13, 18), (18, 30), (30, 45), (45, 60), (60, 75), (75, 130))
LIVE = "live"
MASK_FPR = 0.01


@dataclass(frozen=True, slots=True)
class Sexed:
    """`years` are the first and the last that the age may be, None where it isn't labelled."""

    gender: str
    years: tuple[float, float] | None
    male: float
    found: str

    def is_aged(self, low: float, high: float = math.inf) -> bool:
        """Whether the age is known to be from `low` to below `high`."""
        return self.years is not None and low <= self.years[0] and self.years[1] < high


def observe_gender(picture: Picture, sample: Sample) -> Sexed:
    label = picture.label
    gender = sample.objects[0][Gender]
    return Sexed(label.one_of("gender", GENDERS), label.years(), gender.male, GENDERS[0 if gender.is_male else 1])


def report_gender(seen: Sequence[Sexed], context: Context) -> Report:
    groups = {"": list(seen)} | {gender: [s for s in seen if s.gender == gender] for gender in GENDERS}
    groups |= {
        f"from {ADULT} years": [s for s in seen if s.is_aged(ADULT)],
        f"under {ADULT} years": [s for s in seen if s.is_aged(0, ADULT)],
        f"under {CHILD} years": [s for s in seen if s.is_aged(0, CHILD)],
        f"men from {OLD} years": [s for s in seen if s.gender == "male" and s.is_aged(OLD)],
        f"women from {OLD} years": [s for s in seen if s.gender == "female" and s.is_aged(OLD)],
    }
    rows = tuple(
        Row(name, len(group), {"accuracy": proportion(sum(s.found == s.gender for s in group), len(group))})
        for name, group in groups.items()
        if group
    )
    truth = np.array([GENDERS.index(s.gender) for s in seen])
    found = np.array([GENDERS.index(s.found) for s in seen])
    return Report(rows, confusion=confusion(GENDERS, truth, found))


def observe_age(picture: Picture, sample: Sample) -> tuple[float, float]:
    """Years, labelled and found."""
    return picture.label.number("age"), sample.objects[0][Age].years


def report_age(seen: Sequence[tuple[float, float]], context: Context) -> Report:
    truth, found = np.array(seen).T
    rows = [_age_row("", truth, found)]
    for low, high in AGE_GROUPS:
        if (chosen := (low <= truth) & (truth < high)).any():
            name = f"{low} to {high - 1}" if high < AGE_GROUPS[-1][1] else f"from {low}"
            rows.append(_age_row(f"{name} years", truth[chosen], found[chosen]))
    return Report(tuple(rows))


def _age_row(name: str, truth: Floats, found: Floats) -> Row:
    errors = np.abs(found - truth)
    figures = {
        "MAE": mean(errors),
        "P90": Figure(float(np.percentile(errors, 90))),
        "bias": mean(found - truth),
        "over 20": proportion(int(np.count_nonzero(errors > 20)), len(errors)),
    }
    return Row(name, len(truth), figures)


@dataclass(frozen=True, slots=True)
class Grouped:
    """`low` and `high`: the first and the last year of the labelled group; `found` years."""

    low: float
    high: float
    found: float

    @property
    def outside(self) -> float:
        """Years above the group, below 0 for years below it. Who is 59 is so until the day before turning 60."""
        return max(self.found - (self.high + 1), 0.0) + min(self.found - self.low, 0.0)


def observe_age_group(picture: Picture, sample: Sample) -> Grouped:
    label = picture.label
    low, high = label.number("age_low"), label.number("age_high")
    if low > high:
        raise ConfigError(f"{label.place}: age_high: expected {low:g} or more, as age_low is, got {high:g}")
    return Grouped(low, high, sample.objects[0][Age].years)


def report_age_group(seen: Sequence[Grouped], context: Context) -> Report:
    """All, and each labelled group."""
    groups: dict[str, list[Grouped]] = {"": list(seen)}
    for one in sorted(seen, key=lambda one: (one.low, one.high)):
        groups.setdefault(f"{one.low:g} to {one.high:g} years", []).append(one)
    return Report(tuple(_age_group_row(name, np.array([g.outside for g in group])) for name, group in groups.items()))


def _age_group_row(name: str, outside: Floats) -> Row:
    figures = {
        "years outside": mean(np.abs(outside)),
        "inside": proportion(int(np.count_nonzero(outside == 0)), len(outside)),
        "bias": mean(outside),
        "over 20": proportion(int(np.count_nonzero(np.abs(outside) > 20)), len(outside)),
    }
    return Row(name, len(outside), figures)


def observe_emotion(picture: Picture, sample: Sample) -> tuple[int, int]:
    """Indices into EMOTIONS, labelled and found."""
    found = int(np.argmax(sample.objects[0][Emotions].probabilities))
    return EMOTIONS.index(picture.label.one_of("emotion", EMOTIONS)), found


def report_emotion(seen: Sequence[tuple[int, int]], context: Context) -> Report:
    truth, found = np.array(seen).T
    rows = [Row("", len(seen), {"accuracy": proportion(int(np.count_nonzero(truth == found)), len(seen))})]
    for index, name in enumerate(EMOTIONS):
        if count := int(np.count_nonzero(truth == index)):
            hits = int(np.count_nonzero(found[truth == index] == index))
            rows.append(Row(name, count, {"recall": proportion(hits, count)}))
    return Report(tuple(rows), confusion=confusion(EMOTIONS, truth, found))


@dataclass(frozen=True, slots=True)
class Decision:
    """`wanted` and `taken`: whether it is one, and whether it was said to be; `kind` of what is none."""

    wanted: bool
    score: float
    taken: bool
    kind: str = ""
    clip: str = ""


def of_wanted(seen: Sequence[Decision], wanted: bool) -> list[Decision]:
    return [d for d in seen if d.wanted == wanted]


def scores(seen: Sequence[Decision]) -> Floats:
    return np.array([d.score for d in seen])


def taken(seen: Sequence[Decision]) -> Figure:
    return proportion(sum(d.taken for d in seen), len(seen))


def refused(seen: Sequence[Decision]) -> Figure:
    return proportion(sum(not d.taken for d in seen), len(seen))


def observe_mask(picture: Picture, sample: Sample) -> Decision:
    mask = sample.objects[0][Mask]
    return Decision(picture.label.flag("mask"), mask.probability, mask.worn)


def report_mask(seen: Sequence[Decision], context: Context) -> Report:
    return report_detected(seen, MASK_FPR)


def report_detected(seen: Sequence[Decision], fpr: float) -> Report:
    """Recall and share of false alarms at the working point, and what holds over all thresholds."""
    positive, negative = of_wanted(seen, True), of_wanted(seen, False)
    figures = {}
    if positive:
        figures["recall"] = taken(positive)
    if negative:
        figures["FPR"] = taken(negative)
    if not (positive and negative):
        return Report((Row("", len(seen), figures),))
    accept, refuse = scores(positive), scores(negative)
    figures |= {f"recall at FPR {fpr:g}": tpr_at_fpr(accept, refuse, fpr), "AUC": auc(accept, refuse)}
    return Report((Row("", len(seen), figures),), (curve("", accept, refuse),))


def observe_liveness(picture: Picture, sample: Sample) -> Decision:
    label = picture.label
    liveness = sample.objects[0][Liveness]
    live = label.flag("live")
    kind = LIVE if live else label.text("attack_type")
    return Decision(live, liveness.probability, liveness.real, kind, label.values.get("clip") or "")


def report_liveness(seen: Sequence[Decision], context: Context) -> Report:
    """ISO/IEC 30107-3's error rates: APCER of attacks taken for live, BPCER of live faces taken for attacks."""
    live, attacks = of_wanted(seen, True), of_wanted(seen, False)
    figures = _liveness_figures(live, attacks)
    rows = [Row("", len(seen), figures)]
    by_kind: dict[str, list[Decision]] = defaultdict(list)
    for attack in attacks:
        by_kind[attack.kind].append(attack)
    for kind, of_kind in sorted(by_kind.items()):
        of_type = _liveness_figures(live, of_kind)
        rows.append(Row(kind, len(of_kind), {name: f for name, f in of_type.items() if name in ("APCER", "AUC")}))
    if all(d.clip for d in seen):
        rows += _clip_rows(seen)
    curves = (curve("", scores(live), scores(attacks)),) if live and attacks else ()
    return Report(tuple(rows), curves)


def _liveness_figures(live: Sequence[Decision], attacks: Sequence[Decision]) -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    if live and attacks:
        accept, refuse = scores(live), scores(attacks)
        figures |= {"AUC": auc(accept, refuse), "EER": equal_error_rate(accept, refuse)}
    if attacks:
        figures["APCER"] = taken(attacks)
    if live:
        figures["BPCER"] = refused(live)
    return figures


OVER_A_CLIP: dict[str, Callable[[Floats], npt.ArrayLike]] = {
    "mean": np.mean,
    "20 % quantile": lambda values: np.quantile(values, 0.2),
    "minimum": np.min,
}
"""What can be said of a clip by its frames' scores."""


def _clip_rows(seen: Sequence[Decision]) -> Iterator[Row]:
    """What a track's answer would gain over a frame's."""
    clips: dict[str, list[Decision]] = defaultdict(list)
    for decision in seen:
        clips[decision.clip].append(decision)
    for name, over in OVER_A_CLIP.items():
        by_truth: dict[bool, list[float]] = {True: [], False: []}
        for frames in clips.values():
            by_truth[frames[0].wanted].append(float(np.asarray(over(scores(frames)))))
        if by_truth[True] and by_truth[False]:
            accept, refuse = np.array(by_truth[True]), np.array(by_truth[False])
            figures = {"AUC": auc(accept, refuse), "EER": equal_error_rate(accept, refuse)}
            yield Row(f"clips by {name}", len(clips), figures)


GENDER = Task("gender", frozenset({"gender"}), "gender-estimator", "given", observe_gender, report_gender)
AGE = Task("age", frozenset({"age"}), "age-estimator", "given", observe_age, report_age)
AGE_GROUP = Task(
    "age group", frozenset({"age_low", "age_high"}), "age-estimator", "given", observe_age_group, report_age_group
)
EMOTION = Task("emotion", frozenset({"emotion"}), "emotion-estimator", "given", observe_emotion, report_emotion)
MASK = Task("mask", frozenset({"mask"}), "mask-estimator", "given", observe_mask, report_mask)
LIVENESS = Task(
    "liveness", frozenset({"live", "attack_type"}), "liveness-estimator", "given", observe_liveness, report_liveness
)
