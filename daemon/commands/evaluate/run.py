"""`visaged evaluate`: the accuracy of the processors on labelled folders."""

import importlib.metadata
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel

from daemon.commands.evaluate.figures import LeftOut, Run, read_run, write_run
from daemon.commands.evaluate.groups import Groups
from daemon.commands.evaluate.labels import LabelledSet, Picture, find_sets, read_set
from daemon.commands.evaluate.observed import AnyTask, Observed, Part, observed, parts, together
from daemon.commands.evaluate.plots import draw_all
from daemon.commands.evaluate.tables import comparison, tables
from daemon.commands.evaluate.task import (
    GIVEN,
    ClipTask,
    Context,
    Faces,
    Task,
    completed,
    largest,
    stacked,
    whole_picture,
)
from daemon.commands.evaluate.tasks import TASKS, tasks_of
from daemon.commands.evaluate.turns import AS_THEY_ARE, Turns, turned_picture
from daemon.commands.progress import progress
from daemon.commands.store import model_store
from daemon.config.model import Config
from daemon.errors import BadImage, ConfigError, words
from daemon.pictures import decode
from daemon.prepare import prepare
from models.store import ModelStore
from processors.boxes import iou
from processors.registry import PROCESSORS, build_chain
from processors.types import Frame, Image, Object, Processor, Sample

MAX_PIXELS = 100_000_000
DETECTOR = "face-detector"
MOST_SHOWN = 4  # columns: 68 points have 136

T = TypeVar("T")


def main(
    folders: Sequence[Path],
    *,
    config: Config,
    json: Path | None = None,
    pictures: Path | None = None,
    compare: Path | None = None,
    limit: int | None = None,
    by: Sequence[str] = (),
    turn: Sequence[float] = (),
) -> int:
    """Prints a table a task, one for each column in `by`, and one of the pictures turned, by degrees clockwise.

    Raises ConfigError, before anything is measured unless a single label is wrong.
    """
    prepare()
    before = read_run(compare) if compare else None
    if json is not None and not json.parent.is_dir():
        raise ConfigError(f"{json}: expected a folder {json.parent}, found none")
    paths = [path for folder in folders for path in find_sets(folder)]
    sets = [read_set(path, limit) for path in dict.fromkeys(paths)]
    groupings = [grouping(column, sets) for column in dict.fromkeys(by)]
    run = evaluate(sets, config, limit, groupings, Turns(turn))
    if json is not None:
        write_run(run, json)
    if pictures is not None:
        draw_all(run.measured, pictures)
    sys.stdout.write(tables(run) + "\n")
    if before is not None:
        sys.stdout.write("\n" + comparison(before, run) + "\n")
    return 0


def grouping(column: str, sets: Sequence[LabelledSet]) -> Groups:
    """The groups of a column in all sets that have it. Raises ConfigError where none has."""
    having = [labelled for labelled in sets if column in labelled.columns]
    if not having:
        known = sorted(frozenset[str]().union(*(labelled.columns for labelled in sets)))
        raise ConfigError(f"--by: expected a column of the labels, {', '.join(known)}; got {column}")
    return Groups(column, (label for one in having for picture in one.pictures for label in picture.labels))


def evaluate(
    sets: Sequence[LabelledSet],
    config: Config,
    limit: int | None = None,
    groupings: Sequence[Groups] = (),
    turns: Turns = AS_THEY_ARE,
) -> Run:
    """Every task on every set that has what it takes, then each task on all its sets together."""
    models = model_store(config)
    settings = config.processor_settings()
    plan, left_out = planned(sets, groupings, turns)
    of_sets: list[Observed] = []
    with ThreadPoolExecutor(config.engine.workers or os.cpu_count()) as threads:
        for task, labelled, by, turned in plan:
            seen = _seen(threads, looker(task, settings, models, by, turned), labelled, task.name)
            of_sets += observed(task, str(labelled), [*by, turned] if turned.names else by, seen)
    return Run(
        version=importlib.metadata.version("visaged"),
        limit=limit,
        models={manifest.name: manifest.sha256 for manifest in models.manifests()},
        provider=config.models.provider,
        precision=config.models.precision,
        measured=[
            one.measured(Context(settings[one.task.processor], models))
            for one in [*of_sets, *together(of_sets, [*groupings, turns])]
        ],
        left_out=left_out,
    )


Planned = tuple[AnyTask, LabelledSet, list[Groups], Turns]
"""A task, a set, the columns by which the set is to be taken apart, and how its pictures are to be turned."""


