"""Tasks on one face a picture: gender, age, emotion, mask, liveness."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from daemon.commands.evaluate.figures import Figure, Report, Row
from daemon.commands.evaluate.labels import Picture
from daemon.commands.evaluate.metrics import auc, confusion, curve, equal_error_rate, mean, proportion, tpr_at_fpr
from daemon.commands.evaluate.task import Context, Task
from processors.age import Age
from processors.emotion import EMOTIONS, Emotions
from processors.gender import Gender
from processors.liveness import Liveness
from processors.mask import Mask
from processors.types import Floats, Sample

GENDERS = ("male", "female")
ADULT = 18
AGE_GROUPS = ((0, 13), (13, 18), (18, 30), (30, 45), (45, 60), (60, 75), (75, 130))
LIVE = "live"
MASK_FPR = 0.01


@dataclass(frozen=True, slots=True)
class Sexed:
    """`age` is None where it isn't labelled."""

    gender: str
    age: float | None
    male: float
    found: str


def observe_gender(picture: Picture, sample: Sample) -> Sexed:
    label = picture.label
    gender = sample.objects[0][Gender]
    age = label.number("age") if label.values.get("age") else None
    return Sexed(label.one_of("gender", GENDERS), age, gender.male, GENDERS[0 if gender.is_male else 1])


def report_gender(seen: Sequence[Sexed], context: Context) -> Report:
    groups = {"": list(seen)} | {gender: [s for s in seen if s.gender == gender] for gender in GENDERS}
    if any(s.age is not None for s in seen):
        groups |= {
            f"from {ADULT} years": [s for s in seen if s.age is not None and s.age >= ADULT],
            f"under {ADULT} years": [s for s in seen if s.age is not None and s.age < ADULT],
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
EMOTION = Task("emotion", frozenset({"emotion"}), "emotion-estimator", "given", observe_emotion, report_emotion)
MASK = Task("mask", frozenset({"mask"}), "mask-estimator", "given", observe_mask, report_mask)
LIVENESS = Task(
    "liveness", frozenset({"live", "attack_type"}), "liveness-estimator", "given", observe_liveness, report_liveness
)
