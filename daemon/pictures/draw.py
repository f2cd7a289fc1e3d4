"""Draws on a picture what is known of it: boxes, landmarks, the axes of the pose, and what the estimators say.

The page, snapshots, video and `process --draw` all show this.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

import cv2
import numpy as np

from daemon.pictures.words import Box, Colour, put_lines
from processors.age import Age
from processors.emotion import EMOTIONS, Emotions
from processors.gender import Gender
from processors.liveness import Liveness
from processors.mask import Mask
from processors.quality import Quality
from processors.tracker import Predicted
from processors.types import (
    Confidence,
    Floats,
    Image,
    Landmarks,
    Object,
    Outline,
    Outlines,
    Pose,
    Sample,
    TrackId,
    Zones,
)

POINT: Final[Colour] = (60, 60, 255)
TEXT: Final[Colour] = (255, 255, 255)
QUIET: Final[Colour] = (205, 205, 205)
WARNING: Final[Colour] = (90, 120, 255)
BOXES: Final[Mapping[str, Colour]] = {"face": (120, 220, 80), "body": (240, 170, 70)}
ZONE: Final[Colour] = (74, 207, 255)
LINE: Final[Colour] = (200, 122, 255)
AXES: Final = (((60, 60, 255), (1, 0, 0)), ((80, 220, 80), (0, 1, 0)), ((255, 120, 60), (0, 0, 1)))
"""Colour and direction in the head's own frame: to its side, up, out of the face."""
SIZES: Final = range(12, 145)
"""Of the words, in pixels: larger ones would take much memory."""
DISPLAYED_SIZE: Final = 13
"""Of the words, in pixels of the display, where its width is known."""
LEAST_SIDE, LEAST_FACE = 24, 56
"""Of a box, in pixels of the display, that has words, and points and axes: on a smaller one they would hide it."""

Line = tuple[str, Colour]
Say = Callable[[Object], Line | None]


class Scale(NamedTuple):
    """From the frame's pixels to those of the picture that is drawn on."""

    factors: tuple[float, float]
    words: int
    """Size of the font, in pixels."""
    density: float
    """The picture's pixels to one of the display; 1 where its width is not known."""

    @classmethod
    def of(cls, sample: Sample, image: Image, display_width: int | None) -> "Scale":
        height, width = image.shape[:2]
        factors = width / sample.frame.width, height / sample.frame.height
        density = max(width / display_width, 1.0) if display_width else 1.0
        size = DISPLAYED_SIZE * density if display_width else max(height, width) / 58
        return cls(factors, min(max(SIZES.start, round(size)), SIZES.stop - 1), density)

    @property
    def thickness(self) -> int:
        """Of lines, in pixels."""
        return max(1, round(self.words / 10))

    def __call__(self, points_xy: Floats) -> Floats:
        return np.asarray(points_xy.reshape(-1, 2) * self.factors)


def drawn(sample: Sample, image: Image, display_width: int | None = None) -> Image:
    """A copy of the picture with the sample's objects drawn on it. `image` is the sample's picture in any size.

    `display_width`: of the picture where it is shown, in that display's pixels: words and lines are as large as is
    legible there. Without it they grow with the picture.
    """
    image = image.copy()
    scale = Scale.of(sample, image, display_width)
    papers: list[Box] = []
    if Outlines in sample:
        for place in sample[Outlines].places:
            _draw_place(image, place, scale, papers)
    for obj in sample.objects:
        _draw_figure(image, obj, scale)
    for obj in sample.objects:  # words last, so that no line crosses them
        _draw_words(image, obj, scale, papers)
    return image


def _draw_place(image: Image, place: Outline, scale: Scale, papers: list[Box]) -> None:
    """Below the objects, which are what is looked at."""
    colour = ZONE if place.is_closed else LINE
    points = (np.array(place.points) * image.shape[1::-1]).round().astype(np.int32)
    cv2.polylines(image, [points], place.is_closed, colour, scale.thickness, cv2.LINE_AA)
    left, top = points[points.sum(axis=1).argmin()].tolist()
    put_lines(image, [(place.name, colour)], (left, top), scale.words, papers)


