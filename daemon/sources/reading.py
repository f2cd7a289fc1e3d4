"""Packets of video into frames."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from daemon.errors import DamagedImage
from daemon.sources.base import Out
from daemon.sources.clock import MOST_REORDERED, USUAL_INTERVAL, BestEffort, Gone, InDecoder, Timeline
from daemon.sources.motion import HEIGHT, WIDTH, Gate, Grey
from daemon.sources.pace import KeyframeSpacing, Rate
from daemon.sources.planes import Decoded, Masks
from daemon.sources.settings import SourceSettings
from processors.types import Frame

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.video.stream import VideoStream

NO_TIMESTAMPS = 0x80  # libavformat/avformat.h, AVFMT_NOTIMESTAMPS
AT_ONCE = 0.01  # seconds; a packet that takes longer to read had to be waited for
MOST_AT_ONCE = 256  # packets

NOT_A_KEYFRAME = "not a keyframe"
FRAME_RATE = "frame rate"
NO_MOTION = "no motion"
NO_PICTURE = "no picture"


@dataclass(frozen=True, slots=True)
class Video:
    """A video that was opened."""

    container: "InputContainer"
    stream: "VideoStream"
    live: bool
    """Cannot wait, and its end is a disconnect."""
    jpegs: bool
    """Over HTTP: many that follow each other, or one."""

    @property
    def has_timestamps(self) -> bool:
        """False: FFmpeg makes them up, from a rate of its own."""
        made_up = self.container.format.flags & NO_TIMESTAMPS or self.container.format.name.endswith("_pipe")
        return not (made_up and (self.live or self.jpegs))

    @property
    def keeps_dts_alone(self) -> bool:
        """FFmpeg then takes the order of storage for that of presentation."""
        return self.container.format.name == "avi"

    @property
    def is_playlist(self) -> bool:
        """HLS: its packets come by segments."""
        return self.container.format.name == "hls"

    @property
    def interval(self) -> float:
        """Seconds between two frames, as far as the container knows."""
        rate = self.stream.average_rate or self.stream.guessed_rate
        return USUAL_INTERVAL if self.live or not rate else float(1 / rate)


def arrivals(packets: Iterator["av.Packet[Any]"], video: Video) -> Iterator[tuple["av.Packet[Any]", float]]:
    """A camera's packets and when they came, in seconds of Unix time.

    What FFmpeg read to learn of the streams comes at once: the latest of it came just now, and those before it as much
    earlier as they are stamped. The first packet that has to be waited for tells that it was all.
    """
    at_once: list[tuple[av.Packet[Any], float]] = []
    latest = time.time()
    try:
        for packet in packets:
            now = time.time()
            at_once.append((packet, now))
            if now - latest > AT_ONCE or len(at_once) == MOST_AT_ONCE:
                break
            latest = now
    finally:  # also what came before an error
        yield from _as_stamped(at_once, video)
    for packet in packets:
        yield packet, time.time()


def _as_stamped(read: list[tuple["av.Packet[Any]", float]], video: Video) -> list[tuple["av.Packet[Any]", float]]:
    """Each came before the next by what their timestamps differ, or earlier. FFmpeg often gives the first none: it
    came before the second as that before the third."""
    came = []
    later: tuple[float, float] | None = None  # its timestamp, and when it came
    gap = 0.0
    for packet, read_at in reversed(read):
        came_at = read_at
        if video.has_timestamps and packet.stream.index == video.stream.index:
            stamp = packet.pts if packet.dts is None else packet.dts
            seconds = float(stamp * packet.time_base) if stamp is not None else later[0] - gap if later else 0.0
            if later and 0 <= later[0] - seconds < MOST_REORDERED:
                gap = later[0] - seconds
                came_at = min(read_at, later[1] - gap)
            later = seconds, came_at
        came.append((packet, came_at))
    return came[::-1]


class Reading:
    """One run of a source: which packets are decoded, and which of their pictures become frames.

    A picture can only be left undecoded where no other needs it, so there are two ways:

    - A keyframe needs none. Where keyframes are all that is wanted (or all that there is, as in MJPEG, or come as often
      as the target rate wants frames), what is not wanted is never given to the decoder.
    - Otherwise all packets are given to it, in turn. Of those whose time cannot be wanted it discards what no other
      refers to (AVDISCARD_NONREF); the pictures it must make are skipped before they are converted.

    Each packet is counted once: as its frame, as skipped (where it made no picture too), or as damaged.
    """

    def __init__(self, video: Video, settings: SourceSettings, out: Out) -> None:
        self.packets = 0
        """That have been taken."""
        self.damaged = 0
        """Of them, since the last picture."""
        self._opened_at = time.monotonic()
        self.pictures = 0
        """That have been decoded."""
        self._out = out
        self._began = time.time()
        self._index = 0
        self._timeline = Timeline(video.interval)
        self._rate = None if settings.fps is None else Rate(settings.fps)
        self._keyframes_only = settings.keyframes_only
        self._keyframes = KeyframeSpacing()
        self._mounted = settings.mounted
        self._mask = Masks(settings.masks, settings.mounted) if settings.masks else None
        self._look = None if settings.motion is None else _Look(Gate(settings.motion))
        self._begin(video, live=video.live)

    def renew(self, video: Video, *, all_wanted: bool = False) -> None:
        """Goes on with what a camera sends now: its frames are numbered and timed on."""
        if all_wanted:
            self._rate = None
        self._begin(video, live=True)

    def _begin(self, video: Video, *, live: bool) -> None:
        self._live = live
        self._has_timestamps = video.has_timestamps
        self._keeps_dts_alone = video.keeps_dts_alone
        self._best_effort = BestEffort(dts=video.keeps_dts_alone)
        self._time_base = float(video.stream.time_base or 0)
        self._decoder = video.stream.codec_context
        self._intra_only = self._decoder.codec.intra_only
        self._in_decoder = InDecoder(self._time_base)
        self._keyframes_stand_alone = True
        self._keyframes_suffice = False
        self._undecodable_since: float | None = None

    @property
    def undecodable_s(self) -> float:
        """Seconds since when all packets have been damaged."""
        return 0.0 if self._undecodable_since is None else time.monotonic() - self._undecodable_since

    @property
    def waited_s(self) -> float:
        """Seconds without a first picture; 0 once it has come."""
        return 0.0 if self.pictures else time.monotonic() - self._opened_at

    def take(self, packet: "av.Packet[VideoStream]", came_at: float) -> None:
        """`came_at`: seconds of Unix time."""
        if packet.size == 0:  # PyAV's sign of the end
            return
        self.packets += 1
        if packet.is_keyframe:
            self._choose_way(packet, came_at)
        if self._keyframes_suffice or self._keyframes_only or self._intra_only:
            self._alone(packet, came_at)
        else:
            self._in_turn(packet, came_at)

    def end(self) -> None:
        """Shows what is left in the decoder, and counts what is not."""
        for picture in self._drained():
            self._hand_over(picture, time.time())
        self._count(self._in_decoder.clear())

    def _choose_way(self, packet: "av.Packet[VideoStream]", came_at: float) -> None:
        """At a keyframe: everything before it can be forgotten."""
        if self._rate is None:
            return
        stamp = self._seconds(packet.pts)
        if stamp is not None or self._live:
            self._keyframes.see(came_at if stamp is None else stamp)
        suffice = self._keyframes_stand_alone and self._keyframes.within(self._rate.period)
        if suffice and not self._keyframes_suffice:
            for picture in self._drained():
                self._hand_over(picture, came_at)
            self._count(self._in_decoder.clear())
            self._decoder.skip_frame = "DEFAULT"
        self._keyframes_suffice = suffice

    def _alone(self, packet: "av.Packet[VideoStream]", came_at: float) -> None:
        if not packet.is_keyframe and not self._intra_only:
            self._out.skip(NOT_A_KEYFRAME if self._keyframes_only else FRAME_RATE)
            return
        self._advance(packet.pts, packet.dts, came_at)
        if not self._is_due():
            self._out.skip(FRAME_RATE)
            return
        for picture in self._decoded_alone(packet):
            self._show(picture, came_at)

    def _in_turn(self, packet: "av.Packet[VideoStream]", came_at: float) -> None:
        discardable = self._rate is not None and self._may_discard(packet, self._rate)
        self._decoder.skip_frame = "NONREF" if discardable else "DEFAULT"
        self._count(self._in_decoder.put(packet.pts, came_at, discardable=discardable))
        for picture in self._decode(packet):
            self._hand_over(picture, came_at)

    def _may_discard(self, packet: "av.Packet[VideoStream]", rate: Rate) -> bool:
        stamp = self._seconds(packet.pts)
        if stamp is None or packet.is_keyframe or self._keeps_dts_alone:
            return False
        return rate.rules_out(self._timeline.at(stamp), self._timeline.interval)

    def _count(self, gone: Iterable[Gone]) -> None:
        for packet in gone:
            if packet.discarded:
                self._timeline.advance(self._seconds(packet.pts))
            self._out.skip(FRAME_RATE if packet.discarded else NO_PICTURE)

    def _hand_over(self, picture: "av.VideoFrame", now: float) -> None:
        """A picture that was decoded in its turn."""
        came_at = self._in_decoder.take(picture.pts) or now
        if picture.pts is not None:
            self._count(self._in_decoder.discarded_before(picture.pts))
        self._advance(picture.pts, picture.dts, came_at)
        if self._is_due():
            self._show(picture, came_at)
        else:
            self._out.skip(FRAME_RATE)

    def _advance(self, pts: int | None, dts: int | None, came_at: float) -> None:
        self._timeline.advance(self._seconds(self._best_effort(pts, dts)), came_at if self._live else None)

    def _seconds(self, stamp: int | None) -> float | None:
        return stamp * self._time_base if self._has_timestamps and stamp is not None else None

    def _is_due(self) -> bool:
        return self._rate is None or self._rate.wants(self._timeline.now, self._timeline.interval)

    def _show(self, picture: "av.VideoFrame", came_at: float) -> None:
        """A frame, unless nothing moves in it. What is below a mask ends here: before motion, slots and pictures."""
        if self._mask is not None:
            picture = self._mask(picture)
        if self._look is not None and self._look.is_still(picture, self._timeline.now):
            self._out.skip(NO_MOTION)
            return
        pts = self._timeline.origin + self._timeline.now
        decoded = Decoded(picture, self._mounted)
        width, height = decoded.displayed
        frame = Frame(
            decoded,
            width=width,
            height=height,
            index=self._index,
            pts=pts,
            captured_at=came_at if self._live else self._began + pts,
        )
        self._index += 1
        (self._out.offer if self._live else self._out.put)(frame)

    def _decode(self, packet: "av.Packet[VideoStream] | None") -> Sequence["av.VideoFrame"]:
        """The pictures that are complete after this packet; with None, all that are left."""
        import av

        try:
            pictures = self._decoder.decode(packet)
        except (av.InvalidDataError, av.PatchWelcomeError):
            if packet is not None:
                self._in_decoder.forget_last()
            self._fail()
            return ()
        self._undecodable_since = None
        self._note(pictures)
        return pictures

    def _note(self, pictures: Sequence["av.VideoFrame"]) -> None:
        self.pictures += len(pictures)
        if pictures:
            self.damaged = 0

    def _fail(self) -> None:
        self.damaged += 1
        self._undecodable_since = self._undecodable_since or time.monotonic()
        self._out.fail(DamagedImage("a packet cannot be decoded"))

    def _decoded_alone(self, packet: "av.Packet[VideoStream]") -> Sequence["av.VideoFrame"]:
        """Of a keyframe. A decoder that reorders would hold it back until it knows what follows."""
        import av

        try:
            pictures = self._decoder.decode(packet)
            if not self._intra_only:
                pictures += self._decoder.decode(None)
        except (av.InvalidDataError, av.PatchWelcomeError):
            pictures = []
        if not self._intra_only:
            self._decoder.flush_buffers()
        if pictures:
            self._undecodable_since = None
            self._note(pictures)
        else:
            self._keyframes_stand_alone = False  # where pictures are renewed bit by bit, what is marked as one is none
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
