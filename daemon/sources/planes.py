"""Decoded pictures: how they become BGR, and how their planes are carried through memory of our own.

Together with open.py, video.py and reading.py the only module that knows `av`.
"""

import threading
from collections.abc import Sequence
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

import cv2
import numpy as np
import numpy.typing as npt

from daemon.pictures.masks import Corners, Covered, covered
from processors.types import Image, Scalable

if TYPE_CHECKING:
    from collections.abc import Mapping

    import av
    import av.sidedata.sidedata
    from av.video.format import VideoFormat
    from av.video.plane import VideoPlane

Bytes = npt.NDArray[np.uint8]
"""(n,)"""

ALIGNMENT = 64  # bytes; what swscale's widest instructions like rows to begin at
DISPLAY_MATRIX = "DISPLAYMATRIX"


class Orientation(IntFlag):
    """How a stored picture becomes the one to be shown: what is to be done, in this order."""

    TRANSPOSE = 1
    MIRROR = 2
    """Left and right change places."""
    FLIP = 4
    """Top and bottom change places."""


AS_STORED = Orientation(0)
Mounted = Literal[90, 180, 270]
"""Clockwise degrees by which a camera's pictures are to be turned."""


class Pixels(IntEnum):
    """What can be carried: FFmpeg's pixel formats of these names."""

    BGR24 = 0
    YUV420P = 1
    YUVJ420P = 2


PLANAR = {"yuv420p": Pixels.YUV420P, "yuvj420p": Pixels.YUVJ420P}


CHROMAS = (1, 2)
"""Of a format's components. PyAV calls them chroma only where there are fewer of them than of luma."""
BLOCKED = 64  # pixels, of which a format says how many samples of chroma they have
PLANAR_FORM = {1: "gbrp", 2: "yuv422p", 4: "yuv411p"}
"""What a format with all in one plane becomes, by how many pixels share a sample of chroma: none of them is moved."""


def _to_bgr(red: float, blue: float, *, is_full: bool) -> npt.NDArray[np.float32]:
    """(3, 4): from luma, both chromas and 1 to blue, green and red, where these have such shares in luma."""
    green = 1 - red - blue
    of_luma, of_chroma, black = (1.0, 1.0, 0) if is_full else (255 / 219, 255 / 224, 16)
    matrix = np.array(
        [
            (1, 2 * (1 - blue), 0),
            (1, -2 * blue * (1 - blue) / green, -2 * red * (1 - red) / green),
            (1, 0, 2 * (1 - red)),
        ]
    ) * (of_luma, of_chroma, of_chroma)
    return np.column_stack([matrix, -matrix @ (black, 128, 128)]).astype(np.float32)


BT709, BT601 = (0.2126, 0.0722), (0.299, 0.114)
"""Shares of red and of blue in luma (ITU-R BT.709-6 and BT.601-7)."""
FULL_RANGE = 2  # FFmpeg's AVCOL_RANGE_JPEG
COLOURSPACES = {1: BT709, 2: BT601, 5: BT601, 6: BT601}
"""By FFmpeg's AVColorSpace; 2: it is not said, and swscale takes BT.601."""
TO_BGR = {
    (space, is_full): _to_bgr(*shares, is_full=is_full)
    for space, shares in COLOURSPACES.items()
    for is_full in (False, True)
}


def _halving(picture: "av.VideoFrame") -> npt.NDArray[np.float32] | None:
    """One of TO_BGR, where half of the luma has as many samples as a chroma; None: it is not to be halved by planes."""
    is_even = not (picture.width % 2 or picture.height % 2)  # else the row left out is the last as displayed
    if picture.format.name not in PLANAR or picture.interlaced_frame or not is_even:
        return None
    is_full = picture.format.name == "yuvj420p" or picture.color_range == FULL_RANGE
    return TO_BGR.get((picture.colorspace, is_full))


