"""The demo's clip: three portraits that walk about a plain room, with the true boxes and tracks known by construction.

It shows cut-out portraits in motion, not people: they come nearer, tilt their heads and cross, and the last frame
flows into the first. `pictures/` has public-domain portraits (NOTICE), cropped to head and shoulders, scaled and
encoded again, and beside each the mask by which it is cut out.
"""

import math
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from daemon.simulator.rtp import Clip
from processors.types import Image

Box = tuple[float, float, float, float]
Motion = tuple[float, float, int, float]
"""Middle, amplitude, turns a period and phase (in turns) of a sine."""


@dataclass(frozen=True, slots=True)
class Person:
    """A portrait and its way about the room; `face_xywh` is where YuNet finds the face in the picture."""

    name: str
    face_xywh: Box
    x: Motion
    y: Motion
    size: Motion
    tilt: Motion


# Centres are shares of the frame's width and height, the size is the face's height as a share of the frame's, the tilt
# is in degrees. The first two walk round each other and change places twice a period.
PEOPLE = (
    Person("obama", (209, 70, 194, 268), (0.41, 0.25, 1, 0.25), (0.4, 0.03, 1, 0), (0.21, 0.13, 1, 0), (0, 20, 2, 0.1)),
    Person(
        "biden", (213, 104, 193, 276), (0.41, 0.25, 1, 0.75), (0.4, 0.03, 1, 0.5), (0.21, 0.13, 1, 0.5), (0, 15, 3, 0)
    ),
    Person(
        "astronaut", (140, 66, 88, 111), (0.81, 0.07, 2, 0.25), (0.36, 0.06, 3, 0), (0.15, 0.06, 1, 0), (0, 25, 1, 0)
    ),
)


@dataclass(frozen=True, slots=True)
class FaceBox:
    """The true place of a face in one frame.

    `box_xyxy` is in pixels; `hidden` is the share of it, 0..1, behind the head of somebody nearer (about: a head is
    taken for half as wide again as its face).
    """

    track: str
    box_xyxy: Box
    hidden: float


@dataclass(frozen=True, slots=True)
class Place:
    """A face's centre and height in pixels and its tilt in degrees, clockwise."""

    x: float
    y: float
    size: float
    tilt: float


@dataclass(frozen=True, slots=True)
class Scene:
    """What is seen in each frame; the same for every call with the same settings."""

    width: int = 1280
    height: int = 720
    fps: int = 25
    seconds: float = 10
    people: tuple[Person, ...] = PEOPLE

    @property
    def frames(self) -> int:
        return round(self.fps * self.seconds)

    def truth(self, index: int) -> list[FaceBox]:
        """The faces of a frame, the farthest first; `index` may run past the end, as the clip loops."""
        people = self._people(index)
        boxes = [_face_box(person, place) for person, place in people]
        return [
            FaceBox(
                person.name, box, max((_covered(box, _head_box(nearer)) for nearer in boxes[order + 1 :]), default=0.0)
            )
            for order, ((person, _), box) in enumerate(zip(people, boxes, strict=True))
        ]

    def draw(self, index: int) -> Image:
        """(height, width, 3) uint8 BGR."""
        picture = _room(self.width, self.height).copy()
        for person, place in self._people(index):
            _paste(picture, person, place)
        return picture

    def _people(self, index: int) -> list[tuple[Person, Place]]:
        phase = index % self.frames / self.frames
        people = [
            (
                person,
                Place(
                    x=_at(person.x, phase) * self.width,
                    y=_at(person.y, phase) * self.height,
                    size=_at(person.size, phase) * self.height,
                    tilt=_at(person.tilt, phase),
                ),
            )
            for person in self.people
        ]
        return sorted(people, key=lambda item: item[1].size)


def drawn_clip() -> Clip:
    """What the demo's camera shows; takes seconds to encode."""
    with tempfile.TemporaryDirectory(prefix="visaged-clip-") as folder:
        path = Path(folder) / "faces.mp4"
        make_clip(path)
        return Clip.read(path)


def make_clip(
    path: Path, scene: Scene | None = None, *, gop: int = 25, codec: Literal["libx264", "libx265"] = "libx264"
) -> None:
    """Encodes the scene, a keyframe every `gop` frames and no B-frames, as cameras do."""
    # PyAV 19's libx265 leaves its caller's thread without x87 (MMX without EMMS): in it numpy's remainder and LAPACK
    # give NaN from then on. A thread that ends takes that with it.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(_encode, path, scene or Scene(), gop, codec).result()