def _draw_figure(image: Image, obj: Object, scale: Scale) -> None:
    first, last = (_pixel(corner) for corner in scale(obj.box_xyxy))
    thickness = 1 if Predicted in obj else scale.thickness
    cv2.rectangle(image, first, last, BOXES.get(obj.label, TEXT), thickness, cv2.LINE_AA)
    if Landmarks in obj and last[0] - first[0] >= LEAST_FACE * scale.density:
        points = scale(obj[Landmarks].points_xy)
        for point in points:
            cv2.circle(image, _pixel(point), scale.thickness, POINT, cv2.FILLED, cv2.LINE_AA)
        if Pose in obj:
            _draw_axes(image, obj[Pose], points[14], (last[0] - first[0]) * 0.6, scale.thickness)


def _draw_axes(image: Image, pose: Pose, nose: Floats, length: float, thickness: int) -> None:
    for colour, axis in AXES:
        tip = nose + length * (rotation(pose) @ axis)[:2] * (1, -1)
        cv2.arrowedLine(image, _pixel(nose), _pixel(tip), colour, thickness, cv2.LINE_AA, tipLength=0.15)


def _draw_words(image: Image, obj: Object, scale: Scale, papers: list[Box]) -> None:
    (left, top), (right, bottom) = scale(obj.box_xyxy).round().astype(int).tolist()
    height, width = image.shape[:2]
    is_seen = right >= 0 and bottom >= 0 and left < width and top < height
    lines = list(words_of(obj))
    if lines and is_seen and right - left >= LEAST_SIDE * scale.density:
        put_lines(image, lines, (left, bottom + scale.thickness), scale.words, papers)


def words_of(obj: Object) -> Iterator[Line]:
    """What is written below an object, line by line."""
    for says in SAYS:
        said = [line for say in says if (line := say(obj)) is not None]
        if said:
            yield ", ".join(text for text, _ in said), max((colour for _, colour in said), key=_gravity)


def _gravity(colour: Colour) -> bool:
    return colour == WARNING


def _name(obj: Object) -> Line | None:
    """Of its track the number within the run; without one what it is, where that is known to be so."""
    if TrackId in obj:
        return f"{obj.label} {obj[TrackId].value.rpartition('-')[2]}", TEXT
    return (f"{obj.label} {obj[Confidence].value:.2f}", TEXT) if Confidence in obj else None


def _gender(obj: Object) -> Line | None:
    return ("male" if obj[Gender].is_male else "female", TEXT) if Gender in obj else None


def _age(obj: Object) -> Line | None:
    return (str(round(obj[Age].years)), TEXT) if Age in obj else None


def _emotion(obj: Object) -> Line | None:
    return (EMOTIONS[int(np.argmax(obj[Emotions].probabilities))], TEXT) if Emotions in obj else None


def _mask(obj: Object) -> Line | None:
    return ("mask" if obj[Mask].worn else "no mask", TEXT) if Mask in obj else None


def _liveness(obj: Object) -> Line | None:
    if Liveness not in obj:
        return None
    return ("real", QUIET) if obj[Liveness].real else ("not real", WARNING)


def _quality(obj: Object) -> Line | None:
    return (f"quality {100 * obj[Quality].total_score:.0f}", QUIET) if Quality in obj else None


def _zones(obj: Object) -> Line | None:
    return (f"in {', '.join(obj[Zones].names)}", QUIET) if Zones in obj and obj[Zones].names else None


SAYS: Final[tuple[tuple[Say, ...], ...]] = (
    (_name,),
    (_gender, _age, _emotion, _mask),
    (_liveness, _quality),
    (_zones,),
)
"""Line by line."""


def rotation(pose: Pose) -> Floats:
    """(3, 3) Rz(roll) Ry(yaw) Rx(-pitch), y up, z toward the viewer: the inverse of processors.face_fitter.pose()."""
    yaw, pitch, roll = np.radians([pose.yaw, -pose.pitch, pose.roll])
    about_x = [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]]
    about_y = [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]]
    about_z = [[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]]
    return np.array(about_z) @ np.array(about_y) @ np.array(about_x)


def _pixel(point_xy: Floats) -> tuple[int, int]:
    x, y = point_xy.round().astype(int).tolist()
    return x, y