class Layout(NamedTuple):
    """What the bytes of a picture are: three planes one after the other, or BGR as displayed."""

    pixels: int  # of Pixels
    width: int
    height: int
    orientation: int = 0  # of Orientation
    colorspace: int = 0
    color_range: int = 0

    @property
    def displayed(self) -> tuple[int, int]:
        """Width and height."""
        return displayed(self.width, self.height, self.orientation)

    @property
    def shape(self) -> tuple[int, ...]:
        """(rows, columns) of PyAV's array: rows of luma, then both chromas, two of their rows in one."""
        if self.pixels == Pixels.BGR24:
            return (self.height, self.width, 3)
        return (self.height * 3 // 2, -(-self.width // ALIGNMENT) * ALIGNMENT)

    @property
    def size(self) -> int:
        """Bytes of the whole picture."""
        return int(np.prod(self.shape))


class Decoded(Scalable):
    """A picture in the decoder's buffer; called, it makes the BGR image as displayed."""

    __slots__ = ("_matrix", "_orientation", "_picture", "_scaling")

    def __init__(self, picture: "av.VideoFrame", mounted: Mounted | None = None) -> None:
        self._picture = picture
        self._orientation = turned(_orientation(picture), mounted)
        self._matrix = _halving(picture)
        self._scaling = threading.Lock()  # PyAV keeps one scaler a picture, which is for one thread at a time

    def __call__(self) -> Image:
        with self._scaling:
            return _bgr(self._picture, self._orientation)

    def scaled(self, width: int, height: int) -> Image:
        """The image in another size, scaled on the way from the planes."""
        with self._scaling:
            return _bgr(self._picture, self._orientation, (width, height))

    @property
    def halves(self) -> bool:
        return self._matrix is not None

    def halved(self) -> Image:
        """As the image halved, within two grey levels (swscale rounds down), in half the time.

        Four pixels of 4:2:0 share their chroma, so that the mean of their colours is the colour of their mean luma.
        """
        assert self._matrix is not None  # noqa: S101  # as `halves` says
        luma, *chromas = (_pixels(plane) for plane in self._picture.planes)
        half = cv2.resize(luma, chromas[0].shape[::-1], interpolation=cv2.INTER_AREA)
        return oriented(cast(Image, cv2.transform(cv2.merge([half, *chromas]), self._matrix)), self._orientation)

    @property
    def displayed(self) -> tuple[int, int]:
        """Width and height."""
        return displayed(self._picture.width, self._picture.height, self._orientation)

    @property
    def layout(self) -> Layout | None:
        """The format, size and colours of its planes; None where they cannot be carried as they are."""
        picture = self._picture
        width, height = picture.width, picture.height
        pixels = PLANAR.get(picture.format.name)
        # PyAV wraps no other heights (18.1 makes 88 lines of 90), and cannot say that lines are those of two fields.
        if pixels is None or width % 2 or height % 4 or picture.interlaced_frame or picture.planes[0].line_size < width:
            return None
        return Layout(pixels, width, height, self._orientation, picture.colorspace, picture.color_range)

    def write_to(self, memory: Bytes) -> None:
        """Copies the planes as `layout` says."""
        height, width = self._picture.height, self._picture.width
        stride = -(-width // ALIGNMENT) * ALIGNMENT
        luma, *chromas = self._picture.planes
        memory[: height * stride].reshape(height, stride)[:, :width] = _pixels(luma)
        both = memory[height * stride : height * stride * 3 // 2].reshape(2, height // 2, stride // 2)
        for rows, chroma in zip(both, chromas, strict=True):
            rows[:, : width // 2] = _pixels(chroma)


def read_bgr(memory: Bytes, layout: Layout, shown: tuple[int, int] | None = None) -> Image:
    """The BGR picture of what Decoded wrote, as Decoded itself would have made it; a copy.

    `shown`: another size, width and height as displayed.
    """
    array = memory[: layout.size].reshape(layout.shape)
    if layout.pixels == Pixels.BGR24:
        return array.copy() if shown is None else cast(Image, cv2.resize(array, shown, interpolation=cv2.INTER_AREA))
    import av

    picture = av.VideoFrame.from_numpy_buffer(array, Pixels(layout.pixels).name.lower(), layout.width)
    picture.colorspace, picture.color_range = layout.colorspace, layout.color_range
    return _bgr(picture, layout.orientation, shown)


def _pixels(plane: "VideoPlane") -> npt.NDArray[np.uint8]:
    """(height, width), without what fills the rows up."""
    return np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]


def displayed(width: int, height: int, orientation: int) -> tuple[int, int]:
    """Width and height of the picture as shown, of those as stored."""
    return (height, width) if orientation & Orientation.TRANSPOSE else (width, height)


class Masks:
    """Burns polygons into decoded pictures before anything else sees them. For one thread.

    Corners are those of the picture as displayed, `mounted` included.
    """

    def __init__(self, polygons: Sequence[Corners], mounted: Mounted | None = None) -> None:
        self._polygons = polygons
        self._mounted = mounted
        self._kind: tuple[object, ...] = ()
        self._parts: Sequence[_Part] = ()
        """For pictures of that kind."""

    def __call__(self, picture: "av.VideoFrame") -> "av.VideoFrame":
        """The picture without what is below them; the decoder's own, from which it makes others, stays as it is."""
        picture = _in_planes(picture)
        picture.make_writable()
        for plane, part in zip(picture.planes, self._parts_of(picture), strict=False):  # a palette is no plane
            samples = _samples(plane, part.dtype, part.interleaved)[part.rows, part.columns]
            np.copyto(samples, part.value, where=part.below)
        return picture

    def _parts_of(self, picture: "av.VideoFrame") -> Sequence["_Part"]:
        orientation = turned(_orientation(picture), self._mounted)
        kind = (picture.format.name, picture.width, picture.height, orientation, picture.interlaced_frame)
        if kind != self._kind:
            stored = [as_stored(corners, orientation) for corners in self._polygons]
            self._kind, self._parts = kind, _parts(stored, picture)
        return self._parts


class _Part(NamedTuple):
    """What is burnt of a plane: the rows and columns of samples about the masks, and which of them are `below`."""

    rows: slice
    columns: slice
    below: Covered
    """(rows, columns, 1)"""
    dtype: str
    interleaved: int
    """How many values a sample has."""
    value: int


def _in_planes(picture: "av.VideoFrame") -> "av.VideoFrame":
    """As it is where each of its planes has whole samples, side by side."""
    form = picture.format
    if form.is_planar or (len(form.components) == 1 and not form.has_palette and form.components[0].bits >= 8):
        return picture
    return picture.reformat(format=PLANAR_FORM[BLOCKED // form.chroma_width(BLOCKED)], threads=1)


def _parts(polygons: Sequence[Corners], picture: "av.VideoFrame") -> Sequence[_Part]:
    """Of each plane; all are burnt in the same blocks, those of a sample of chroma."""
    form = picture.format
    across, down = BLOCKED // form.chroma_width(BLOCKED), BLOCKED // form.chroma_height(BLOCKED)
    fields = 2 if picture.interlaced_frame else 1  # whose lines take turns, and share chroma with the next but one
    blocks = covered(polygons, picture.width, picture.height, (across, down * fields))
    chroma = np.repeat(blocks, fields, axis=0)[: form.chroma_height(picture.height)]
    luma = np.repeat(np.repeat(chroma, down, axis=0), across, axis=1)[: picture.height, : picture.width]
    by_plane: dict[int, list[int]] = {}
    for number, component in enumerate(form.components):
        by_plane.setdefault(component.plane, []).append(number)
    has_chroma = len(form.components) >= 3 and not form.is_rgb
    return [
        _part(form, numbers, chroma if has_chroma and numbers[0] in CHROMAS else None, luma)
        for _, numbers in sorted(by_plane.items())
    ]


def _part(form: "VideoFormat", components: Sequence[int], chroma: Covered | None, luma: Covered) -> _Part:
    """Of a plane of these components."""
    depth, interleaved = form.components[components[0]].bits, len(components)
    size = 1 if depth <= 8 else 2 if depth <= 16 else 4
    bits = 8 * size if interleaved > 1 else depth  # P010 and its like have theirs at the upper end
    below, black = (luma, 0) if chroma is None else (chroma, 1 << (bits - 1))
    rows, columns = (_about(np.flatnonzero(below.any(axis=axis))) for axis in (1, 0))
    dtype = f"{'>' if form.is_big_endian else '<'}u{size}"
    return _Part(rows, columns, below[rows, columns, None], dtype, interleaved, black)


def _about(there: npt.NDArray[np.intp]) -> slice:
    """From the first to the last."""
    return slice(int(there[0]), int(there[-1]) + 1)


def _samples(plane: "VideoPlane", dtype: str, interleaved: int) -> npt.NDArray[np.unsignedinteger]:
    """(height, width, values of a sample), to be written to; without what fills the rows up."""
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
    values = plane.width * interleaved
    whole = rows[:, : values * np.dtype(dtype).itemsize].view(dtype)
    return cast("npt.NDArray[np.unsignedinteger]", whole.reshape(plane.height, plane.width, interleaved))


def as_stored(corners: Corners, orientation: int) -> Corners:
    """Where corners on a picture as displayed are on it as stored."""
    points = [(1 - x if orientation & Orientation.MIRROR else x, y) for x, y in corners]
    points = [(x, 1 - y if orientation & Orientation.FLIP else y) for x, y in points]
    return [(y, x) if orientation & Orientation.TRANSPOSE else (x, y) for x, y in points]


def _orientation(picture: "av.VideoFrame") -> int:
    """By the display matrix, which takes a stored (x, y) to (a x + c y, b x + d y). An oblique one is not followed."""
    matrix = cast("Mapping[str, av.sidedata.sidedata.SideData]", picture.side_data).get(DISPLAY_MATRIX)
    if matrix is None:
        return AS_STORED
    a, b, _, c, d = np.frombuffer(memoryview(matrix), np.int32, count=5).tolist()
    if b == c == 0:
        return _after(AS_STORED, mirrored=a < 0, flipped=d < 0)
    if a == d == 0:
        return _after(Orientation.TRANSPOSE, mirrored=c < 0, flipped=b < 0)
    return AS_STORED


def _after(orientation: Orientation, *, mirrored: bool, flipped: bool) -> int:
    return orientation | (Orientation.MIRROR if mirrored else 0) | (Orientation.FLIP if flipped else 0)


def turned(orientation: int, degrees: Mounted | None) -> int:
    """What is to be done for a picture that is turned clockwise after it has been shown so."""
    for _ in range((degrees or 0) // 90):
        transposed = not orientation & Orientation.TRANSPOSE
        orientation = _after(
            Orientation.TRANSPOSE if transposed else AS_STORED,
            mirrored=not orientation & Orientation.FLIP,
            flipped=bool(orientation & Orientation.MIRROR),
        )
    return orientation


def _bgr(picture: "av.VideoFrame", orientation: int, shown: tuple[int, int] | None = None) -> Image:
    """As displayed: a phone's videos are stored lying down, or mirrored, with a matrix beside them.

    `shown`: width and height, as displayed; None: as they are.
    """
    # By default swscale starts and ends as many threads as there are cores, for each picture.
    if shown is None:
        return oriented(cast(Image, picture.to_ndarray(format="bgr24", threads=1)), orientation)
    width, height = displayed(*shown, orientation)
    array = picture.to_ndarray(format="bgr24", width=width, height=height, interpolation="AREA", threads=1)
    return oriented(cast(Image, array), orientation)


def oriented(image: Image, orientation: int) -> Image:
    """A copy where anything is to be done."""
    if orientation & Orientation.TRANSPOSE:
        image = cast(Image, cv2.transpose(image))
    if orientation & Orientation.MIRROR:
        image = cast(Image, cv2.flip(image, 1))
    if orientation & Orientation.FLIP:
        image = cast(Image, cv2.flip(image, 0))
    return image
