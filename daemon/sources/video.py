"""Cameras and video files, read with FFmpeg through PyAV. Together with reading.py and planes.py the only module that
knows `av`."""

import time
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from daemon.errors import SourceEnded, SourceError
from daemon.sources.base import WAITING_FOR_KEYFRAME, Out
from daemon.sources.reading import Reading, Stamps, arrivals
from daemon.sources.settings import SourceSettings
from daemon.sources.url import redacted, scheme_of

if TYPE_CHECKING:
    import av
    from av.codec.hwaccel import HWAccel
    from av.container import InputContainer
    from av.video.stream import VideoStream

RTSP = ("rtsp", "rtsps")
MICROSECONDS = 1_000_000
ANALYZE = "500000"  # microseconds; what FFmpeg looks at before the first frame, by default ten times as long
USUAL_WAIT = 1.0  # seconds; a decoder may keep some pictures
UNDECODABLE = 3  # read timeouts in which nothing can be decoded: another codec than was agreed on, most likely


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
            # Video alone: a camera may refuse its sound, and what is not asked for needs no network.
            options = {"rtsp_transport": settings.transport, "allowed_media_types": "video", "analyzeduration": ANALYZE}
        if scheme_of(self._url):
            options["timeout"] = str(round(settings.read_timeout * MICROSECONDS))
        timeout = (settings.open_timeout, settings.read_timeout)
        hardware = None if settings.hardware is None else _accelerator(settings.hardware)
        try:
            return av.open(self._url, options=options | settings.ffmpeg_options, timeout=timeout, hwaccel=hardware)
        except RuntimeError as err:  # PyAV's, where none of the streams can be decoded so
            raise SourceError(f"{self._shown}: cannot be decoded on {settings.hardware}: {err}") from err

    def _read(self, container: "InputContainer", out: Out) -> None:
        import av

        if not container.streams.video:
            raise SourceError(f"{self._shown}: expected a video, found none in it")
        stream = container.streams.video[0]
        if self._settings.hardware and not stream.codec_context.is_hwaccel:
            raise SourceError(f"{self._shown}: {stream.codec.name} cannot be decoded on {self._settings.hardware}")
        stream.codec_context.thread_type = "NONE"  # cameras share the cores already
        out.opened(stream.codec.canonical_name)
        live = self._is_live(container)
        stamps = Stamps.of(container)
        reading = Reading(stream, self._settings, out, stamps, live=live)
        demuxed = container.demux()  # all streams: a stop is heeded, and missing video seen, while only sound comes
        timed = arrivals(demuxed, stream, stamps) if live else ((packet, 0.0) for packet in demuxed)
        try:
            for packet, came_at in self._of_video(timed, stream, out, live=live):
                reading.take(packet, came_at)
                if live:
                    self._expect_pictures(reading, stream, out)
        except (av.FFmpegError, SourceError):
            reading.end()
            raise
        if out.stopped:
            return  # what is in the decoder has not been received
        reading.end()
        if live:
            raise SourceEnded(f"{self._shown}: the connection was closed")

    def _of_video(
        self, packets: Iterator[tuple["av.Packet[Any]", float]], stream: "VideoStream", out: Out, *, live: bool
    ) -> Iterator[tuple["av.Packet[VideoStream]", float]]:
        """Until a stop; raises SourceError where none comes among the others for `read_timeout`."""
        latest = time.monotonic()
        for packet, came_at in packets:
            if out.stopped:
                return
            if packet.stream.index == stream.index:
                latest = time.monotonic()
                yield packet, came_at
            elif live and time.monotonic() - latest > self._settings.read_timeout:
                raise SourceError(f"{self._shown}: only other streams in {self._settings.read_timeout:g} s, no video")

    def _expect_pictures(self, reading: Reading, stream: "VideoStream", out: Out) -> None:
        settings = self._settings
        if reading.undecodable_s > UNDECODABLE * settings.read_timeout:
            raise SourceError(f"{self._shown}: {stream.codec.name} video that cannot be decoded")
        if reading.waited_s > settings.first_picture_timeout:
            raise SourceError(
                f"{self._shown}: no picture in {settings.first_picture_timeout:g} s of video, as no keyframe came: let "
                "the camera send one more often (its I-frame interval), or set a longer first_picture_timeout"
            )
        out.waits(WAITING_FOR_KEYFRAME if reading.waited_s > USUAL_WAIT else None)

    def _is_live(self, container: "InputContainer") -> bool:
        """Over HTTP a finite file has a duration or a size; MJPEG and live HLS have none, but a playlist has a size."""
        scheme = scheme_of(self._url)
        if scheme in RTSP:
            return True
        sized = container.size is not None and container.size > 0  # PyAV 18 says -1 where 19 says None
        endless = container.duration is None and (not sized or container.format.name == "hls")
        return scheme in ("http", "https") and endless


@cache
def expect_device(name: str) -> None:
    """Raises SourceError where there is no such device; asked once, as the drivers take their time."""
    import av
    from av.codec.hwaccel import HWAccel, hwdevices_available

    if name not in hwdevices_available():
        known = ", ".join(hwdevices_available())
        raise SourceError(f"expected hardware that this FFmpeg knows ({known}), got {name}")
    try:
        HWAccel(name).create(av.Codec("h264", "r"))
    except (av.FFmpegError, NotImplementedError) as err:
        raise SourceError(f"expected hardware of the type {name}, found none that decodes: {err}") from err


def _accelerator(name: str) -> "HWAccel":
    from av.codec.hwaccel import HWAccel

    expect_device(name)
    return HWAccel(name, allow_software_fallback=False)
