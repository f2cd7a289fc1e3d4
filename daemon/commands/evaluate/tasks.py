"""Which tasks are measured on the sets of a folder, by the folder's name."""

from collections.abc import Mapping
from typing import Any

from daemon.commands.evaluate.detection import BODIES, FACES, MASKED_FACES
from daemon.commands.evaluate.eyes import EYE_CROPS, OPEN_EYES
from daemon.commands.evaluate.faces import AGE, EMOTION, GENDER, LIVENESS, MASK
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
