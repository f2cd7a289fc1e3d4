"""Which tasks are measured on a set."""

from collections.abc import Mapping
from typing import Any

from daemon.commands.evaluate.detection import BODIES, FACES, MASKED_FACES
from daemon.commands.evaluate.eyes import EYE_CROPS, OPEN_EYES
from daemon.commands.evaluate.faces import AGE, AGE_GROUP, EMOTION, GENDER, LIVENESS, MASK
from daemon.commands.evaluate.geometry import LANDMARKS, POSE
from daemon.commands.evaluate.task import ClipTask, Task
from daemon.commands.evaluate.tracking import TRACKS
from daemon.commands.evaluate.verification import VERIFICATION

TASKS: Mapping[str, tuple[Task[Any] | ClipTask[Any], ...]] = {
    "detection": (FACES,),
    "landmarks": (LANDMARKS,),
    "pose": (POSE,),
    "verification": (VERIFICATION, GENDER),
    "gender": (GENDER,),
    "age": (AGE, GENDER),
    "emotion": (EMOTION,),
    "mask": (MASK, MASKED_FACES),
    "eyes": (EYE_CROPS,),
    "quality": (OPEN_EYES,),
    "liveness": (LIVENESS,),
    "body": (BODIES,),
    "tracking": (TRACKS,),
}
"""By the name of the folder that the set lies in."""


def tasks_of(folder: str, columns: frozenset[str]) -> tuple[Task[Any] | ClipTask[Any], ...]:
    """A set with age groups is one of ages wherever it lies; in `age` it needs no ages beside them."""
    of_folder = TASKS.get(folder, ())
    if not AGE_GROUP.columns <= columns:
        return of_folder
    return *(task for task in of_folder if task is not AGE or AGE.columns <= columns), AGE_GROUP
