"""Settings of zones and lines; imports nothing heavy, as every command reads it."""

from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Annotated, Literal, Protocol

from pydantic import AfterValidator, Field

from configs.section import Section
from daemon.sources.settings import Corners, Polygon
from processors.types import Label

MOST_PLACES = 64
"""Zones of a stream, and lines: each is asked for each object of a frame, and has rows of its own in /metrics."""


def _name(name: str) -> str:
    if name != name.strip() or not name.isprintable() or "," in name:
        raise ValueError("expected a name without commas, control characters and blanks at its ends")
    return name


PlaceName = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_name)]
"""In any writing. Lists in URLs have commas."""


def _without_stops(points: Corners) -> Corners:
    if any(point == following for point, following in pairwise(points)):
        raise ValueError("expected points that differ from those before them, got the same point twice in a row")
    return points


def _different(directions: tuple[PlaceName, PlaceName]) -> tuple[PlaceName, PlaceName]:
    if directions[0] == directions[1]:
        raise ValueError("expected two names, got the same twice")
    return directions


class PlaceSettings(Section):
    name: PlaceName = Field(
        description="Its name in documents, events and figures: 64 characters at most, in any writing, without commas."
    )
    classes: Annotated[tuple[Label, ...], Field(min_length=1)] | None = Field(
        None,
        description="Whom it is for, as a list: body, face, or both, which are counted apart. null: bodies where the "
        "chain finds them, else faces, so that a person counts once.",
    )
    point: Literal["bottom", "centre", "top"] | None = Field(
        None,
        description="The point of a box that says where somebody is: the middle of its lower edge, its centre, or the "
        "middle of its upper edge. null: bottom for a body, which stands there; centre for a face.",
    )


class ZoneSettings(PlaceSettings):
    polygon: Polygon = Field(
        description="3 to 200 corners [x, y] in their order, in shares (0 to 1) of the picture's width and height."
    )
    loitering: float | None = Field(
        None,
        gt=0,
        description="Seconds in the zone after which an event `loitering` is sent, once a visit. null: none is.",
    )


class LineSettings(PlaceSettings):
    points: Annotated[Corners, Field(min_length=2), AfterValidator(_without_stops)] = Field(
        description="2 to 200 points [x, y], in shares (0 to 1) of the picture's width and height.",
    )
    directions: Annotated[tuple[PlaceName, PlaceName], AfterValidator(_different)] = Field(
        description="Names of the two ways across, for one who walks along the line from its first point to its last: "
        "the way from his left to his right, and the way from his right to his left. Of a line that is drawn from the "
        "left of the picture to its right, the first is downwards."
    )


def _named_once(places: Sequence[PlaceSettings]) -> Sequence[PlaceSettings]:
    names = [place.name for place in places]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"expected names of their own, got {', '.join(twice)} more than once")
    return places


Zones = Annotated[tuple[ZoneSettings, ...], Field(max_length=MOST_PLACES), AfterValidator(_named_once)]
Lines = Annotated[tuple[LineSettings, ...], Field(max_length=MOST_PLACES), AfterValidator(_named_once)]


class HasPlaces(Protocol):
    """A stream's settings, as far as they are of places."""

    @property
    def zones(self) -> Sequence[ZoneSettings]: ...
    @property
    def lines(self) -> Sequence[LineSettings]: ...


def classes_of(place: PlaceSettings, found: Collection[Label]) -> tuple[Label, ...]:
    """Whom a place is for; `found`: the classes that the chain finds."""
    return place.classes or (("body",) if "body" in found else ("face",))
