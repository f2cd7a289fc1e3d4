"""Settings of the work on frames, shared by streams and consumers."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, PlainValidator, create_model

from configs.section import Section
from daemon.errors import nearest
from daemon.sources.settings import RegionSettings
from daemon.work.privacy import OwnPrivacySettings
from processors.registry import PROCESSORS, key_of, needed_before
from processors.tracker import TrackerSettings
from processors.types import Box, FaceMesh, Label, Landmarks
from sinks.kafka_settings import TopicName


def _often(value: object) -> object:
    """Gives one message for a wrong value; a union would give one for each of its members."""
    if value in ("frame", "track", "auto") or (isinstance(value, int) and value >= 2):
        return value
    raise ValueError("expected frame, track, auto, or a number of frames of 2 or more")


Often = Annotated[Literal["frame", "track", "auto"] | int, PlainValidator(_often)]

ProcessorSettings: type[BaseModel] = create_model(
    "ProcessorSettings",
    __base__=Section,
    **{  # type: ignore[call-overload]
        key_of(name): (cls.Settings, Field(cls.Settings(), description=f"Settings of {name}."))
        for name, cls in PROCESSORS.items()
    },
)
"""A section for each processor in PROCESSORS."""


def by_processor(settings: BaseModel, over: BaseModel | None = None) -> Mapping[str, BaseModel]:
    """Sections by the processors' names. Keys that are set in `over` override those in `settings`."""
    settings_of = {name: getattr(settings, key_of(name)) for name in PROCESSORS}
    if over is None:
        return settings_of
    return {name: _laid_over(settings_of[name], section) for name, section in by_processor(over).items()}


def _laid_over(below: BaseModel, over: BaseModel) -> BaseModel:
    return below.model_copy(update={key: getattr(over, key) for key in over.model_fields_set})


class EventSettings(Section):
    topic: TopicName = Field(
        "visaged.tracks",
        description="The topic of the events in sinks of type kafka. In other sinks they stand between the documents.",
    )
    every: float | None = Field(
        None,
        gt=0,
        description="Seconds. A track that is still seen and of which nothing else was said for so long gets an event "
        "`present`. A small number makes many events. null: none.",
    )
    image: bool = Field(False, description="Add the crop of the best shot as JPEG (`_image`) to each event.")
    image_url: bool = Field(
        False,
        description="Add the URL of that crop (`image_url`) to each event, in its place or beside it. It is good as "
        "long as the history keeps the crop (`history.shots`), and begins with `http.public_url`. Streams alone.",
    )


class TrackingSettings(TrackerSettings):
    per: dict[str, Often] = Field(
        {},
        description="How often each processor of the chain runs: `frame` (on every frame), `track` (only on the best "
        "shots of a track), or a number n of 2 or more (on every n-th frame of a track). Default: "
        "`track` for age, gender, mask, liveness, quality and template; `frame` for all others. "
        "A detector takes `frame`, a number n (every n-th frame of the stream, and one a second at least) or `auto` "
        "(whenever its tracks are new or missed, move fast or are found with less confidence, and every 0.4 seconds). "
        "It is then cheaper, and on the frames between objects are predicted, and the others of its chain do not run: "
        "docs/tracks.md. The fitter takes `frame` or `track`. "
        "For example {face-detector: 3, emotion-estimator: 5, age-estimator: frame}; {}: the default for all.",
    )
    shots: int = Field(
        3,
        ge=1,
        description="Number of best shots of a track whose results are combined (age, gender, mask, liveness, ...). "
        "More take more time.",
    )
    events: EventSettings | None = Field(
        None,
        description="Send events when tracks appear, are updated and leave, and of the zones and lines of a stream, to "
        "a topic of their own. null: no events.",
    )


def mistakes_of_chain(chain: Sequence[str]) -> Iterator[str]:
    """The mistakes in a chain that begins with frames without objects."""
    if not chain:
        yield "expected a processor at least, got none"
    for name, times in Counter(chain).items():
        if times > 1:
            yield f"expected each processor once, got {name} {times} times"
    unknown = [name for name in dict.fromkeys(chain) if name not in PROCESSORS]
    for name in unknown:
        yield f"unknown processor {name}" + nearest(name, PROCESSORS)
    if unknown:
        return
    for index, name in enumerate(chain):
        if lacking := needed_before(name, chain[:index]):
            yield f"{name} needs {', '.join(lacking)} before it"


