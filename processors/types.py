"""What a chain works on: frames, the objects found on them, and the results laid on those objects.

Results are keyed by their type: `obj[Pose].yaw` is known to mypy, a result that is not there raises MissingResult, and
a new estimator brings its own result type without touching anything here. The results below are those that several
processors share.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, TypeVar, cast

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Image = npt.NDArray[np.uint8]
"""(h, w, 3), BGR."""

Label = Literal["face", "body"]
R = TypeVar("R")


class MissingResult(LookupError):
    """A result was asked for that no processor has made."""

    def __init__(self, kind: type, present: Sequence[type]) -> None:
        names = ", ".join(sorted(k.__name__ for k in present)) or "nothing"
        super().__init__(f"expected a result {kind.__name__}, have {names}")


class Results:
    """At most one result of each type.

    >>> face = Object("face", np.array([10.0, 20.0, 50.0, 80.0]))
    >>> face.put(Pose(yaw=6.2, pitch=-3.9, roll=-1.4))
    >>> face[Pose].yaw
    6.2
    >>> Landmarks in face
    False
    >>> face[Landmarks]
    Traceback (most recent call last):
    processors.types.MissingResult: expected a result Landmarks, have Pose
    """

    __slots__ = ("_results",)

    def __init__(self) -> None:
        self._results: dict[type, object] = {}

    def put(self, result: object) -> None:
        """Lays a result down, in place of an earlier one of its type."""
        self._results[type(result)] = result

    def __getitem__(self, kind: type[R]) -> R:
        try:
            return cast(R, self._results[kind])
        except KeyError:
            raise MissingResult(kind, list(self._results)) from None

    def __contains__(self, kind: type) -> bool:
        return kind in self._results


class Window(NamedTuple):
    """A part of a picture: its rows and columns, in pixels of the picture."""

    rows: slice
    columns: slice

    @property
    def size(self) -> int:
        """Pixels."""
        return int((self.rows.stop - self.rows.start) * (self.columns.stop - self.columns.start))


class Pyramid:
    """A picture and its halves, of which what is asked for is made once: all that looks at it shrunk starts from these.

    Halved by area, as OpenCV does in a tenth of the time of other factors. An odd last row or column is left out: all
    told, this moves nothing by a pixel of what is made of the halves. Read-only by agreement: it is shared.

    It may have the pixels of a window alone. All places are still those of the whole picture, and beyond the window it
    is black.

    Made of what halves, it has no image until somebody looks at that.
    """

    __slots__ = ("_image", "_levels", "_load", "_size", "_window")

    def __init__(
        self, image: "Image | Scalable", window: Window | None = None, size: tuple[int, int] | None = None
    ) -> None:
        """`image`: of the whole picture, or of a window in a picture of this size (width, height).

        `size` is needed of a window, and of what makes the image, which then has to be one that halves.
        """
        self._image: Image | None = image if isinstance(image, np.ndarray) else None
        self._load: Scalable | None = None if isinstance(image, np.ndarray) else image
        self._window = window
        self._size = size or (self.image.shape[1], self.image.shape[0])
        self._levels: dict[int, _Level] = {}

    @property
    def image(self) -> Image:
        """(height, width, 3) uint8 BGR, of the window where there is one. Read-only by agreement."""
        if self._image is None:
            load = self._load
            image = self._image if load is None else load()  # None: another thread has just made it
            self._image, self._load = image, None  # gives the decoder's buffer back
        return cast(Image, self._image)

    @property
    def load(self) -> "Scalable | None":
        """What makes the image; None once it is made."""
        return self._load

    @property
    def nbytes(self) -> int:
        """Of its image, made or not."""
        return math.prod(self._size) * 3 if self._image is None else self._image.nbytes

    def halvings(self, shrinks: float) -> int:
        """How often to halve before shrinking it `shrinks` times: as often as does not exceed that or leave nothing."""
        return min(max(math.frexp(shrinks)[1] - 1, 0), min(self._size).bit_length() - 1)

    def size(self, halvings: int = 0) -> tuple[int, int]:
        """Width and height of a level, the picture's own first."""
        width, height = self._size
        return width >> halvings, height >> halvings

    def level(self, halvings: int) -> Image:
        """The picture halved so often."""
        width, height = self.size(halvings)
        return self.cut(halvings, slice(0, height), slice(0, width))

    def cut(self, halvings: int, rows: slice, columns: slice) -> Image:
        """Some of a level's rows and columns; if not there yet, they are made with all between them and what is."""
        if not halvings:
            return self.image[rows, columns] if self._window is None else self._seen(self._window, rows, columns)
        width, height = self.size(halvings)
        if halvings == 1 and not self._levels and (load := self._load) is not None:
            self._levels[1] = _Level(load.halved(), slice(0, height), slice(0, width))
        made = self._levels.get(halvings) or _Level(
            np.empty((height, width, 3), np.uint8), slice(rows.start, rows.start), slice(columns.start, columns.start)
        )
        grown = _Level(made.pixels, _span(made.rows, rows), _span(made.columns, columns))
        for part_rows, part_columns in made.lacks(grown):
            whole = self.cut(halvings - 1, _doubled(part_rows), _doubled(part_columns))
            part = made.pixels[part_rows, part_columns]
            cv2.resize(whole, part.shape[1::-1], dst=part, interpolation=cv2.INTER_AREA)
        self._levels[halvings] = grown  # only now: another thread may look too, and would make the same pixels
        return made.pixels[rows, columns]

    def _seen(self, window: Window, rows: slice, columns: slice) -> Image:
        """Of the picture's rows and columns; black where the window has none."""
        top, left = window.rows.start, window.columns.start
        y1, y2 = max(rows.start, top), min(rows.stop, window.rows.stop)
        x1, x2 = max(columns.start, left), min(columns.stop, window.columns.stop)
        part = self.image[y1 - top : max(y2, y1) - top, x1 - left : max(x2, x1) - left]
        if (y1, y2, x1, x2) == (rows.start, rows.stop, columns.start, columns.stop):
            return part
        seen = np.zeros((rows.stop - rows.start, columns.stop - columns.start, 3), np.uint8)
        seen[y1 - rows.start : max(y2, y1) - rows.start, x1 - columns.start : max(x2, x1) - columns.start] = part
        return seen


