"""What a track's few best looks gain over one: python -m tests.benchmarks.pooling FOLDER

FOLDER holds labelled sets (docs/evaluation.md). Those with `identity`, where people have several pictures, stand for
tracks: their templates and, with `gender`, their gender. Those with `clip` and `live` are tracks: their liveness. What
is chosen by such figures is chosen on one half of the people, by a hash of their names, and told on the other.
"""

import argparse
import hashlib
import itertools
import os
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from daemon.commands.evaluate.figures import Figure
from daemon.commands.evaluate.labels import Picture, find_sets, read_set
from daemon.commands.evaluate.metrics import auc, equal_error_rate, proportion, tpr_at_fpr
from daemon.commands.evaluate.run import DETECTOR, chosen
from daemon.commands.evaluate.verification import embedding
from daemon.config.model import Config
from daemon.pictures import decode
from daemon.prepare import prepare
from daemon.work.shots import shot_score
from models.store import ModelStore
from processors import pooling
from processors.gender import Gender
from processors.liveness import Liveness
from processors.registry import PROCESSORS, build_chain
from processors.template_extractor import Template
from processors.types import Floats, Frame, Object, Sample

FPRS = (1e-3, 1e-4)
CHAIN = ("face-fitter", "gender-estimator", "liveness-estimator", "template-extractor")
MAX_PIXELS = 100_000_000
THRESHOLD = 0.5
"""Of liveness: the working point."""


class Look(NamedTuple):
    """At one picture; None where no face was found."""

    values: Mapping[str, str]
    face: Object | None

    @property
    def score(self) -> float:
        return 0.0 if self.face is None else shot_score(self.face)


Looks = Sequence[Look]
"""Of one person or clip, best first."""


def looker(columns: frozenset[str]) -> Callable[[Picture], Look]:
    models, settings = ModelStore(), Config().processor_settings()
    detector = PROCESSORS[DETECTOR](settings[DETECTOR], models)
    chain = build_chain(
        [name for name in CHAIN if ("live" in columns) == (name == "liveness-estimator") or name == "face-fitter"],
        settings,
        models,
    )

    def look(picture: Picture) -> Look:
        sample = Sample(Frame.of(decode(picture.path.read_bytes(), MAX_PIXELS)))
        sample.objects = chosen("found", picture, sample, detector)
        chain([sample])
        return Look(picture.label.values, sample.objects[0] if sample.objects else None)

    return look


def grouped(looks: Iterable[Look], by: str) -> list[Looks]:
    groups: dict[str, list[Look]] = {}
    for look in looks:
        groups.setdefault(look.values[by], []).append(look)
    return [sorted(group, key=lambda look: -look.score) for group in groups.values()]


def halves(groups: Sequence[Looks], by: str) -> Mapping[str, Sequence[Looks]]:
    def is_first(group: Looks) -> bool:
        return hashlib.sha256(group[0].values[by].encode()).digest()[-1] % 2 == 0

    return {
        "people of the calibration": [group for group in groups if is_first(group)],
        "people left out": [group for group in groups if not is_first(group)],
    }


def unit(look_or_pool: bytes) -> Floats:
    vector = embedding(look_or_pool).astype(np.float64)
    return vector / max(float(np.linalg.norm(vector)), 1.0)