def _chain(chain: tuple[str, ...]) -> tuple[str, ...]:
    if mistakes := list(mistakes_of_chain(chain)):
        raise ValueError("\n".join(mistakes))
    return chain


class WorkSettings(Section):
    chain: Annotated[tuple[str, ...], AfterValidator(_chain)] = Field(
        ("face-detector", "face-fitter"),
        description="Processors by name, in the order in which they run. docs/processors.md says which processor "
        "needs which before it.",
    )
    processors: ProcessorSettings | None = Field(
        None,
        description="Settings of processors for this entry only, with the same keys as the file's own "
        "`processors`, which they override. null: those hold.",
    )
    regions: RegionSettings | None = Field(
        None, description="The regions of the picture in which objects count. null: the whole picture."
    )
    tracking: TrackingSettings | None = Field(
        None, description="Track faces and bodies from frame to frame. null: no tracking."
    )
    sinks: tuple[str, ...] | None = Field(
        None,
        description="Names of the sinks that get the documents, as a list. null: all sinks. A stream, not a consumer, "
        "may have none ([]): those who watch it over HTTP see it all the same.",
    )
    topic: TopicName | None = Field(
        None, description="The topic of the documents in sinks of type kafka. null: the topic of the sink."
    )
    emit: Literal["every", "objects", "change"] = Field(
        "every",
        description="Which frames make a document. every: all frames. objects: frames with objects. change: frames "
        "on which a track appears, has new or better results, has left, or enters or leaves a zone or crosses a line; "
        "without tracking, frames on which the number of faces or bodies changes, also in a zone.",
    )
    image: Literal["none", "crops", "full"] = Field(
        "none",
        description="What is added to each document as JPEG (`_image`). none: nothing. crops: a crop of each object. "
        "full: the whole picture.",
    )
    privacy: OwnPrivacySettings = Field(
        OwnPrivacySettings(),
        description="What leaves of people. A key that is not set is that of the file's own `privacy`.",
    )
    weight: float = Field(
        1.0,
        gt=0,
        description="Share of the workers relative to other streams and consumers while all workers are busy: 2.0 gets "
        "twice the time of 1.0. What is kept for HTTP and for shots stays as it is: `http.share` says how they add up.",
    )
    window: int | None = Field(
        None,
        ge=1,
        description="Frames of one stream that are worked on at the same time. With fewer than there are workers "
        "some are always left to others, but the stream is slower on an idle machine; with more it needs more memory. "
        "null: as many as there are workers.",
    )


ONCE_A_TRACK = frozenset(
    {
        "age-estimator",
        "gender-estimator",
        "liveness-estimator",
        "mask-estimator",
        "quality-assessment-estimator",
        "template-extractor",
    }
)
"""Processors that run on the best shots by default: their result stays the same for a person, or is expensive."""
IN_PIXELS = frozenset({FaceMesh, Landmarks})
"""Results that are wrong on any other frame, so that what needs them must run on the same ones."""


def often(settings: WorkSettings, name: str) -> Often:
    """How often a processor of the chain runs."""
    if settings.tracking is None:
        return "frame"
    return settings.tracking.per.get(name, "track" if name in ONCE_A_TRACK else "frame")


def in_order_of_work(settings: WorkSettings) -> list[str]:
    """The chain in the order in which it runs: what is for each look, for every nth, for a track's shots."""
    ranks: dict[Often, int] = {"frame": 0, "track": 2}
    return sorted(settings.chain, key=lambda name: 0 if is_detector(name) else ranks.get(often(settings, name), 1))


def is_detector(name: str) -> bool:
    """What is found by it begins each look, however rare they are."""
    return Box in PROCESSORS[name].makes


def found_by(chain: Sequence[str]) -> frozenset[Label]:
    """The classes that a chain finds."""
    return frozenset(PROCESSORS[name].applies_to for name in chain if name in PROCESSORS and is_detector(name))