def _encode(path: Path, scene: Scene, gop: int, codec: Literal["libx264", "libx265"]) -> None:
    import av

    # One thread, so that the bytes don't depend on the number of cores.
    options = {"preset": "veryfast", "tune": "zerolatency", "crf": "24", "threads": "1"}
    if codec == "libx265":
        options["x265-params"] = "log-level=error:pools=none:frame-threads=1"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=scene.fps, options=options)
        stream.width, stream.height, stream.pix_fmt = scene.width, scene.height, "yuv420p"
        stream.gop_size = gop
        stream.max_b_frames = 0
        for index in range(scene.frames):
            frame = av.VideoFrame.from_ndarray(scene.draw(index), format="bgr24")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _at(motion: Motion, phase: float) -> float:
    middle, amplitude, turns, offset = motion
    return middle + amplitude * math.sin(math.tau * (turns * phase + offset))


def _face_box(person: Person, place: Place) -> Box:
    """Around the ellipse that fills the portrait's face box, turned: as upright boxes are drawn around tilted heads."""
    _, _, width, height = person.face_xywh
    a, b = place.size / 2 * width / height, place.size / 2
    cos, sin = math.cos(math.radians(place.tilt)), math.sin(math.radians(place.tilt))
    half_w, half_h = math.hypot(a * cos, b * sin), math.hypot(a * sin, b * cos)
    return (place.x - half_w, place.y - half_h, place.x + half_w, place.y + half_h)


def _head_box(face: Box) -> Box:
    x1, y1, x2, y2 = face
    return (x1 - (x2 - x1) / 4, y1, x2 + (x2 - x1) / 4, y2)


def _covered(box: Box, by: Box) -> float:
    width = min(box[2], by[2]) - max(box[0], by[0])
    height = min(box[3], by[3]) - max(box[1], by[1])
    return max(width, 0.0) * max(height, 0.0) / ((box[2] - box[0]) * (box[3] - box[1]))


def _paste(picture: Image, person: Person, place: Place) -> None:
    """Lays the portrait over the picture, in place."""
    x, y, width, height = person.face_xywh
    level, scale = 0, place.size / height
    while scale <= 0.5:  # bilinear warping skips pixels below half the size
        level, scale = level + 1, scale * 2
    cutout = _cutout(person.name, level)
    shrink = 1 / 2**level
    matrix = cv2.getRotationMatrix2D(((x + width / 2) * shrink, (y + height / 2) * shrink), -place.tilt, scale)
    matrix[:, 2] += place.x - (x + width / 2) * shrink, place.y - (y + height / 2) * shrink
    rows, columns = cutout.shape[:2]
    corners = matrix @ np.array([[0, columns, 0, columns], [0, 0, rows, rows], [1, 1, 1, 1]])
    left, top = np.maximum(np.floor(corners.min(axis=1)).astype(int), 0)
    right, bottom = np.minimum(np.ceil(corners.max(axis=1)).astype(int), (picture.shape[1], picture.shape[0]))
    matrix[:, 2] -= left, top
    warped = cv2.warpAffine(cutout, matrix, (int(right - left), int(bottom - top)), flags=cv2.INTER_LINEAR)
    behind = picture[top:bottom, left:right]
    behind[:] = warped[..., :3] + cv2.multiply(behind, cv2.merge([255 - warped[..., 3]] * 3), scale=1 / 255)


@cache
def _cutout(name: str, level: int) -> npt.NDArray[np.uint8]:
    """(h, w, 4) BGR and alpha, premultiplied, halved `level` times."""
    if level:
        return cv2.pyrDown(_cutout(name, level - 1)).astype(np.uint8)
    folder = Path(__file__).parent / "pictures"
    picture, mask = cv2.imread(str(folder / f"{name}.jpg")), cv2.imread(str(folder / f"{name}.mask.png"), 0)
    if picture is None or mask is None:
        raise FileNotFoundError(f"expected {name}.jpg and {name}.mask.png in {folder}")
    return np.dstack([cv2.multiply(picture, cv2.merge([mask] * 3), scale=1 / 255), mask])


@cache
def _room(width: int, height: int) -> Image:
    """A wall, lighter in its upper middle, over a floor."""
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(0, 1, height))
    light = 1 - 0.18 * x**2 - 0.25 * (y - 0.3) ** 2
    colour = np.where(y[..., None] < 0.86, np.array([205, 212, 210]), np.array([120, 140, 158]))
    room: Image = np.rint(light[..., None] * colour).astype(np.uint8)
    return room
