"""Cameras and video files, read with FFmpeg through PyAV. The only module that knows `av`."""

import time
from functools import partial
from typing import TYPE_CHECKING, cast

import cv2

from daemon.errors import DamagedImage, SourceEnded, SourceError
from daemon.sources.base import Out
from daemon.sources.settings import SourceSettings
from daemon.sources.url import redacted, scheme_of
from processors.types import Frame, Image

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

RTSP = ("rtsp", "rtsps")
MICROSECONDS = 1_000_000
ANALYZE = "500000"  # microseconds; what FFmpeg looks at before the first frame, by default ten times as long
MOST_IN_DECODER = 64  # frames; H.264 and H.265 keep 16 at most
ROTATIONS = {
    90: cv2.ROTATE_90_COUNTERCLOCKWISE,
    -90: cv2.ROTATE_90_CLOCKWISE,
    180: cv2.ROTATE_180,
    -180: cv2.ROTATE_180,
}


class VideoReader:
    """A camera (rtsp, rtsps; http and https where they have no end) or a video file, local or over HTTP.

    A camera's frames are offered as they come, a file's are put as fast as they are taken. FFmpeg cannot be
    interrupted, so a stop takes up to `read_timeout` while a camera is silent.
    """

    def __init__(self, settings: SourceSettings) -> None:
        self._url = settings.source
        self._shown = redacted(settings.source)
        self._settings = settings

    def read(self, out: Out) -> None:
        import av

        try:
            with self._open() as container:
                self._read(container, out)
        except av.FFmpegError as err:
            # Not `from err`: FFmpeg puts the whole URL, password and all, into its error.
            raise SourceError(f"{self._shown}: {err.strerror}") from None

    def _open(self) -> "InputContainer":
        import av

        settings = self._settings
        options = {}
        if scheme_of(self._url) in RTSP:
            options = {"rtsp_transport": settings.transport, "fflags": "nobuffer", "analyzeduration": ANALYZE}
        if scheme_of(self._url):
            options["timeout"] = str(round(settings.read_timeout * MICROSECONDS))
        timeout = (settings.open_timeout, settings.read_timeout)
        return av.open(self._url, options=options | settings.ffmpeg_options, timeout=timeout)

    def _read(self, container: "InputContainer", out: Out) -> None:
        import av

        if not container.streams.video:
            raise SourceError(f"{self._shown}: expected a video, found none in it")
        stream = container.streams.video[0]
        stream.codec_context.thread_type = "NONE"  # cameras share the cores already
        live = self._is_live(container)
        began = time.time()
        index = 0
        captured_at: dict[int | None, float] = {}  # of packets whose frames are still in the decoder
        for packet in container.demux(stream):
            if out.stopped:
                return
            now = time.time()
            if len(captured_at) == MOST_IN_DECODER:
                captured_at.clear()  # their frames were lost
            captured_at[packet.pts] = now
            try:
                pictures = packet.decode()
            except av.InvalidDataError:
                out.fail(DamagedImage("a packet cannot be decoded"))
                continue
            for picture in pictures:
                frame = _frame(picture, index, began, captured_at.pop(picture.pts, now) if live else None)
                (out.offer if live else out.put)(frame)
                index += 1
        if live:
            raise SourceEnded(f"{self._shown}: the connection was closed")

    def _is_live(self, container: "InputContainer") -> bool:
        """Over HTTP a finite file has a duration or a size; MJPEG and live HLS have none, but a playlist has a size."""
        scheme = scheme_of(self._url)
        if scheme in RTSP:
            return True
        endless = container.duration is None and (container.size <= 0 or container.format.name == "hls")
        return scheme in ("http", "https") and endless


def _frame(picture: "av.VideoFrame", index: int, began: float, captured_at: float | None) -> Frame:
    pts = picture.time
    if pts is None:
        pts = (captured_at or began) - began
    turned = picture.rotation in (90, -90)
    return Frame(
        partial(_bgr, picture),
        width=picture.height if turned else picture.width,
        height=picture.width if turned else picture.height,
        index=index,
        pts=pts,
        captured_at=began + pts if captured_at is None else captured_at,
    )


def _bgr(picture: "av.VideoFrame") -> Image:
    """As displayed: a phone's videos are stored lying down with a rotation beside them."""
    # By default swscale starts and ends as many threads as there are cores, for each picture.
    image = cast(Image, picture.to_ndarray(format="bgr24", threads=1))
    rotation = ROTATIONS.get(picture.rotation)
    return image if rotation is None else cast(Image, cv2.rotate(image, rotation))
