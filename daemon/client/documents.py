"""What the daemon writes in JSON, as types: views, which read a member when it is asked for.

Attributes have the names of version 2's members. The JSON stays beside them, with what a later version adds.
"""

import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final, Generic, Literal, NamedTuple, TypeVar

from daemon.errors import UnexpectedAnswer
from daemon.wire.codec import Members

T = TypeVar("T")
V = TypeVar("V", bound="View")

KEYPOINTS: Final = (
    "left_eye_brow_left",
    "left_eye_brow_up",
    "left_eye_brow_right",
    "right_eye_brow_left",
    "right_eye_brow_up",
    "right_eye_brow_right",
    "left_eye_left",
    "left_eye",
    "left_eye_right",
    "right_eye_left",
    "right_eye",
    "right_eye_right",
    "left_ear_bottom",
    "nose_left",
    "nose",
    "nose_right",
    "right_ear_bottom",
    "mouth_left",
    "mouth",
    "mouth_right",
    "chin",
)
"""Names, in the order of version 1. Left and right are the image's."""
TEMPLATE: Final = "_face_template_extractor_1000_12"


@dataclass(frozen=True)
class View:
    """A JSON object. repr() names its members alone: faces and templates are not for logs."""

    json: Members

    def __post_init__(self) -> None:
        if not isinstance(self.json, dict):
            raise TypeError(f"expected a JSON object, got {type(self.json).__name__}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self.json)})"


class member(Generic[T]):
    """Of a View: a member that may be absent, None then. Raises UnexpectedAnswer where it is not as the schema says."""

    def __init__(self, name: str, read: Callable[[Any], T]) -> None:
        self.name = name
        self._read = read

    def __get__(self, view: View, kind: type) -> T | None:
        value = view.json.get(self.name)
        try:
            return None if value is None else self._read(value)
        except (LookupError, TypeError, ValueError, AttributeError) as err:
            raise UnexpectedAnswer(f"{self.name} of {view!r} is not as the schema says: {type(err).__name__}") from err


class required(member[T]):
    """A member that is always there."""

    def __get__(self, view: View, kind: type) -> T:
        value = super().__get__(view, kind)
        if value is None:
            raise UnexpectedAnswer(f"{view!r} has no {self.name}, as the schema says it has")
        return value


def each(read: Callable[[Any], T]) -> Callable[[Any], tuple[T, ...]]:
    """Of a list."""
    return lambda values: tuple(map(read, values))


def by_name(read: Callable[[Any], T]) -> Callable[[Any], Mapping[str, T]]:
    """Of an object whose names are anybody's."""
    return lambda values: {name: read(value) for name, value in values.items()}


def plain(value: Any) -> Members:
    """An object that has no type here."""
    return View(value).json


moment = datetime.fromisoformat


class Box(NamedTuple):
    """Shares of the picture's width and height."""

    left: float
    top: float
    right: float
    bottom: float

    @classmethod
    def of(cls, sides: Any) -> "Box":
        return cls(*map(float, sides))


class Point(NamedTuple):
    x: float
    y: float

    @classmethod
    def of(cls, place: Any) -> "Point":
        return cls(*map(float, place))


class Pose(NamedTuple):
    """Of the head, in degrees: yaw > 0 to the image's right, pitch < 0 down, roll > 0 counter-clockwise."""

    yaw: float
    pitch: float
    roll: float

    @classmethod
    def of(cls, angles: Any) -> "Pose":
        return cls(float(angles["yaw"]), float(angles["pitch"]), float(angles["roll"]))


class Liveness(NamedTuple):
    value: Literal["real", "fake"]
    confidence: float
    """The probability that the face is real."""

    @classmethod
    def of(cls, judged: Any) -> "Liveness":
        return cls(judged["value"].lower(), float(judged["confidence"]))


class MedicalMask(NamedTuple):
    value: bool
    """Whether one is worn."""
    confidence: float
    """The probability of it."""

    @classmethod
    def of(cls, judged: Any) -> "MedicalMask":
        return cls(judged["value"], float(judged["confidence"]))


@dataclass(frozen=True, slots=True)
class Quality:
    """Scores are 0..1. The rotation is in degrees, eyes' distance and margins in pixels.

    The dynamic range is in units of 100 grey levels.
    """

    total_score: float
    is_sharp: bool
    sharpness_score: float
    is_evenly_illuminated: bool
    illumination_score: float
    no_flare: bool
    is_left_eye_opened: bool
    left_eye_openness_score: float
    is_right_eye_opened: bool
    right_eye_openness_score: float
    is_rotation_acceptable: bool
    max_rotation_deviation: int
    not_masked: bool
    not_masked_score: float
    is_neutral_emotion: bool
    neutral_emotion_score: float
    is_eyes_distance_acceptable: bool
    eyes_distance: int
    is_margins_acceptable: bool
    margin_outer_deviation: int
    margin_inner_deviation: int
    is_not_noisy: bool
    noise_score: float
    watermark_score: float
    has_watermark: bool
    dynamic_range_score: float
    is_dynamic_range_acceptable: bool
    background_uniformity_score: float
    is_background_uniform: bool

    @classmethod
    def of(cls, measures: Any) -> "Quality":
        return cls(**{field.name: measures[field.name] for field in fields(cls)})

    @classmethod
    def of_v1(cls, quality: Any) -> "Quality":
        """There names are in camelCase, and scores whole numbers: 100 is 1, and one grey level."""
        measures = {re.sub("([A-Z])", r"_\1", name).lower(): value for name, value in quality["qaa"].items()}
        scores = {field.name: measures[field.name] / 100 for field in fields(cls) if field.type is float}
        return cls.of(measures | scores)


def _points(points: Any) -> Mapping[str, Point]:
    return {name: Point.of(points[name]["proj"]) for name in KEYPOINTS}


def _points_of_v1(fitter: Any) -> Mapping[str, Point]:
    places = fitter["keypoints"]
    return {name: Point.of(places[3 * number : 3 * number + 2]) for number, name in enumerate(KEYPOINTS)}


def _emotions(scores: Any) -> Mapping[str, float]:
    return {score["emotion"].lower(): float(score["confidence"]) for score in scores}


def _bytes(picture: Any) -> bytes:
    return b64decode(picture["blob"])


class Object(View):
    """A face or a body, with what is known of it."""

    label = member("class", str)
    """`face` or `body`."""
    id = member("id", int)
    """A number within the picture."""
    confidence = member("confidence", float)
    """Of the detector."""
    bbox = member("bbox", Box.of)
    keypoints = member("keypoints", _points)
    """By their names: shares of the picture's width and height; in version 1 pixels."""
    pose = member("pose", Pose.of)
    gender = member("gender", str.lower)
    """`male` or `female`."""
    age = member("age", int)
    """Whole years."""
    emotions = member("emotions", _emotions)
    """Seven probabilities by name. Their sum is 1."""
    has_medical_mask = member("has_medical_mask", MedicalMask.of)
    liveness = member("liveness", Liveness.of)
    quality = member("quality", Quality.of)
    template = member("template", lambda templates: _bytes(templates[TEMPLATE]))
    """296 bytes, to be kept and compared."""
    track_id = member("track_id", str)
    """Unique across runs."""
    body_id = member("body_id", str)
    """Of a face: the track of its body."""
    zones = member("zones", each(str))
    """The names of those that it is in."""
    predicted = member("predicted", bool)
    """Nobody looked for it on this frame: the box is where it is expected."""
    image = member("_image", _bytes)
    """A JPEG of it alone."""
    image_url = member("image_url", str)
    """Of an event's: where such a JPEG can be had (`history.shot`)."""


class ObjectV1(Object):
    """As version 1 writes it."""

    keypoints = member("fitter", _points_of_v1)
    pose = member("angles", Pose.of)
    has_medical_mask = member("mask", MedicalMask.of)
    quality = member("quality", Quality.of_v1)
    template = member("$template", b64decode)


class Sample(View):
    """A picture and what is on it: what a service answers, and takes again."""

    objects = required("objects", each(Object))
    image = member("_image", _bytes)
    """The picture's file, or, of an array, its pixels."""

    @property
    def faces(self) -> tuple[Object, ...]:
        return tuple(one for one in self.objects if one.label == "face")

    @property
    def bodies(self) -> tuple[Object, ...]:
        return tuple(one for one in self.objects if one.label == "body")


class SampleV1(Sample):
    """As version 1 writes it."""

    objects = required("objects", each(ObjectV1))
    image = member("$image", b64decode)


class Verification(View):
    """How alike two templates are."""

    distance = required("distance", int)
    """Grows as they differ."""
    fa_r = required("fa_r", float)
    """The share of pairs of two people that are at most as far apart."""
    fr_r = required("fr_r", float)
    """The share of pairs of one person that are farther apart."""
    score = required("score", float)
    """0..1: from 0.9 on it is one person, at a false accept rate of 1e-4."""


class StreamInfo(View):
    """Where a document comes from."""

    id = required("id", str)
    run = required("run", str)
    """Of the source's connection: another after each restart."""
    frame = required("frame", int)
    """Counts from 0 in each run."""
    pts = required("pts", float)
    """Seconds by the source's own clock."""
    captured_at = required("captured_at", moment)
    width = required("width", int)
    """Pixels."""
    height = required("height", int)
    """Pixels."""


class ZoneNumbers(View):
    """By class."""

    now = member("now", by_name(int))
    """How many are in it."""
    entered = member("entered", by_name(int))
    """How many have entered since the daemon's start."""


class Places(View):
    """Numbers of a stream's zones and lines, by their names."""

    zones = required("zones", by_name(ZoneNumbers))
    lines = required("lines", by_name(by_name(by_name(int))))
    """How many have crossed since the daemon's start, by direction and class."""


class Frame(Sample):
    """What was found on a frame of a stream."""

    stream = required("stream", StreamInfo)
    places = member("places", Places)
    """Where the stream has zones or lines."""


class BestShot(View):
    frame = required("frame", int)
    captured_at = required("captured_at", moment)


class Track(View):
    """One person over many frames."""

    id = required("id", str)
    first_seen = required("first_seen", moment)
    last_seen = required("last_seen", moment)
    frames = required("frames", int)
    """On which it was seen."""
    best_shot = required("best_shot", BestShot)


class TrackEvent(View):
    """Of a track."""

    event = required("event", str)
    """`appeared`, `updated`, `present` or `left`."""
    reason = member("reason", str)
    """Why it left: `gone`, `run ended` or `restart`."""
    track = required("track", Track)
    object = required("object", Object)
    """By the track's best shot."""
    stream = required("stream", StreamInfo)


class Visit(View):
    """Of a zone."""

    name = required("name", str)
    entered_at = required("entered_at", moment)
    left_at = member("left_at", moment)
    dwell = member("dwell", float)
    """Seconds."""


class Crossing(View):
    """Of a line."""

    name = required("name", str)
    direction = required("direction", str)
    """By the line's own words."""
    crossed_at = required("crossed_at", moment)


class PlaceEvent(View):
    """Of a track and a zone, or a track and a line."""

    event = required("event", str)
    """`entered`, `loitering`, `left` or `crossed`."""
    reason = member("reason", str)
    """Why it left: `outside`, `gone`, `run ended` or `restart`."""
    zone = member("zone", Visit)
    line = member("line", Crossing)
    track = required("track", Track)
    object = required("object", Object)
    stream = required("stream", StreamInfo)


class Gap(View):
    """Something was missed."""

    reason = required("reason", str)
    """`window`, `restart`, `unknown id` or `slow`: docs/subscribers.md."""
    lost = member("lost", int)
    """How many events; None: that is not known."""


EVENTS: Final[Mapping[str, type[Frame | TrackEvent | PlaceEvent | Gap]]] = {
    "frame": Frame,
    "track": TrackEvent,
    "place": PlaceEvent,
    "gap": Gap,
}
"""By the type of the event."""


def event_of(type: str, members: Members) -> Frame | TrackEvent | PlaceEvent | Gap | View:
    """A View where a later version has another type."""
    return EVENTS.get(type, View)(members)
