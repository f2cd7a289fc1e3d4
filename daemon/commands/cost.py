"""What a camera costs on this machine: measured on its own frames, and by the models that are to look at them."""

import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from daemon.commands.store import model_store
from daemon.config.model import Config
from daemon.flow.timing import Timing
from daemon.prepare import prepare
from daemon.simulator.clip import PEOPLE, Scene
from daemon.sources.probe import Decoded
from processors.chain import Chain
from processors.registry import build_chain
from processors.types import Frame, Sample

RATES = (10.0, 8.0, 5.0, 4.0, 3.0, 2.0, 1.0)
"""That may be recommended: at more than 10 looks a second a person has hardly moved, and below 1 is for `motion`."""
SHARE = 0.7
"""Of the cores: the rest is for tracks, documents and moments with more people."""
TIMED_S = 1.0
MOST_RUNS = 20


class Look(NamedTuple):
    """CPU seconds of a processor, a picture."""

    empty: float
    """A picture with nobody in it."""
    person: float
    """What one person in it costs more."""


@dataclass(frozen=True, slots=True)
class Cost:
    """In CPU seconds of one core."""

    rate: float
    """The camera's frames per second, each of which is read and decoded."""
    decode: float
    """Of each of them."""
    picture: float
    """Making a BGR picture of a frame that is looked at."""
    looks: Mapping[str, Look]
    """By processor."""

    def cores(self, fps: float, people: int = 1) -> float:
        """How many cores the camera takes at so many looks per second."""
        look = self.picture + sum(look.empty + people * look.person for look in self.looks.values())
        return self.rate * self.decode + min(fps, self.rate) * look

    def recommended(self, cores: float) -> float | None:
        """The highest of RATES, or the camera's own, that takes no more than so many; None: all take more."""
        rates = [rate for rate in RATES if rate < self.rate]
        if self.rate <= RATES[0]:
            rates = [self.rate, *rates]
        return next((rate for rate in rates if self.cores(rate) <= cores), None)

    def figures(self) -> dict[str, Any]:
        """Milliseconds, for programs."""
        looks = {name: {"empty": _ms(look.empty), "person": _ms(look.person)} for name, look in self.looks.items()}
        return {"decode_ms": _ms(self.decode), "picture_ms": _ms(self.picture), "processors_ms": looks}


def cores_for(cameras: int) -> float:
    """What each of so many cameras may take of the cores that this process may use."""
    return SHARE * len(os.sched_getaffinity(0)) / cameras


def measure(decoded: Decoded, rate: float, chain: Sequence[str], config: Config) -> Cost:
    """Blocks for a few seconds. Raises ModelError.

    The chain looks at drawn pictures of the camera's size, with nobody and with one person in them: what the camera
    shows at the moment says little of what it will.
    """
    prepare()
    frame = decoded.frames[-1]
    built = build_chain(chain, config.processor_settings(), model_store(config))
    picture = _picture(decoded.frames)
    empty, one = (_spent(built, chain, Scene(frame.width, frame.height, people=people)) for people in ((), PEOPLE[:1]))
    looks = {name: Look(empty[name], max(one[name] - empty[name], 0.0)) for name in chain}
    return Cost(rate, decoded.cpu_seconds, picture, looks)


def _picture(frames: Sequence[Frame]) -> float:
    began = time.thread_time()
    for frame in frames:
        _ = frame.image
    return (time.thread_time() - began) / len(frames)


def _spent(chain: Chain, names: Sequence[str], scene: Scene) -> Mapping[str, float]:
    image = scene.draw(0)
    chain([Sample(Frame.of(image))])  # the first run makes what the others find
    timing = Timing()
    timed = Chain([timing.timed(name, processor) for name, processor in zip(names, chain.processors, strict=True)])
    for _ in _runs():
        timed([Sample(Frame.of(image))])
    return {name: spent.cpu_seconds / spent.calls for name, spent in timing.spent.items()}


def _runs() -> Iterator[int]:
    began = time.monotonic()
    for run in range(MOST_RUNS):
        if run and time.monotonic() - began > TIMED_S:
            return
        yield run


def _ms(seconds: float) -> float:
    return math.ceil(seconds * 1e5) / 100
