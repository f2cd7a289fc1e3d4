"""Cameras and video files, read with FFmpeg through PyAV. Together with planes.py the only module that knows `av`."""

import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, cast

from daemon.errors import DamagedImage, SourceEnded, SourceError
from daemon.sources.base import Out
from daemon.sources.boundary import in_our_words
from daemon.sources.motion import HEIGHT, WIDTH, Gate, Grey
from daemon.sources.pace import KeyframeSpacing, Rate, Timeline
from daemon.sources.planes import Decoded
from daemon.sources.settings import SourceSettings
from daemon.sources.url import redacted, scheme_of
from processors.types import Frame

if TYPE_CHECKING:
    import av
    from av.codec.hwaccel import HWAccel
    from av.container import InputContainer
    from av.video.stream import VideoStream

RTSP = ("rtsp", "rtsps")
MICROSECONDS = 1_000_000
ANALYZE = "500000"  # microseconds; what FFmpeg looks at before the first frame, by default ten times as long
MOST_IN_DECODER = 64  # frames; H.264 and H.265 keep 16 at most
UNDECODABLE = 3  # read timeouts in which nothing can be decoded: another codec than was agreed on, most likely

NOT_A_KEYFRAME = "not a keyframe"
FRAME_RATE = "frame rate"
NO_MOTION = "no motion"


class VideoReader:
    """A camera (rtsp, rtsps; http and https where they have no end) or a video file, local or over HTTP.

    A camera's frames are offered as they come, a file's are put as fast as they are taken. FFmpeg cannot be
    interrupted, so a stop takes up to `read_timeout` while a camera is silent.
    """

    def __init__(self, settings: SourceSettings) -> None:
        self._url = settings.address
        self._shown = redacted(settings.source)
        self._settings = settings

    @in_our_words
    def read(self, out: Out) -> None:
        with self._open() as container:
            self._read(container, out)

    def _open(self) -> "InputContainer":
        import av

        settings = self._settings
        options = {}
        if scheme_of(self._url) in RTSP:
            options = {"rtsp_transport": settings.transport, "fflags": "nobuffer", "analyzeduration": ANALYZE}
        if scheme_of(self._url):
            options["timeout"] = str(round(settings.read_timeout * MICROSECONDS))
        timeout = (settings.open_timeout, settings.read_timeout)
        hardware = None if settings.hardware is None else _accelerator(settings.hardware)
        try:
            return av.open(
                self._url,
                options=options | settings.ffmpeg_options,
                timeout=timeout,
                hwaccel=hardware,
                metadata_errors="replace",  # a title in Latin-1, which nobody here reads
            )
        except RuntimeError as err:  # PyAV's, where none of the streams can be decoded so
            raise SourceError(f"{self._shown}: cannot be decoded on {settings.hardware}: {err}") from err

    def _read(self, container: "InputContainer", out: Out) -> None:
        if not container.streams.video:
            raise SourceError(f"{self._shown}: expected a video, found none in it")
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise SourceError(f"{self._shown}: expected a video that this FFmpeg decodes, got one of a codec it lacks")
        if self._settings.hardware and not stream.codec_context.is_hwaccel:
            raise SourceError(f"{self._shown}: {stream.codec.name} cannot be decoded on {self._settings.hardware}")
        stream.codec_context.thread_type = "NONE"  # cameras share the cores already
        out.opened(stream.codec.canonical_name)
        live = self._is_live(container)
        reading = _Reading(stream, self._settings, out, live)
        for packet in container.demux(stream):
            if out.stopped:
                return
            reading.take(packet)
            if live and reading.undecodable_s > UNDECODABLE * self._settings.read_timeout:
                raise SourceError(f"{self._shown}: {stream.codec.name} video that cannot be decoded")
        if live:
            raise SourceEnded(f"{self._shown}: the connection was closed")

    def _is_live(self, container: "InputContainer") -> bool:
        """Over HTTP a finite file has a duration or a size; MJPEG and live HLS have none, but a playlist has a size."""
        scheme = scheme_of(self._url)
        if scheme in RTSP:
            return True
        endless = container.duration is None and ((container.size or 0) <= 0 or container.format.name == "hls")
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