def of_templates(groups: Sequence[Looks]) -> None:
    """Each picture against a template of its person's other pictures, and of every other person's."""
    with_face = [[look for look in group if look.face is not None] for group in groups]
    for pool in itertools.count(2):
        people = [[look.face[Template] for look in group if look.face] for group in with_face if len(group) > pool]
        if len(people) < 20:
            return
        for what, size in (("one, the best", 1), (f"{pool} pooled", pool)):
            genuine, probes, gallery, of_probe = [], [], [], []
            for person, templates in enumerate(people):
                gallery.append(unit(pooling.template(templates[:size]).blob))
                for left_out, template in enumerate(templates):
                    others = [other for i, other in enumerate(templates) if i != left_out][:size]
                    genuine.append(float(unit(template.blob) @ unit(pooling.template(others).blob)))
                    probes.append(unit(template.blob))
                    of_probe.append(person)
            cosines = np.array(probes) @ np.array(gallery).T
            impostor = cosines[np.array(of_probe)[:, None] != np.arange(len(people))[None]]
            rates = [tpr_at_fpr(np.array(genuine), impostor, fpr) for fpr in FPRS]
            shown = ", ".join(f"TPR {told(rate)} at FPR {fpr:.0e}" for rate, fpr in zip(rates, FPRS, strict=True))
            print(f"    template against {what:14} ({len(people)} people, {len(genuine)} pictures): {shown}")


def of_genders(groups: Sequence[Looks]) -> None:
    people = [([look.face[Gender] for look in group if look.face], group[0].values["gender"]) for group in groups]
    people = [(looks, truth) for looks, truth in people if len(looks) > 1]

    def right(answers: Iterable[tuple[Gender, str]]) -> Figure:
        hits = [answer.is_male == (truth == "male") for answer, truth in answers]
        return proportion(sum(hits), len(hits))

    print(
        f"    gender right ({len(people)} people of 2 pictures or more): "
        f"of a picture {told(right((look, truth) for looks, truth in people for look in looks))}, "
        f"of the best {told(right((looks[0], truth) for looks, truth in people))}, "
        f"of 3 pooled {told(right((pooling.gender(looks[:3]), truth) for looks, truth in people))}"
    )


Rule = Callable[[Sequence[float]], float]
RULES: Mapping[str, Rule] = {
    "lowest": min,
    "second lowest": lambda values: sorted(values)[min(1, len(values) - 1)],
    "25 % quantile": lambda values: float(np.quantile(values, 0.25)),
    "mean": statistics.fmean,
    "median": lambda values: sorted(values)[(len(values) - 1) // 2],
}


def of_liveness(groups: Sequence[Looks]) -> None:
    def probabilities(group: Looks) -> list[float]:
        return [look.face[Liveness].probability for look in group if look.face]

    def row(what: str, scored: Iterable[tuple[float, str]]) -> None:
        scores = list(scored)
        live = np.array([score for score, truth in scores if truth == "1"])
        attack = np.array([score for score, truth in scores if truth == "0"])
        refused, passed = float(np.mean(live < THRESHOLD)), float(np.mean(attack >= THRESHOLD))
        print(
            f"    {what:28} AUC {told(auc(live, attack))}, EER {equal_error_rate(live, attack).value:.3f}; at .5 live "
            f"refused {refused:.3f}, attacks passed {passed:.3f}, half of both {(refused + passed) / 2:.3f}"
        )

    clips = [(probabilities(group), group[0].values["live"]) for group in groups if any(look.face for look in group)]
    row("a frame", ((value, live) for values, live in clips for value in values))
    for most in (3, 4, 5):
        for what, rule in RULES.items():
            row(f"{most} shots: {what}", ((rule(values[:most]), live) for values, live in clips))


def told(figure: Figure) -> str:
    return f"{figure.value:.3f}" + ("" if figure.error is None else f" +- {figure.error:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--limit", type=int, help="pictures of a set at most, people and clips whole")
    arguments = parser.parse_args()
    prepare()
    for path in find_sets(arguments.folder):
        labelled = read_set(path, arguments.limit)
        by = "clip" if {"clip", "live"} <= labelled.columns else "identity"
        if by not in labelled.columns:
            continue
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            groups = grouped(threads.map(looker(labelled.columns), labelled.pictures), by)
        for half, of_half in halves(groups, "subject" if by == "clip" else by).items():
            print(f"{labelled}, {half}: {len(of_half)} of {by}")
            if by == "clip":
                of_liveness(of_half)
                continue
            of_templates(of_half)
            if "gender" in labelled.columns:
                of_genders(of_half)


if __name__ == "__main__":
    main()
