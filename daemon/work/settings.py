"""How what is done with frames is configured, wherever they come from."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, PlainValidator, create_model

from configs.section import Section
from daemon.errors import nearest
from daemon.sources.settings import RegionSettings
from processors.registry import PROCESSORS, key_of, needed_before
from processors.tracker import TrackerSettings
from processors.types import Box, FaceMesh, Landmarks
from sinks.kafka_settings import TopicName


def _often(value: object) -> object:
    """One message for all that it is not; a union would give one a member."""
    if value in ("frame", "track") or (isinstance(value, int) and value >= 2):
        return value
    raise ValueError("expected frame, track, or a number of frames of 2 or more")


Often = Annotated[Literal["frame", "track"] | int, PlainValidator(_often)]

ProcessorSettings: type[BaseModel] = create_model(
    "ProcessorSettings",
    __base__=Section,
    **{  # type: ignore[call-overload]
        key_of(name): (cls.Settings, Field(cls.Settings(), description=f"Of every {name}."))
        for name, cls in PROCESSORS.items()
    },
)
"""One section a registered processor."""


def by_processor(settings: BaseModel, over: BaseModel | None = None) -> Mapping[str, BaseModel]:
    """ProcessorSettings by the processors' registered names; what `over` sets wins."""
    settings_of = {name: getattr(settings, key_of(name)) for name in PROCESSORS}
    if over is None:
        return settings_of
    return {name: _laid_over(settings_of[name], section) for name, section in by_processor(over).items()}


def _laid_over(below: BaseModel, over: BaseModel) -> BaseModel:
    return below.model_copy(update={key: getattr(over, key) for key in over.model_fields_set})


class EventSettings(Section):
    topic: TopicName = Field("visaged.tracks", description="The topic of the events, beside that of the documents.")
    image: bool = Field(False, description="Whether an event brings the best shot's crop as JPEG (`_image`).")


class TrackingSettings(TrackerSettings):
    per: dict[str, Often] = Field(
        {},
        description="How often a processor of the chain runs: on every `frame`, on the best few shots of a `track`, "
        "or on every so many of its frames. Not named here: age, gender, mask, liveness, quality and template by "
        "`track`, all others by `frame`, as detectors and the fitter must.",
    )
    shots: int = Field(
        3, ge=1, description="How many of a track's best shots are pooled into its age, gender, mask, liveness, ..."
    )
    events: EventSettings | None = Field(
        None, description="Events of tracks (`appeared`, `updated`, `left`) on a topic of their own; nothing: none."
    )


def mistakes_of_chain(chain: Sequence[str]) -> Iterator[str]:
    """What is wrong with processors of these names in this order, for frames on which nothing is known yet."""
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
        description="Processors by name, in the order in which they run; which needs which: docs/processors.md.",
    )
    processors: ProcessorSettings | None = Field(
        None, description="Settings of processors for these streams alone, over those of `processors` above."
    )
    regions: RegionSettings | None = Field(None, description="Where in the picture objects count; nothing: everywhere.")
    tracking: TrackingSettings | None = Field(
        None, description="Follows faces and bodies from frame to frame, {} with the defaults; nothing: does not."
    )
    sinks: tuple[str, ...] | None = Field(
        None, min_length=1, description="Which of the sinks below get the documents; nothing: all of them."
    )
    topic: TopicName | None = Field(
        None, description="The topic of the documents in sinks of type kafka; nothing: the sink's own."
    )
    emit: Literal["every", "objects", "change"] = Field(
        "every",
        description="Which frames make a document: every one, those with objects, or those on which a track begins, "
        "has ended, or is known better than before (without tracking: the number of faces or bodies is another).",
    )
    image: Literal["none", "crops", "full"] = Field(
        "none",
        description="What each document brings of the picture as JPEG (`_image`): nothing, a crop of each object, "
        "or all of it.",
    )
    weight: float = Field(1.0, gt=0, description="The share of the workers beside the others when all are busy.")
    window: int | None = Field(
        None, ge=1, description="Frames of one stream that are worked on at once; nothing: as many as workers."
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
"""What stays the same of a person, or costs much."""
PLACES = frozenset({Box, FaceMesh, Landmarks})
"""Results in pixels: another frame's would lie beside the object."""


def often(settings: WorkSettings, name: str) -> Often:
    """How often a processor of the chain runs."""
    if settings.tracking is None:
        return "frame"
    return settings.tracking.per.get(name, "track" if name in ONCE_A_TRACK else "frame")


def in_order_of_work(settings: WorkSettings) -> list[str]:
    """The chain in the order in which it runs: what is for every frame, for every nth frame, for a track's shots."""
    ranks: dict[Often, int] = {"frame": 0, "track": 2}
    return sorted(settings.chain, key=lambda name: ranks.get(often(settings, name), 1))
