"""Cameras and video files, read with FFmpeg through PyAV."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from daemon.errors import SourceEnded, SourceError, SourceSpent
from daemon.sources.base import ENDED_WAITING, WAITING_FOR_KEYFRAME, Out
from daemon.sources.boundary import in_our_words
from daemon.sources.open import lost, open_playlist, open_video, read_playlist
from daemon.sources.reading import Reading, Video, arrivals
from daemon.sources.settings import SourceSettings
from daemon.sources.url import redacted, scheme_of

if TYPE_CHECKING:
    import av

USUAL_WAIT = 1.0  # seconds; a decoder may keep some pictures
UNDECODABLE = 3  # read timeouts in which nothing can be decoded: another codec than was agreed on, most likely
FIRST_POLL, LONGEST_POLL = 0.5, 30.0  # seconds, of a playlist that has ended; as of a camera that is away
ANOTHER_CODEC = 8  # packets at a file's end; fewer are a file that was cut
SNAPSHOT_INTERVAL = 1.0  # seconds, where there is no target rate
MOST_LATE = 0.5  # seconds that a segment may come too late, and be played faster for it; then the pace begins anew
MOST_EARLY = 5.0  # seconds between two packets; more is a leap of the timestamps
STOP_INTERVAL = 0.1  # seconds


class VideoReader:
    """A camera (rtsp, rtsps; http and https where they have no end) or a video file, local or over HTTP.

    A camera's frames are offered as they come, a file's are put as fast as they are taken. FFmpeg cannot be
    interrupted, so a stop takes up to `read_timeout` while a camera is silent.
    """

    def __init__(self, settings: SourceSettings) -> None:
        self._shown = redacted(settings.source)
        self._settings = settings
        self._was_live = False

    @in_our_words
    def read(self, out: Out) -> None:
        video = open_video(self._settings)
        reading = Reading(video, self._settings, out)
        out.opened(video.stream.codec.canonical_name)
        if video.is_playlist and self._was_live and not video.live:  # it ended while we were away
            video.container.close()
            self._await_segments(reading, out)
            return
        self._was_live = video.live
        self._read(video, reading, out)
        if out.stopped:
            return
        if video.is_playlist and video.live:
            self._await_segments(reading, out)
        elif video.jpegs and reading.packets == 1:
            self._poll(video, reading, out)
        elif video.live:
            raise SourceEnded(f"{self._shown}: the connection was closed")

    def _read(self, video: Video, reading: Reading, out: Out) -> None:
        """To its end, or a stop. Raises SourceError."""
        import av

        demuxed = video.container.demux()  # all streams: while only sound comes a stop is heeded, missing video seen
        if not video.live:
            timed: Iterable[tuple[av.Packet[Any], float]] = ((packet, 0.0) for packet in demuxed)
        elif video.is_playlist:
            timed = paced(demuxed, video, out)
        else:
            timed = arrivals(demuxed, video)
        with video.container:
            try:
                for packet, came_at in self._of_video(timed, video, out):
                    reading.take(packet, came_at)
                    if video.live:
                        self._expect_pictures(reading, video, out)
            except SourceError:
                reading.end()
                raise
            except av.FFmpegError as err:
                reading.end()
                error = lost(err, video, self._settings)
                if isinstance(error, SourceEnded):
                    return
                raise (error if video.live else self._kind(reading)(str(error))) from None
            if not out.stopped:  # what is in the decoder then has not been received
                damaged = reading.damaged
                reading.end()
                if damaged >= ANOTHER_CODEC and not video.live:
                    raise self._kind(reading)(
                        f"{self._shown}: its last {damaged} packets cannot be decoded as {video.stream.codec.name}: it "
                        "is damaged, or its codec changes, and each part then needs a file of its own"
                    )

    def _kind(self, reading: Reading) -> type[SourceError]:
        """Of an error in the middle of what has an end: over a network it may pass."""
        return SourceError if scheme_of(self._settings.source) or not reading.pictures else SourceSpent

    def _of_video(
        self, packets: Iterable[tuple["av.Packet[Any]", float]], video: Video, out: Out
    ) -> Iterator[tuple["av.Packet[Any]", float]]:
        """Until a stop; raises SourceError where none comes among the others for `read_timeout`."""
        latest = time.monotonic()
        for packet, came_at in packets:
            if out.stopped:
                return
            if packet.stream.index == video.stream.index:
                latest = time.monotonic()
                yield packet, came_at
            elif video.live and time.monotonic() - latest > self._settings.read_timeout:
                raise SourceError(f"{self._shown}: only other streams in {self._settings.read_timeout:g} s, no video")

    def _expect_pictures(self, reading: Reading, video: Video, out: Out) -> None:
        settings = self._settings
        if reading.undecodable_s > UNDECODABLE * settings.read_timeout:
            raise SourceError(f"{self._shown}: {video.stream.codec.name} video that cannot be decoded")
        if reading.waited_s > settings.first_picture_timeout:
            raise SourceError(
                f"{self._shown}: no picture in {settings.first_picture_timeout:g} s of video, as no keyframe came: let "
                "the camera send one more often (its I-frame interval), or set a longer first_picture_timeout"
            )
        out.waits(WAITING_FOR_KEYFRAME if reading.waited_s > USUAL_WAIT else None)

    def _await_segments(self, reading: Reading, out: Out) -> None:
        """Goes on, until a stop, when a live playlist that has ended does. Raises SourceEnded where it has not."""
        played = read_playlist(self._settings)
        if not played.ended:
            raise SourceEnded(f"{self._shown}: the connection was closed")
        out.waits(ENDED_WAITING)
        delay = FIRST_POLL
        while sleep_until(time.monotonic() + delay, out):
            delay = min(2 * delay, LONGEST_POLL)
            try:
                now = read_playlist(self._settings)
            except SourceError:  # as it may while an encoder begins anew
                continue
            skip = now.played_already(played)
            if skip is None:
                continue
            video = open_playlist(self._settings, now, skip)
            reading.renew(video)
            self._read(video, reading, out)
            if out.stopped:
                return
            played, delay = read_playlist(self._settings), FIRST_POLL
            out.waits(ENDED_WAITING)

    def _poll(self, snapshot: Video, reading: Reading, out: Out) -> None:
        """Asks for a snapshot again and again, until a stop."""
        interval = SNAPSHOT_INTERVAL if self._settings.fps is None else 1 / self._settings.fps
        due = time.monotonic() + interval
        while sleep_until(due, out):
            due = max(due + interval, time.monotonic())
            again = replace(open_video(self._settings, like=snapshot), live=True)
            reading.renew(again, all_wanted=True)
            self._read(again, reading, out)


def sleep_until(due: float, out: Out) -> bool:
    """False at a stop. `due`: of time.monotonic()."""
    while (left := due - time.monotonic()) > 0 and not out.stopped:
        time.sleep(min(left, STOP_INTERVAL))
    return not out.stopped


def paced(packets: Iterable["av.Packet[Any]"], video: Video, out: Out) -> Iterator[tuple["av.Packet[Any]", float]]:
    """The packets of segments at the pace of their timestamps, and the time."""
    start: float | None = None  # of time.monotonic(), at timestamp 0
    for packet in packets:
        stamp = packet.pts if packet.dts is None else packet.dts
        if packet.stream.index == video.stream.index and stamp is not None and packet.time_base:
            seconds = float(stamp * packet.time_base)
            now = time.monotonic()
            if start is None or not -MOST_LATE < start + seconds - now < MOST_EARLY:
                start = now - seconds
            if not sleep_until(start + seconds, out):
                return
        yield packet, time.time()
