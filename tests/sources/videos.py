"""Small videos whose frames tell their number: frame n is grey of about 20 n."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import av
import cv2
import numpy as np

from processors.types import Frame, Image

WIDTH, HEIGHT, FPS = 64, 48, 25
BRIGHTER = 20


def picture(number: int) -> Image:
    return np.full((HEIGHT, WIDTH, 3), number * BRIGHTER, np.uint8)


def jpeg(number: int) -> bytes:
    return cv2.imencode(".jpg", picture(number))[1].tobytes()


def make_video(path: Path, pictures: int = 10) -> Path:
    return encode(path, [picture(number) for number in range(pictures)])


LOW_DELAY = {"preset": "ultrafast", "tune": "zerolatency"}


def encode(
    path: Path,
    pictures: list[Image],
    codec: Literal["libx264", "libx265", "mjpeg"] = "libx264",
    gop: int = 250,
    options: dict[str, str] = LOW_DELAY,
) -> Path:
    """The container follows from the name."""
    height, width = pictures[0].shape[:2]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=FPS, options={} if codec == "mjpeg" else options)
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.gop_size = gop
        for index, image in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def numbers(frames: list[Frame]) -> list[int]:
    return [round(frame.image.mean() / BRIGHTER) for frame in frames]


@dataclass(frozen=True)
class Coded:
    """How a video is coded, and in which way its pictures come over."""

    container: str = "mp4"
    codec: str = "libx264"
    pix_fmt: str = "yuv420p"
    width: int = 320
    height: int = 180
    options: str = ""


CODED = {
    "4:2:0": Coded(),
    "rows that are filled up": Coded(width=322),
    "BT.709": Coded(options="colorprim=bt709:transfer=bt709:colormatrix=bt709"),
    "BT.601, full range": Coded(options="colormatrix=smpte170m:fullrange=on"),
    "720p with B-frames": Coded(width=1280, height=720, options="bframes=3"),
    "a height that PyAV cannot wrap": Coded(height=182),
    "odd": Coded(pix_fmt="yuv444p", width=321, height=181),
    "4:2:2": Coded(pix_fmt="yuv422p"),
    "10 bits": Coded(pix_fmt="yuv420p10le"),
    "interlaced": Coded(options="tff=1"),
    "MJPEG": Coded("avi", "mjpeg", "yuvj420p"),
    "MPEG-4": Coded("mp4", "mpeg4"),
    "uncompressed": Coded("avi", "rawvideo", "bgr24"),
    "palette": Coded("gif", "gif", "rgb8"),
}


def textured(path: Path, coded: Coded, pictures: int = 4) -> Path:
    """A video of noise that is not all noise, so that every byte counts."""
    random = np.random.default_rng(3)
    with av.open(str(path), "w") as container:
        options = {"x264-params": coded.options} if coded.options else {}
        stream = cast(av.VideoStream, container.add_stream(coded.codec, rate=25, options=options))
        stream.width, stream.height, stream.pix_fmt = coded.width, coded.height, coded.pix_fmt
        for index in range(pictures):
            small = random.integers(0, 256, (12, 16, 3), np.uint8)
            image = np.kron(small, np.ones((20, 30, 1), np.uint8))[: coded.height, : coded.width]
            image = np.resize(image, (coded.height, coded.width, 3))
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def turned(path: Path, rotation: int) -> Path:
    """The video with a display matrix."""
    content = bytearray(textured(path, Coded()).read_bytes())
    matrix = content.index(b"tkhd") + 44  # ISO/IEC 14496-12, 8.3.2, version 0
    a, b = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[rotation]
    for place, value in zip((0, 4, 12, 16), (a, b, -b, a), strict=True):
        content[matrix + place : matrix + place + 4] = (value << 16).to_bytes(4, "big", signed=True)
    path.write_bytes(content)
    return path
