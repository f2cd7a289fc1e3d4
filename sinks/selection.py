"""Which records a sink takes, and what is in them: settings of every sink, which the daemon sees to."""

from typing import Final, Literal

from pydantic import Field

from configs.section import Section
from sinks.base import About, Attribute, Record, Subject

Type = Literal[
    "frame",
    "track",
    "track.appeared",
    "track.updated",
    "track.present",
    "track.left",
    "place",
    "place.entered",
    "place.left",
    "place.crossed",
    "place.loitering",
]
Part = Literal["template", "_image"]
OF_OURS: Final = "visaged."
"""What the id of a document's schema begins with, before its type."""


class Years(Section):
    at_least: int | None = Field(None, ge=0, description="The lowest age, in years. null: any.")
    below: int | None = Field(None, ge=1, description="The age from which on it is too high, in years. null: any.")

    def takes(self, years: Attribute) -> bool:
        return isinstance(years, int) and (self.at_least or 0) <= years and (self.below is None or years < self.below)


class Attributes(Section):
    age: Years | None = Field(None, description="The age, in years. null: any, also none.")
    gender: Literal["female", "male"] | None = Field(None, description="The gender. null: any, also none.")
    emotion: tuple[Literal["angry", "disgusted", "scared", "happy", "neutral", "sad", "surprised"], ...] | None = Field(
        None, description="The likeliest emotion is one of these, as a list. null: any, also none."
    )
    has_medical_mask: bool | None = Field(None, description="Whether a mask is worn. null: whether or not.")
    liveness: Literal["real", "fake"] | None = Field(
        None, description="What the liveness estimator takes it for. null: any, also none."
    )

    def takes(self, subject: Subject) -> bool:
        """An attribute that is wanted and was not estimated is none that fits."""
        wanted = ((name, getattr(self, name)) for name in type(self).model_fields)
        return all(_fits(subject.attributes.get(name), value) for name, value in wanted if value is not None)


def _fits(found: Attribute | None, wanted: object) -> bool:
    if found is None:
        return False
    if isinstance(wanted, Years):
        return wanted.takes(found)
    return found in wanted if isinstance(wanted, tuple) else found == wanted


class When(Section):
    classes: tuple[Literal["face", "body"], ...] | None = Field(
        None, description="It is of one of these classes, as a list. null: of any."
    )
    zones: tuple[str, ...] | None = Field(
        None,
        description="It is in one of these zones, or the event is of one of these zones or lines, by their names, as a "
        "list. null: wherever it is.",
    )
    confidence: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Its confidence, 0 to 1, is this at least. An object that was predicted, not found, has none and "
        "does not fit. null: whatever it is.",
    )
    attributes: Attributes | None = Field(
        None,
        description="What was estimated of it. An object of which it was not estimated, or not yet, does not fit. "
        "null: whatever it is.",
    )

    def takes(self, subject: Subject) -> bool:
        return (
            (self.classes is None or subject.label in self.classes)
            and (self.zones is None or not subject.zones.isdisjoint(self.zones))
            and (self.confidence is None or (subject.confidence or -1.0) >= self.confidence)
            and (self.attributes is None or self.attributes.takes(subject))
        )


_INCLUDE: Final = (
    "What leaves by this sink beside the rest of a document, as a list: template (of faces: with it a person can be "
    "recognised elsewhere), _image (pictures). What is not named is cut out; []: both are."
)


class Selection(Section):
    """What every sink's settings are."""

    types: tuple[Type, ...] | None = Field(
        None,
        description="The types of documents that it takes, as a list: frame, track and place, or one of their events "
        "alone, as track.appeared. null: all. What this sink does not take it counts as skipped; a frame of which no "
        "sink takes anything is acknowledged, and counted as `untaken`.",
    )
    streams: tuple[str, ...] | None = Field(
        None,
        description="The streams whose documents it takes, by their ids, as a list. A document has to get here, too: "
        "see `sinks` of the stream. null: all.",
    )
    when: When | None = Field(
        None,
        description="It takes documents with an object for which all of this holds. null: also those without objects.",
    )
    include: tuple[Part, ...] = Field(("template", "_image"), description=_INCLUDE)

    @property
    def as_cloud_events(self) -> bool:
        """Whether each document is to be one, with its attributes in it."""
        return False

    def takes(self, record: Record) -> bool:
        return (
            (self.types is None or _is_of(record.about, self.types))
            and (self.streams is None or record.key in self.streams)
            and (self.when is None or any(self.when.takes(subject) for subject in record.about.objects))
        )


class SparingSelection(Selection):
    """Of sinks to which templates and pictures go only where they are named."""

    include: tuple[Part, ...] = Field((), description=_INCLUDE)


def _is_of(about: About, types: tuple[Type, ...]) -> bool:
    of_type = about.schema.removeprefix(OF_OURS)
    return of_type in types or f"{of_type}.{about.event}" in types