class _Reading:
    """One run of a source: which packets are decoded, and which of their pictures become frames.

    A picture can only be left undecoded where no other needs it, so there are two ways:

    - A keyframe needs none. Where keyframes are all that is wanted (or all that there is, as in MJPEG, or come as often
      as the target rate wants frames), what is not wanted is never given to the decoder.
    - Otherwise all packets are given to it, in turn. Of those whose time cannot be wanted it discards what no other
      refers to (AVDISCARD_NONREF); the pictures it must make are skipped before they are converted.
    """

    def __init__(self, stream: "VideoStream", settings: SourceSettings, out: Out, live: bool) -> None:
        self._time_base = float(stream.time_base or 0)
        self._decoder = stream.codec_context
        self._out = out
        self._live = live
        self._began = time.time()
        self._index = 0
        self._captured_at: dict[int | None, float] = {}  # of packets whose pictures are still in the decoder
        self._discardable: set[int] = set()  # pts of those that may never come out
        self._timeline = Timeline()
        self._rate = None if settings.fps is None else Rate(settings.fps)
        self._intra_only = self._decoder.codec.intra_only
        self._keyframes_only = settings.keyframes_only
        self._keyframes = KeyframeSpacing()
        self._keyframes_suffice = False
        self._look = None if settings.motion is None else _Look(Gate(settings.motion))
        self._undecodable_since: float | None = None

    @property
    def undecodable_s(self) -> float:
        """Seconds since when all packets have been damaged."""
        return 0.0 if self._undecodable_since is None else time.monotonic() - self._undecodable_since

    def take(self, packet: "av.Packet[VideoStream]") -> None:
        arrived_at = time.time()
        if packet.size == 0:  # the end
            self._in_turn(packet, arrived_at)
            self._settle(lambda _: True)
            return
        if packet.is_keyframe:
            self._choose_way(packet, arrived_at)
        if self._keyframes_suffice or self._keyframes_only or self._intra_only:
            self._alone(packet, arrived_at)
        else:
            self._in_turn(packet, arrived_at)

    def _choose_way(self, packet: "av.Packet[VideoStream]", arrived_at: float) -> None:
        """At a keyframe: everything before it can be forgotten."""
        if self._rate is None:
            return
        self._keyframes.see(self._seconds(packet.pts, arrived_at))
        suffice = self._keyframes.within(self._rate.period)
        if suffice and not self._keyframes_suffice:
            for picture in self._drained():
                self._hand_over(picture, arrived_at)
            self._settle(lambda _: True)
            self._decoder.skip_frame = "DEFAULT"
        self._keyframes_suffice = suffice

    def _alone(self, packet: "av.Packet[VideoStream]", arrived_at: float) -> None:
        if not packet.is_keyframe and not self._intra_only:
            self._out.skip(NOT_A_KEYFRAME if self._keyframes_only else FRAME_RATE)
            return
        self._timeline.advance(self._seconds(packet.pts, arrived_at))
        if not self._is_due():
            self._out.skip(FRAME_RATE)
            return
        for picture in self._decoded_alone(packet):
            self._show(picture, arrived_at)

    def _in_turn(self, packet: "av.Packet[VideoStream]", arrived_at: float) -> None:
        if len(self._captured_at) == MOST_IN_DECODER:
            self._settle(lambda _: True)
            self._captured_at.clear()  # their frames were lost
        self._captured_at[packet.pts] = arrived_at
        if self._rate is not None:
            self._decoder.skip_frame = "NONREF" if self._may_discard(packet, self._rate) else "DEFAULT"
        for picture in self._decode(packet):
            self._hand_over(picture, arrived_at)

    def _may_discard(self, packet: "av.Packet[VideoStream]", rate: Rate) -> bool:
        if packet.pts is None or packet.is_keyframe:
            return False
        later = self._timeline.at(packet.pts * self._time_base)
        if not rate.rules_out(later, self._timeline.interval):
            return False
        self._discardable.add(packet.pts)
        return True

    def _settle(self, is_gone: Callable[[int], bool]) -> None:
        """Counts what the decoder has discarded: it has given out what is shown after it."""
        for pts in sorted(filter(is_gone, self._discardable)):
            self._discardable.remove(pts)
            self._captured_at.pop(pts, None)
            self._timeline.advance(pts * self._time_base)
            self._out.skip(FRAME_RATE)

    def _hand_over(self, picture: "av.VideoFrame", now: float) -> None:
        """A picture that was decoded in its turn."""
        pts = picture.pts
        captured_at = self._captured_at.pop(pts, now)
        if pts is not None:
            self._discardable.discard(pts)
            self._settle(pts.__gt__)
        self._timeline.advance(self._seconds(pts, captured_at))
        if self._is_due():
            self._show(picture, captured_at)
        else:
            self._out.skip(FRAME_RATE)

    def _is_due(self) -> bool:
        return self._rate is None or self._rate.wants(self._timeline.now, self._timeline.interval)

    def _show(self, picture: "av.VideoFrame", captured_at: float) -> None:
        """A frame, unless nothing moves in it."""
        if self._look is not None and self._look.is_still(picture, self._timeline.now):
            self._out.skip(NO_MOTION)
            return
        pts = self._seconds(picture.pts, captured_at)
        turned = picture.rotation in (90, -90)
        frame = Frame(
            Decoded(picture),
            width=picture.height if turned else picture.width,
            height=picture.width if turned else picture.height,
            index=self._index,
            pts=pts,
            captured_at=captured_at if self._live else self._began + pts,
        )
        self._index += 1
        (self._out.offer if self._live else self._out.put)(frame)

    def _seconds(self, pts: int | None, arrived_at: float) -> float:
        """Without a timestamp the time of arrival, which for a file says nothing."""
        if pts is not None:
            return pts * self._time_base
        return arrived_at - self._began if self._live else 0.0

    def _decode(self, packet: "av.Packet[VideoStream] | None") -> Sequence["av.VideoFrame"]:
        """The pictures that are complete after this packet; with None, all that are left."""
        import av

        try:
            pictures = self._decoder.decode(packet)
        except av.InvalidDataError:
            if packet is not None and packet.pts is not None:
                self._captured_at.pop(packet.pts, None)
                self._discardable.discard(packet.pts)
            self._fail()
            return ()
        self._undecodable_since = None
        return pictures

    def _fail(self) -> None:
        self._undecodable_since = self._undecodable_since or time.monotonic()
        self._out.fail(DamagedImage("a packet cannot be decoded"))

    def _decoded_alone(self, packet: "av.Packet[VideoStream]") -> Sequence["av.VideoFrame"]:
        """Of a keyframe. A decoder that reorders would hold it back until it knows what follows."""
        import av

        try:
            pictures = self._decoder.decode(packet)
            if not self._intra_only:
                pictures += self._decoder.decode(None)
        except av.InvalidDataError:
            pictures = []
        if not self._intra_only:
            self._decoder.flush_buffers()
        if pictures:
            self._undecodable_since = None
        else:
            self._fail()
        return pictures

    def _drained(self) -> Sequence["av.VideoFrame"]:
        """The pictures that are left in the decoder, which then begins anew."""
        pictures = self._decode(None)
        self._decoder.flush_buffers()
        return pictures


class _Look:
    """The motion gate's view of a picture: its luma, shrunk."""

    def __init__(self, gate: Gate) -> None:
        from av.video.reformatter import VideoReformatter

        self._gate = gate
        self._shrink = VideoReformatter().reformat

    def is_still(self, picture: "av.VideoFrame", now: float) -> bool:
        # The cheapest way that takes more than a point of each cell: two columns, and all of its rows.
        small = self._shrink(picture, WIDTH, HEIGHT, "gray", interpolation="FAST_BILINEAR", threads=1)
        return self._gate.is_still(cast(Grey, small.to_ndarray()), now)
