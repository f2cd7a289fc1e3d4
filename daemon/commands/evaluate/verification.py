"""The task of telling one person from another by templates."""

import bisect
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from daemon.commands.evaluate.figures import Figure, Report, Row
from daemon.commands.evaluate.labels import Picture
from daemon.commands.evaluate.metrics import curve, equal_error_rate, proportion, tpr_at_fpr
from daemon.commands.evaluate.task import Context, Task
from processors.matcher import DISTANCES, Matcher
from processors.template_extractor import Template
from processors.templates import DIMENSIONS
from processors.types import Floats, Sample

RATES = (1e-3, 1e-4)
FARTHEST = 2 * DISTANCES


@dataclass(frozen=True, slots=True)
class Enrolled:
    """`template` is None where no face was found."""

    identity: str
    template: bytes | None


def observe_template(picture: Picture, sample: Sample) -> Enrolled:
    identity = picture.label.text("identity")
    return Enrolled(identity, sample.objects[0][Template].blob if sample.objects else None)


def report_templates(seen: Sequence[Enrolled], context: Context) -> Report:
    """Over all pairs of pictures; one without a face is at the farthest distance from every other."""
    matcher = Matcher(context.models)
    groups = {
        "": list(seen),
        "people of the calibration": [e for e in seen if is_calibrated_on(e.identity)],
        "people left out": [e for e in seen if not is_calibrated_on(e.identity)],
    }
    pairs = {name: _pairs(group) for name, group in groups.items() if group}
    rows = tuple(_row(name, groups[name], *of_group, matcher) for name, of_group in pairs.items())
    curves = tuple(curve(name or "all", *scores) for name, scores in pairs.items() if min(map(len, scores)))
    return Report(rows, curves)


def is_calibrated_on(identity: str) -> bool:
    """Whether a person belongs to the half on which the shipped means, basis and curves were fitted."""
    return hashlib.sha256(identity.encode()).digest()[-1] % 2 == 0


def _pairs(seen: Sequence[Enrolled]) -> tuple[Floats, Floats]:
    """Scores, which are minus the distances, of pairs of one person and of two."""
    scores = -distances_of_pairs([embedding(e.template) if e.template else None for e in seen])
    same = same_of_pairs([e.identity for e in seen])
    return scores[same], scores[~same]


def _row(name: str, seen: Sequence[Enrolled], genuine: Floats, impostor: Floats, matcher: Matcher) -> Row:
    missed = sum(e.template is None for e in seen)
    figures = {"missed": proportion(missed, len(seen))}
    if len(genuine) and len(impostor):
        figures |= {f"TPR at {fpr:.0e}": tpr_at_fpr(genuine, impostor, fpr) for fpr in RATES}
        figures["EER"] = equal_error_rate(genuine, impostor)
    if len(impostor):
        figures |= {f"FPR / fa_r at {claim:.0e}": truth_of_fa_r(matcher, impostor, claim) for claim in RATES}
    return Row(name, len(seen), figures)


def embedding(template: bytes) -> npt.NDArray[np.int8]:
    """What follows the header."""
    return np.frombuffer(template[-DIMENSIONS:], np.int8)


def distances_of_pairs(embeddings: Sequence[npt.NDArray[np.int8] | None]) -> Floats:
    """As the matcher's, of all pairs i < j, by i and then j."""
    vectors = np.array([np.zeros(DIMENSIONS) if e is None else e for e in embeddings], np.float64)
    lengths = np.linalg.norm(vectors, axis=1)
    cosines = vectors @ vectors.T / np.maximum(np.outer(lengths, lengths), 1)
    cosines[lengths == 0] = cosines[:, lengths == 0] = -1
    pairs: Floats = np.round((1 - cosines[np.triu_indices(len(vectors), 1)]) * DISTANCES)
    return pairs


def same_of_pairs(identities: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Whether both are one person, of all pairs i < j as above."""
    _, persons = np.unique(identities, return_inverse=True)
    first, second = np.triu_indices(len(persons), 1)
    return np.asarray(persons[first] == persons[second], bool)


def truth_of_fa_r(matcher: Matcher, impostor: Floats, claim: float) -> Figure:
    """The share of impostor pairs for which the matcher says an fa_r of `claim` at most, over `claim`.

    1 where it is true. `impostor` are scores: minus the distances.
    """
    farthest = bisect.bisect_right(range(FARTHEST + 1), claim, key=lambda d: matcher.at(d).fa_r) - 1
    share = proportion(int(np.count_nonzero(-impostor <= farthest)), len(impostor))
    return Figure(share.value / claim, None if share.error is None else share.error / claim)


VERIFICATION = Task(
    "verification", frozenset({"identity"}), "template-extractor", "found", observe_template, report_templates
)
