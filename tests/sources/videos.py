"""Small videos whose frames tell their number: frame n is grey of about 20 n."""

from pathlib import Path
from typing import Literal

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
