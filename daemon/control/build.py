"""Makes of a stream's settings what runs."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import BaseModel

from daemon.control.settings import StreamSettings
from daemon.errors import SourceError
from daemon.flow.delivery import Delivery
from daemon.flow.engine import Engine, Lane
from daemon.flow.pipeline import Outgoing, Work
from daemon.flow.spans import Tracer
from daemon.flow.stream import Figures, Stream
from daemon.flow.watched import Watches
from daemon.sources import make_source
from daemon.sources.base import Feed, Source
from daemon.sources.settings import SourceSettings
from daemon.work.documents import ShotUrl
from daemon.work.plan import Plan
from models.store import ModelStore

MakeSource = Callable[[StreamSettings, str], Source]
OF_THE_SOURCE = frozenset(SourceSettings.model_fields)
FOR_PEOPLE = frozenset({"name", "labels", "paused"})
OF_PICTURES = frozenset({"masks", "mounted", "privacy"})
OF_THE_WORK = frozenset(StreamSettings.model_fields) - OF_THE_SOURCE - FOR_PEOPLE


@dataclass(frozen=True, slots=True, eq=False)
class Built:
    """A stream that can run; one that is refused runs into the reason each time, where all can see it."""

    settings: StreamSettings | None
    """None: what is wanted is no stream's settings."""
    make: MakeSource
    """What made its source."""
    source: Source
    work: Callable[[str], Work]
    sinks: Sequence[Delivery]
    window: int
    weight: float
    figures: Figures
    refusal: str | None = None
    """Why it cannot run."""
    before_sinks: Sequence[Outgoing] = ()
    """What is handed the records too, and holds none up."""

    @property
    def outgoing(self) -> Sequence[Outgoing]:
        return [*self.before_sinks, *self.sinks]

    @property
    def paused(self) -> bool:
        return self.settings is not None and self.settings.paused

    def has_source_of(self, other: "Built") -> bool:
        """Whether a run of the other can go on with this one's work."""
        return self.make == other.make and self._same(other, OF_THE_SOURCE)

    def has_work_of(self, other: "Built") -> bool:
        return self._same(other, OF_THE_WORK)

    def shows_as(self, other: "Built") -> bool:
        """Whether the same may be seen on pictures of both."""
        excepts = self.settings is not None and self.settings.privacy.excepted
        return self._same(other, OF_PICTURES | {"zones"} if excepts else OF_PICTURES)

    def _same(self, other: "Built", keys: frozenset[str]) -> bool:
        if self.settings is None or other.settings is None:
            return False
        mine, theirs = self.settings, other.settings
        return all(getattr(mine, key) == getattr(theirs, key) for key in keys)


class Builder:
    """What all streams share."""

    def __init__(
        self,
        engine: Engine,
        aside: Lane,
        models: ModelStore,
        processors: BaseModel,
        deliveries: Mapping[str, Delivery],
        journals: Path | None,
        watches: Watches | None = None,
        history: Outgoing | None = None,
        shot_url: ShotUrl | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        """`aside`: the lane of the shots; `journals`: a folder for what must outlive a crash.

        `watches`: for those who watch streams; None: nobody can. `history` is handed all records before the sinks, and
        holds none up; `shot_url`: of where it keeps pictures. `tracer`: begins traces of frames; None: none are kept.
        """
        self._engine = engine
        self._aside = aside
        self._models = models
        self._processors = processors
        self._deliveries = deliveries
        self._journals = journals
        self._watches = watches
        self._before_sinks = () if history is None else (history,)
        self._shot_url = shot_url
        self._tracer = tracer
        self._phases = itertools.count()

    def build(
        self, name: str, settings: StreamSettings, before: Built | None = None, make: MakeSource = make_source
    ) -> Built:
        """Loads its models, which blocks. Raises ModelError. The figures of the one before go on."""
        figures = _figures(before)
        plan = Plan(
            settings,
            self._processors,
            self._models,
            self._journals,
            figures,
            self._shot_url,
            settings,
            next(self._phases),
        )
        return Built(
            settings,
            make,
            make(settings, name),
            partial(plan.work, name),
            [self._deliveries[sink] for sink in (self._deliveries if settings.sinks is None else settings.sinks)],
            settings.window or self._engine.workers,
            settings.weight,
            figures,
            before_sinks=self._before_sinks,
        )

    def refuse(self, settings: StreamSettings | None, reason: str, before: Built | None = None) -> Built:
        """What stands in the place of a stream that cannot be built."""
        refusal = _Refusal(reason)
        return Built(settings, make_source, refusal, refusal.work, (), 1, 1.0, _figures(before), refusal=reason)

    def stream(self, name: str, built: Built) -> tuple[Stream, Lane]:
        lane = self._engine.lane(name, built.weight)
        stream = Stream(
            name,
            built.source,
            built.work,
            lane,
            built.outgoing,
            built.window,
            aside=self._aside,
            figures=built.figures,
            watched=None if self._watches is None else self._watches.join(name),
            tracer=self._tracer,
        )
        return stream, lane


class _Refusal:
    """Says why; a source and its work in one."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    async def run(self, _: Feed) -> None:
        raise SourceError(self._reason)

    def work(self, _: str) -> Work:
        raise SourceError(self._reason)


def _figures(before: Built | None) -> Figures:
    return Figures() if before is None else before.figures
