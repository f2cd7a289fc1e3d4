"""Decoded pictures: how they become BGR, and how their planes are carried through memory of our own.

Together with open.py, video.py and reading.py the only module that knows `av`.
"""

from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

import cv2
import numpy as np
import numpy.typing as npt

from processors.types import Image

if TYPE_CHECKING:
    from collections.abc import Mapping

    import av
    import av.sidedata.sidedata
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


class Decoded:
    """A picture in the decoder's buffer; called, it makes the BGR image as displayed."""

    __slots__ = ("_orientation", "_picture")

    def __init__(self, picture: "av.VideoFrame", mounted: Mounted | None = None) -> None:
        self._picture = picture
        self._orientation = turned(_orientation(picture), mounted)

    def __call__(self) -> Image:
        return _bgr(self._picture, self._orientation)

    def scaled(self, width: int, height: int) -> Image:
        """The image in another size, scaled on the way from the planes. For one thread at a time."""
        return _bgr(self._picture, self._orientation, (width, height))

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
