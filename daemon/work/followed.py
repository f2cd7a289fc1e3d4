"""What is known about a track that has not ended."""

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from daemon.work.places.whereabouts import Whereabouts
from daemon.work.shots import Shots
from processors.types import BodyId, Image, Object, TrackId, Zones

if TYPE_CHECKING:
    from daemon.work.jobs import ShotJob


@dataclass(frozen=True, slots=True)
class Sight:
    """An object as it was on a frame of a run; `score`: how good a shot it is (shot_score)."""

    obj: Object
    score: float
    width: int
    height: int
    frame: int
    captured_at: float
    crop: Image | None


@dataclass(slots=True)
class Followed:
    """Times are Unix seconds of the capture."""

    id: str
    label: str
    shots: Shots
    first_seen: float
    last_seen: float = 0.0
    frames: int = 0
    revision: int = 0
    appeared: bool = False
    """Whether it counts: it is confirmed, and its `appeared` event has been made where there are events."""
    said_at: float = -math.inf
    """When an event of it was last made."""
    kept_at: float = -math.inf
    """When the journal was last told of it."""
    latest: dict[type, object] = field(default_factory=dict)
    """Results of what runs on every nth frame of the track."""
    best: Sight | None = None
    """The best shot; of a track without shots the best look at it."""
    job: "ShotJob | None" = None
    """Its shot that waits or is under way."""
    shed_at: float = -math.inf
    """When a shot of it last came to nothing."""
    where: Whereabouts = field(default_factory=lambda: Whereabouts((), ()))
    """In the stream's zones and to its lines."""
    bodies: Counter[str] = field(default_factory=Counter)
    """The bodies that a face was in, each with its number of frames."""

    def lay_on(self, obj: Object) -> None:
        """Puts all results of the track on one of its objects."""
        for result in (*self.latest.values(), *self.shots.results.values()):
            obj.put(result)
        obj.put(TrackId(self.id))
        obj.put(Zones(tuple(visit.zone.name for visit in self.where.visits)))
        if self.bodies:
            obj.put(BodyId(self.bodies.most_common(1)[0][0]))
