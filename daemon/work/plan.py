"""What is done with the frames of a stream, or of a consumer's streams: built once, with a Work for each run."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from pydantic import BaseModel

from daemon.flow.pipeline import Work
from daemon.flow.stream import Figures
from daemon.flow.timing import Timing
from daemon.work.documents import Documents, EventPictures, PlaceEvents, ShotUrl, TrackEvents
from daemon.work.emission import Emission
from daemon.work.events import Events
from daemon.work.hiding import Hides, Spares, in_zones
from daemon.work.jobs import ShotJobs
from daemon.work.journal import Journal
from daemon.work.looks import Looking, Looks
from daemon.work.places.places import StreamPlaces, places_of
from daemon.work.places.settings import HasPlaces
from daemon.work.privacy import StreamPrivacySettings
from daemon.work.regions import InRegions, Regions
from daemon.work.settings import WorkSettings, by_processor, found_by, often
from daemon.work.tracked import Schedule, Tracked
from daemon.work.untracked import Untracked
from models.store import ModelStore
from processors.chain import Chain
from processors.registry import build, reach
from processors.tracker import Predicted, Tracker
from processors.types import BodyId, Box, Label, Processor, Sample, TrackId, Zones


class Plan:
    """`journals`: a folder for what must outlive a crash; None: nothing does. `figures`: of a plan before this one."""

    def __init__(
        self,
        settings: WorkSettings,
        processors: BaseModel,
        models: ModelStore,
        journals: Path | None = None,
        figures: Figures | None = None,
        shot_url: ShotUrl | None = None,
        places: HasPlaces | None = None,
        phase: int = 0,
    ) -> None:
        """`shot_url`: of where the events' pictures are kept; None: they are not.

        `places`: the zones and lines; None: there are none. `phase`: another for each of several streams, whose rarer
        looks then do not all come at once.
        """
        figures = figures or Figures()
        self.shots, self.looks, self.timing = figures.shots, figures.looks, figures.timing
        self._settings = settings
        self._journals = journals
        self._shot_url = shot_url
        built = build(settings.chain, by_processor(processors, settings.processors), models)
        self._makes = Chain(built).makes
        timed = [self.timing.timed(name, one) for name, one in zip(settings.chain, built, strict=True)]
        self._regions = Regions(settings.regions) if settings.regions else None
        self._places = StreamPlaces() if places is None else places_of(places, found_by(settings.chain), figures.places)
        self._hides = Hides(settings.privacy, found_by(settings.chain), self.looks, _spared(settings, places))
        self._schedule = _schedule(settings, timed, self.timing, self._regions, self._hides, phase)

    def work(self, stream: str, run: str, place: str = "") -> Work:
        """`place`: where it is one of several streams of this id, each at a place of its own."""
        settings, tracking = self._settings, self._settings.tracking
        emits = self._makes | {TrackId, BodyId, Predicted} | ({Zones} if self._places.zones else set())
        emission = Emission(Documents(stream, emits, settings.image, settings.topic), settings.emit, run)
        if tracking is None:
            chain = Chain([looks.processor for looks in self._schedule.looks])
            return Untracked(chain, emission, self._places, self._hides)
        events = None
        if tracking.events is not None:
            asked = tracking.events
            pictures = EventPictures(self._shot_url, image=asked.image, image_url=asked.image_url)
            record = TrackEvents(stream, asked.topic, pictures)
            record_place = PlaceEvents(stream, asked.topic, pictures)
            events = Events(record, record_place, emits, self._journal(stream, place), asked.every)
        return Tracked(
            self._schedule,
            Looking(self._schedule.looks, Tracker(tracking), self.looks, self._regions, self._hides),
            tracking.shots,
            emission,
            events,
            stream,
            run,
            keep_crops=tracking.events is not None and (tracking.events.image or self._shot_url is not None),
            jobs=ShotJobs(self._schedule.shots, self.shots),
            places=self._places,
        )

    def _journal(self, stream: str, place: str) -> Journal | None:
        if self._journals is None:
            return None
        return Journal(self._journals / quote(place, safe="") / f"{quote(stream, safe='')}.jsonl")


def _spared(settings: WorkSettings, places: HasPlaces | None) -> Spares:
    """Those in the zones that `except` names; consumers have neither."""
    privacy, zones = settings.privacy, places.zones if places is not None else ()
    excepted = privacy.excepted if isinstance(privacy, StreamPrivacySettings) else ()
    return in_zones([zone for zone in zones if zone.name in excepted])


class _Decode:
    """A processor that goes first, so that no other is charged with making the picture."""

    applies_to: Label = "face"
    needs: frozenset[type] = frozenset()
    makes: frozenset[type] = frozenset()

    def __init__(self, timing: Timing) -> None:
        self._timing = timing

    def __call__(self, samples: Sequence[Sample]) -> None:
        for sample in samples:
            self._timing.decode(sample.frame)


def _schedule(
    settings: WorkSettings,
    processors: Sequence[Processor],
    timing: Timing,
    regions: Regions | None,
    hides: Hides,
    phase: int,
) -> Schedule:
    of_looks: dict[Label, list[Processor]] = {}
    every: dict[Label, int | None] = {}
    every_nth: list[tuple[int, Processor]] = []
    shots: list[Processor] = []
    for name, processor in zip(settings.chain, processors, strict=True):
        label, how = processor.applies_to, often(settings, name)
        if Box in processor.makes:
            every[label] = how if isinstance(how, int) else None if how == "auto" else 1
            of_looks[label] = [_Decode(timing), processor, *hides.behind(processor)]
            if regions is not None:
                of_looks[label].append(InRegions(regions, label))
        elif how == "frame":
            of_looks[label].append(processor)
        elif how == "track":
            shots.append(processor)
        elif isinstance(how, int):
            every_nth.append((how, processor))
    reaches = [reach(name) for name in settings.chain if often(settings, name) == "track"]
    looks = [
        Looks(label, Chain(chain), n, phase + place * (n or 1) // len(of_looks))  # nor do those of one stream
        for place, ((label, chain), n) in enumerate(zip(of_looks.items(), every.values(), strict=True))
    ]
    return Schedule(looks, every_nth, shots, max(reaches, default=0.0))