def planned(
    sets: Sequence[LabelledSet], groupings: Sequence[Groups], turns: Turns = AS_THEY_ARE
) -> tuple[list[Planned], list[LeftOut]]:
    """What to measure on what, and what can't be."""
    plan: list[Planned] = []
    left_out = []
    for labelled in sets:
        tasks = tasks_of(labelled.task, labelled.columns)
        if not tasks:
            known = ", ".join(TASKS)
            left_out.append(
                LeftOut(str(labelled), f"expected a folder named after a task, {known}, got {labelled.task}")
            )
        by = [groups for groups in groupings if groups.column in labelled.columns]
        for task in tasks:
            if lacks := obstacle(task, labelled.columns):
                left_out.append(LeftOut(str(labelled), f"{task.name}: {lacks}"))
                continue
            cut = [groups for groups in by if isinstance(task, ClipTask) and groups.split(labelled.pictures)]
            turned = turns if can_be_turned(task) else AS_THEY_ARE
            plan.append((task, labelled, [groups for groups in by if groups not in cut], turned))
            if turns.names != turned.names:
                left_out.append(LeftOut(str(labelled), f"{task.name} by turn: expected pictures of faces or people"))
            left_out += [
                LeftOut(str(labelled), f"{task.name} by {groups.column}: expected one value a clip, got several")
                for groups in cut
            ]
    return plan, left_out


def can_be_turned(task: AnyTask) -> bool:
    """Neither clips nor crops of a part of a face."""
    return isinstance(task, Task) and task.make is None


def obstacle(task: AnyTask, columns: frozenset[str]) -> str | None:
    """Why the task can't be measured on a set with these columns; None where it can."""
    if task.processor not in PROCESSORS:
        return f"there is no {task.processor} yet"
    if lacking := sorted(task.columns - columns):
        shown = ", ".join(lacking[:MOST_SHOWN]) + (", ..." if len(lacking) > MOST_SHOWN else "")
        return f"expected the columns {shown}"
    return None


def looker(
    task: AnyTask,
    settings: Mapping[str, BaseModel],
    models: ModelStore,
    by: Sequence[Groups] = (),
    turns: Turns = AS_THEY_ARE,
) -> Callable[[Picture], dict[Part, Any]]:
    """What looks at one picture, or clip, for the task; from several threads at once."""
    if isinstance(task, ClipTask):
        watch = task.looker(settings, models)
        return lambda clip: dict.fromkeys(parts(clip, by), watch(clip))
    changed = settings[task.processor].model_copy(update=task.settings)
    if task.make is not None:
        chain: Processor = task.make(changed, models)
    else:
        given = frozenset[type]() if task.faces == "all" else GIVEN
        chain = build_chain(completed(task.processor, given), {**settings, task.processor: changed}, models)
    detector = PROCESSORS[DETECTOR](settings[DETECTOR], models)

    def looked_at(picture: Picture, image: Image) -> Sample:
        sample = Sample(Frame.of(image))
        if task.faces != "all":
            sample.objects = chosen(task.faces, picture, sample, detector)
        chain([sample])
        return sample

    def look(picture: Picture) -> dict[Part, Any]:
        image = _decoded(picture)
        sample = looked_at(picture, image)
        seen = {name: task.observe(part, sample) for name, part in parts(picture, by).items()}
        for name, degrees in turns.degrees.items():
            part, turned = turned_picture(picture, image, degrees)
            seen[turns.column, name] = task.observe(part, looked_at(part, turned))
        return seen

    return look


def chosen(faces: Faces, picture: Picture, sample: Sample, detector: Processor) -> list[Object]:
    """The one face of a picture as `Task.faces` tells, or none."""
    box = picture.label.box()
    if faces == "given" and box is not None:
        return [Object("face", box)]
    detector([sample])
    if not sample.objects:
        return [whole_picture(sample)] if faces == "given" else []
    if box is None:
        return [largest(sample.objects)]
    overlaps = iou(stacked(obj.box_xyxy for obj in sample.objects), box[None])[:, 0]
    return [sample.objects[int(np.argmax(overlaps))]] if overlaps.any() else []


def _decoded(picture: Picture) -> Image:
    try:
        return decode(picture.path.read_bytes(), MAX_PIXELS)
    except (OSError, BadImage) as err:
        raise ConfigError(f"{picture.labels[0].place}: {picture.path}: {words(err)}") from err


def _seen(threads: ThreadPoolExecutor, look: Callable[[Picture], T], labelled: LabelledSet, task: str) -> list[T]:
    """In the order of the pictures."""
    results = threads.map(look, labelled.pictures)
    return list(progress(results, "picture", f"{task}, {labelled}", len(labelled.pictures)))
