"""The drawings of a video's frames, as a video of the same rate."""

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import cv2

from daemon.errors import ConfigError
from processors.types import Image

if TYPE_CHECKING:
    import av
    from av.container import OutputContainer
    from av.video.stream import VideoStream

CODECS = {"libx264": {"preset": "veryfast", "crf": "20"}, "mpeg4": {"qscale": "3"}}
"""The first that this FFmpeg has, and its options."""
TIME_BASE = Fraction(
    1, 60_000
)  # seconds; whole for 24, 25, 30, 50 and 29.97 frames a second, and MPEG-4 takes no finer


class DrawnVideo:
    """An MP4 file; each picture is shown until the next, as in the video that was drawn on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._first = 0.0
        self._last = -1

    def write(self, image: Image, pts: float) -> None:
        """`pts`: seconds, from anywhere. Raises ConfigError where the file cannot be written."""
        import av

        try:
            stream = self._stream or self._open(image, pts)
            even = _of_even_size(image)
            frame = av.VideoFrame.from_ndarray(even, format="bgr24")
            self._last = max(self._last + 1, round((pts - self._first) / TIME_BASE))
            frame.pts, frame.time_base = self._last, TIME_BASE
            self._mux(stream, frame)
        except (av.FFmpegError, OSError) as err:
            raise ConfigError(f"--draw: {self._path} cannot be written: {err.strerror}") from None

    def close(self) -> None:
        if self._container is not None and self._stream is not None:
            self._mux(self._stream, None)
            self._container.close()

    def _open(self, image: Image, pts: float) -> "VideoStream":
        import av

        codec = next(name for name in CODECS if name in av.codecs_available)
        self._container = av.open(str(self._path), "w")
        stream = cast("VideoStream", self._container.add_stream(codec, options=CODECS[codec]))
        height, width = _of_even_size(image).shape[:2]
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = TIME_BASE
        self._stream, self._first = stream, pts
        return stream

    def _mux(self, stream: "VideoStream", frame: "av.VideoFrame | None") -> None:
        assert self._container  # noqa: S101  # it was opened with the stream
        self._container.mux(stream.encode(frame))


def _of_even_size(image: Image) -> Image:
    """With a last row and column once more where there is an odd number of them: chroma is halved."""
    height, width = image.shape[:2]
    return cast(Image, cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE))