class _Level(NamedTuple):
    """A level of a pyramid; its pixels are made within `rows` and `columns` only."""

    pixels: Image
    rows: slice
    columns: slice

    def lacks(self, grown: "_Level") -> Iterator[tuple[slice, slice]]:
        """Rows and columns of what is in a level grown from this one but not in it: above, below, left and right."""
        above, below = slice(grown.rows.start, self.rows.start), slice(self.rows.stop, grown.rows.stop)
        left, right = slice(grown.columns.start, self.columns.start), slice(self.columns.stop, grown.columns.stop)
        parts = [(above, grown.columns), (below, grown.columns), (self.rows, left), (self.rows, right)]
        return ((rows, columns) for rows, columns in parts if rows.start < rows.stop and columns.start < columns.stop)


def _span(made: slice, wanted: slice) -> slice:
    """From the first to the last of both."""
    return slice(min(made.start, wanted.start), max(made.stop, wanted.stop))


def _doubled(part: slice) -> slice:
    return slice(part.start * 2, part.stop * 2)


class Scalable(ABC):
    """What makes a frame's image, and smaller ones for less."""

    __slots__ = ()

    @abstractmethod
    def __call__(self) -> Image: ...

    @abstractmethod
    def scaled(self, width: int, height: int) -> Image: ...

    @property
    def halves(self) -> bool:
        """Whether halved() is there, and quicker than to make the image."""
        return False

    def halved(self) -> Image:
        """Each pixel the mean of four."""
        raise NotImplementedError


class Frame:
    """One picture and when it was taken. Lazy: a frame that is dropped is never converted to BGR.

    `pts` is in seconds on the source's own clock, `captured_at` is wall clock (Unix seconds): at demux for a live
    source, start + pts for a file. `index` counts from 0 within one run of the source. `id` is unique across runs and
    the same each time that the frame is read; None: its source can't give it one, as a camera. `trace`: the W3C
    traceparent and tracestate that came with it; None: none did.
    """

    __slots__ = ("_load", "_pyramid", "captured_at", "height", "id", "index", "pts", "source", "trace", "width")

    def __init__(
        self,
        load: Callable[[], Image],
        *,
        width: int,
        height: int,
        source: str = "",
        index: int = 0,
        pts: float = 0.0,
        captured_at: float = 0.0,
        id: str | None = None,
        trace: tuple[str, str] | None = None,
    ) -> None:
        self._load: Callable[[], Image] | None = load
        self._pyramid: Pyramid | None = None
        self.width = width
        self.height = height
        self.source = source
        self.index = index
        self.pts = pts
        self.captured_at = captured_at
        self.id = id
        self.trace = trace

    @classmethod
    def of(
        cls, image: Image, *, source: str = "", index: int = 0, pts: float = 0.0, captured_at: float = 0.0
    ) -> "Frame":
        """A frame whose picture is already in memory."""
        height, width = image.shape[:2]
        return cls(
            lambda: image, width=width, height=height, source=source, index=index, pts=pts, captured_at=captured_at
        )

    @property
    def load(self) -> Callable[[], Image] | None:
        """What makes the image; None once it is made."""
        return self._load if self._pyramid is None else self._pyramid.load

    @load.setter
    def load(self, load: Callable[[], Image]) -> None:
        """Before anybody has looked at the picture."""
        self._load = load

    @property
    def image(self) -> Image:
        """(height, width, 3) uint8 BGR; made on first use and kept. Read-only by agreement: it is shared."""
        return self.pyramid.image

    @property
    def pyramid(self) -> Pyramid:
        """The image and its halves; made on first use and kept."""
        if self._pyramid is None:
            assert self._load is not None  # noqa: S101  # cleared only once the pyramid is kept
            load, size = self._load, (self.width, self.height)
            self._pyramid = Pyramid(load, size=size) if isinstance(load, Scalable) and load.halves else Pyramid(load())
            self._load = None  # gives the decoder's buffer back, or leaves that to the pyramid
        return self._pyramid

    def scaled(self, width: int, height: int) -> Image:
        """(height, width, 3) uint8 BGR: the picture made smaller; at once from what was decoded, where that can be.

        The image is not made then, nor kept.
        """
        load = self.load
        if isinstance(load, Scalable):
            return load.scaled(width, height)
        level = self.pyramid.level(self.pyramid.halvings(min(self.width / width, self.height / height)))
        return cast(Image, cv2.resize(level, (width, height), interpolation=cv2.INTER_AREA))

    def as_it_came(self) -> "Frame":
        """The same picture, which is converted for itself: this one's image can go. This one where it has its image."""
        load = self.load
        return self if load is None else self._with(load)

    def within(self, window: Window) -> "Frame":
        """The frame with a copy of a window alone of its picture, so that the rest can go."""
        pixels = self.image[window.rows, window.columns].copy()
        part = self._with(lambda: pixels)
        part._pyramid, part._load = Pyramid(pixels, window, (self.width, self.height)), None
        return part

    def _with(self, load: Callable[[], Image]) -> "Frame":
        return Frame(
            load,
            width=self.width,
            height=self.height,
            source=self.source,
            index=self.index,
            pts=self.pts,
            captured_at=self.captured_at,
            id=self.id,
            trace=self.trace,
        )


