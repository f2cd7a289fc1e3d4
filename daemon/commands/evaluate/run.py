"""`visaged evaluate`: the accuracy of the processors on labelled folders."""

import importlib.metadata
import itertools
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel
from tqdm import tqdm

from daemon.commands.evaluate.figures import LeftOut, Measured, Run, read_run, write_run
from daemon.commands.evaluate.labels import LabelledSet, Picture, find_sets, read_set
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
from daemon.commands.evaluate.tasks import TASKS
from daemon.config.model import Config
from daemon.errors import BadImage, ConfigError
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
) -> int:
    """Prints a table a task. Raises ConfigError, before anything is measured unless a single label is wrong."""
    prepare()
    before = read_run(compare) if compare else None
    if json is not None and not json.parent.is_dir():
        raise ConfigError(f"{json}: expected a folder {json.parent}, found none")
    paths = [path for folder in folders for path in find_sets(folder)]
    sets = [read_set(path, limit) for path in dict.fromkeys(paths)]
    run = evaluate(sets, config, limit)
    if json is not None:
        write_run(run, json)
    if pictures is not None:
        draw_all(run.measured, pictures)
    sys.stdout.write(tables(run) + "\n")
    if before is not None:
        sys.stdout.write("\n" + comparison(before, run) + "\n")
    return 0


def evaluate(sets: Sequence[LabelledSet], config: Config, limit: int | None = None) -> Run:
    """Every task on every set that has what it takes, then each task on all its sets together."""
    models = ModelStore(config.models.directory, config.models.provider)
    settings = config.processor_settings()
    plan, left_out = planned(sets)
    with ThreadPoolExecutor(config.engine.workers or os.cpu_count()) as threads:
        observed = [
            (task, str(labelled), _observed(threads, looker(task, settings, models), labelled, task.name))
            for task, labelled in plan
        ]
    for task in {task.name: task for task, _, _ in observed}.values():
        of_sets = [observations for other, _, observations in observed if other is task]
        if len(of_sets) > 1:
            observed.append((task, f"all {len(of_sets)} sets", list(itertools.chain.from_iterable(of_sets))))
    return Run(
        version=importlib.metadata.version("visaged"),
        limit=limit,
        models={manifest.name: manifest.sha256 for manifest in models.manifests()},
        measured=[
            Measured(task.name, name, task.report(observations, Context(settings[task.processor], models)))
            for task, name, observations in observed
        ],
        left_out=left_out,
    )


def planned(sets: Sequence[LabelledSet]) -> tuple[list[tuple[Task[Any] | ClipTask[Any], LabelledSet]], list[LeftOut]]:
    """What to measure on what, and what can't be."""
    plan, left_out = [], []
    for labelled in sets:
        if labelled.task not in TASKS:
            known = ", ".join(TASKS)
            left_out.append(
                LeftOut(str(labelled), f"expected a folder named after a task, {known}, got {labelled.task}")
            )
        for task in TASKS.get(labelled.task, ()):
            if lacks := obstacle(task, labelled.columns):
                left_out.append(LeftOut(str(labelled), f"{task.name}: {lacks}"))
            else:
                plan.append((task, labelled))
    return plan, left_out


def obstacle(task: Task[Any] | ClipTask[Any], columns: frozenset[str]) -> str | None:
    """Why the task can't be measured on a set with these columns; None where it can."""
    if task.processor not in PROCESSORS:
        return f"there is no {task.processor} yet"
    if lacking := sorted(task.columns - columns):
        shown = ", ".join(lacking[:MOST_SHOWN]) + (", ..." if len(lacking) > MOST_SHOWN else "")
        return f"expected the columns {shown}"
    return None


def looker(
    task: Task[T] | ClipTask[T], settings: Mapping[str, BaseModel], models: ModelStore
) -> Callable[[Picture], T]:
    """What looks at one picture, or clip, for the task; from several threads at once."""
    if isinstance(task, ClipTask):
        return task.looker(settings, models)
    changed = settings[task.processor].model_copy(update=task.settings)
    if task.make is not None:
        chain: Processor = task.make(changed, models)
    else:
        given = frozenset[type]() if task.faces == "all" else GIVEN
        chain = build_chain(completed(task.processor, given), {**settings, task.processor: changed}, models)
    detector = PROCESSORS[DETECTOR](settings[DETECTOR], models)

    def look(picture: Picture) -> T:
        sample = Sample(Frame.of(_decoded(picture)))
        if task.faces != "all":
            sample.objects = chosen(task.faces, picture, sample, detector)
        chain([sample])
        return task.observe(picture, sample)

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
        raise ConfigError(f"{picture.labels[0].place}: {picture.path}: {err}") from err


def _observed(threads: ThreadPoolExecutor, look: Callable[[Picture], T], labelled: LabelledSet, task: str) -> list[T]:
    """In the order of the pictures."""
    results = threads.map(look, labelled.pictures)
    title = f"{task}, {labelled}"
    return list(tqdm(results, title, len(labelled.pictures), disable=None, unit="picture", file=sys.stderr))