class Object(Results):
    """A face or a body at `box_xyxy`: (4,) float64, pixels of the frame, NOT clipped to it."""

    __slots__ = ("box_xyxy", "label")

    def __init__(self, label: str, box_xyxy: Floats) -> None:
        super().__init__()
        self.label = label
        self.box_xyxy = box_xyxy

    def copy(self) -> "Object":
        """With the same results, to which others can be put."""
        other = Object(self.label, self.box_xyxy)
        other._results = dict(self._results)
        return other


class Sample(Results):
    """A frame and its objects; results of the whole picture lie on the sample itself."""

    __slots__ = ("frame", "objects")

    def __init__(self, frame: Frame, objects: Sequence[Object] = ()) -> None:
        super().__init__()
        self.frame = frame
        self.objects = list(objects)

    def of(self, objects: Sequence[Object]) -> "Sample":
        """The same picture with these objects alone; both have all results of the whole picture, whoever makes them."""
        other = Sample(self.frame, objects)
        other._results = self._results
        return other


class Processor(Protocol):
    """One step of a chain.

    `applies_to` is the label of the objects it reads or finds. On each of them it needs a result of every type in
    `needs` (a detector needs nothing and makes Box: the objects themselves) and puts one of every type in `makes`. It
    keeps no state between calls, so that a batch can be run again one sample at a time, from any thread.
    docs/extending.md says what else it must do, and shows one from nothing.
    """

    @property
    def applies_to(self) -> Label: ...
    @property
    def needs(self) -> frozenset[type]: ...
    @property
    def makes(self) -> frozenset[type]: ...
    def __call__(self, samples: Sequence[Sample]) -> None: ...


class Box:
    """Stands in `needs` and `makes` for an object with its box: a detector makes it, a request's bbox brings it."""


@dataclass(frozen=True, slots=True)
class Confidence:
    """A detector's score, 0..1."""

    value: float


@dataclass(frozen=True, slots=True)
class FivePoints:
    """(5, 2) pixels: the image's left eye, right eye, nose, left and right corner of the mouth."""

    points_xy: Floats


@dataclass(frozen=True, slots=True)
class FaceMesh:
    """(468, 3) MediaPipe face mesh: x right, y down in pixels of the frame, z away from the viewer at the same scale.

    `presence`, 0..1, says whether there is a face at all under the mesh: below .99 its pose is not to be trusted.
    """

    points_xyz: Floats
    presence: float


@dataclass(frozen=True, slots=True)
class Landmarks:
    """(21, 2) pixels, in the order of `LANDMARK_NAMES`; left and right are the image's."""

    points_xy: Floats


@dataclass(frozen=True, slots=True)
class Pose:
    """Head rotation in degrees: yaw > 0 to the image's right, pitch < 0 down, roll > 0 counter-clockwise as seen."""

    yaw: float
    pitch: float
    roll: float


@dataclass(frozen=True, slots=True)
class TrackId:
    """The id of the track that the object is part of; unique across runs."""

    value: str


@dataclass(frozen=True, slots=True)
class BodyId:
    """The TrackId of the body that a face belongs to."""

    value: str


@dataclass(frozen=True, slots=True)
class Zones:
    """The names of the stream's zones that the object is in."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outline:
    """Of a zone or a line on a picture; points (x, y) in shares, 0..1, of its width and height."""

    name: str
    points: tuple[tuple[float, float], ...]
    is_closed: bool


@dataclass(frozen=True, slots=True)
class Outlines:
    """What is to be seen on drawings of the places on a picture. A result of the whole picture."""

    places: tuple[Outline, ...]


LANDMARK_NAMES = (
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
"""The 21 `fda` points of the contract."""
FIVE_LANDMARKS = [LANDMARK_NAMES.index(name) for name in ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")]
"""Those of them that FivePoints has, in its order."""
