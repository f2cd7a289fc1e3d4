"""Opening a camera or a video file with FFmpeg, and what keeps it from being opened in an installer's words.

Together with video.py, reading.py and planes.py the only module that knows `av`.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.errors import AddressRefused, CredentialsRefused, SourceEnded, SourceError
from daemon.sources.playlist import Playlist, variant
from daemon.sources.reading import Video
from daemon.sources.settings import SourceSettings
from daemon.sources.site import UNSUPPORTED_DIGEST, Site, has_credentials
from daemon.sources.url import misread, redacted, scheme_of

if TYPE_CHECKING:
    import av
    from av.codec.hwaccel import HWAccel
    from av.container import InputContainer
    from av.video.stream import VideoStream

RTSP = ("rtsp", "rtsps")
HTTP = ("http", "https")
MICROSECONDS = 1_000_000
ANALYZE = "500000"  # microseconds; what FFmpeg looks at before the first frame, by default ten times as long
JPEGS = {"analyzeduration": "1", "fpsprobesize": "0"}  # a first picture says it all, and has no timestamp
JPEG = b"\xff\xd8\xff"
BEGINNING = {"analyzeduration": "0", "probesize": "32"}  # the least
PART = b"--"  # what a multipart body begins with
MOST_HEAD = 512  # bytes
MOST_PLAYLIST = 4 * 1024 * 1024  # bytes
PROTOCOL_NOT_SUPPORTED = 93  # errno.EPROTONOSUPPORT: RTSP's 461 Unsupported Transport
PLAYLIST = b"#EXTM3U"
PAGE = (b"<!doctype html", b"<html")


def open_video(settings: SourceSettings, like: Video | None = None) -> Video:
    """Raises SourceError in an installer's words, with FFmpeg's behind them where it was FFmpeg that found out, and
    without credentials.

    `like`: what was found at the same URL before.
    """
    import av

    began = time.monotonic()
    try:
        return _opened(settings, like)
    except av.FFmpegError as err:
        # Not `from err`: FFmpeg puts the whole URL, password and all, into its error.
        raise _explained(err, settings, time.monotonic() - began) from None


def open_playlist(settings: SourceSettings, now: Playlist, skip: int) -> Video:
    """As a camera, from its segment `skip` on."""
    import av

    # Of a playlist that has ended FFmpeg begins with the first segment, whatever it is told.
    options = {"analyzeduration": ANALYZE} | ({} if now.ended else {"live_start_index": str(skip)})
    again = settings.model_copy(update={"ffmpeg_options": settings.ffmpeg_options | options})
    video = open_video(again)
    if now.ended and skip:
        try:
            video.container.seek(round(sum(now.durations[:skip]) * MICROSECONDS))
        except av.FFmpegError as err:
            raise lost(err, video, settings) from None
    return replace(video, live=True)


def read_playlist(settings: SourceSettings) -> Playlist:
    """What the playlist says now. Raises SourceError."""
    import av

    url, shown = settings.address, redacted(settings.source)
    try:
        text = _text(settings, url)
        if (address := variant(text, url)) is not None:
            text = _text(settings, address)
        return Playlist.parse(text)
    except av.FFmpegError as err:
        raise SourceError(f"{shown}: {err.strerror}") from None
    except ValueError as err:
        raise SourceError(f"{shown}: {err}") from None


def _text(settings: SourceSettings, url: str) -> str:
    text = b""
    for piece in _bytes(settings, url):
        text += piece
        if len(text) > MOST_PLAYLIST:
            raise ValueError(f"expected a playlist of at most {MOST_PLAYLIST} bytes")
    return text.decode(errors="replace")


def _bytes(settings: SourceSettings, url: str) -> Iterator[bytes]:
    """What a server sends, in pieces; by FFmpeg, which knows how to log in."""
    import av

    came = False
    timeout = (settings.open_timeout, settings.open_timeout)
    try:
        with av.open(url, format="data", options=_options(settings), timeout=timeout) as container:
            for packet in container.demux():
                came = True
                yield bytes(packet)
    except av.FFmpegError:
        if not came:  # the end of a body without a length is an error in FFmpeg 9
            raise


def lost(err: "av.FFmpegError", video: Video, settings: SourceSettings) -> SourceError:
    """What ended the reading of a video that had been opened."""
    import av

    shown = redacted(settings.source)
    if not video.live:
        return SourceError(f"{shown}: {err.strerror}")
    if isinstance(err, av.ExitError | av.TimeoutError):
        return SourceError(f"{shown}: no video for {settings.read_timeout:g} s (read_timeout)")
    return SourceEnded(f"{shown}: the connection was closed; FFmpeg: {err.strerror}")


def _opened(settings: SourceSettings, like: Video | None) -> Video:
    if like is None:
        _expect_no_redirect(settings, RTSP)
        body = _body(settings) if scheme_of(settings.source) in HTTP else b""
        jpegs, parts = JPEG in body, b"image/jpeg" in body.lower() and body.startswith(PART)
    else:
        jpegs, parts = like.jpegs, like.container.format.name == "mpjpeg"
    # FFmpeg's own demuxer of parts wants each to say that it is image/jpeg.
    container = _container(settings, "mjpeg" if jpegs and not parts else None, JPEGS if jpegs else {})
    video = _video(container, settings, jpegs)
    may_change = container.format.name == "mpegts" and Path(settings.source).is_file()
    return _as_it_begins(video, settings) if may_change else video


def _as_it_begins(video: Video, settings: SourceSettings) -> Video:
    """With the codec of its first packets: where that changes within what FFmpeg looks at, it takes the last one."""
    import av

    try:
        beginning = _video(_container(settings, None, BEGINNING), settings, jpegs=False)
    except (SourceError, av.FFmpegError):
        return video
    if beginning.stream.codec.name == video.stream.codec.name:
        video, beginning = beginning, video
    video.container.close()
    return beginning


def _video(container: "InputContainer", settings: SourceSettings, jpegs: bool) -> Video:
    """Closes the container where it has none."""
    try:
        stream = _stream(container, settings)
        return Video(container, stream, live=_is_live(container, settings), jpegs=jpegs)
    except BaseException:
        container.close()
        raise


def _body(settings: SourceSettings) -> bytes:
    """What an HTTP server's answer begins with. Raises SourceError for a web page."""
    head = b""
    for piece in _bytes(settings, settings.address):
        head += piece
        if len(head) >= MOST_HEAD or not head.startswith(PART):
            break
    _expect_format(settings, head)
    if head.lstrip().lower().startswith(PAGE):
        raise SourceError(
            f"{redacted(settings.source)}: a web page, no video: look in the camera's manual for the path of its "
            "video, and whether it wants a user and a password"
        )
    return head


def _expect_no_redirect(settings: SourceSettings, schemes: tuple[str, ...]) -> None:
    """Where none may be followed. Of RTSP's FFmpeg cannot be kept: we ask first, and a camera may lie to us."""
    if settings.ffmpeg_options.get("max_redirects") != "0" or scheme_of(settings.source) not in schemes:
        return
    if reason := Site(settings.address).redirect(settings.open_timeout):
        raise AddressRefused(f"{redacted(settings.source)}: {reason}")


def _expect_format(settings: SourceSettings, head: bytes) -> None:
    formats = settings.ffmpeg_options.get("format_whitelist")
    if formats is not None and "hls" not in formats.split(",") and head.lstrip().startswith(PLAYLIST):
        raise AddressRefused(
            f"{redacted(settings.source)}: a playlist (HLS), which streams that are added at run time may not be: what "
            "it names is not judged (http.run_time.hls)"
        )


def _container(settings: SourceSettings, format_name: str | None, options: dict[str, str]) -> "InputContainer":
    import av

    timeout = (settings.open_timeout, settings.read_timeout)
    hardware = None if settings.hardware is None else _accelerator(settings.hardware)
    try:
        options = options | _options(settings)
        container: InputContainer = av.open(
            settings.address,
            format=format_name,
            options=options,
            timeout=timeout,
            hwaccel=hardware,
            **_lenient(),
        )
        return container
    except RuntimeError as err:  # PyAV's, where none of the streams can be decoded so
        shown = redacted(settings.source)
        raise SourceError(f"{shown}: cannot be decoded on {settings.hardware}: {err}") from err


def _lenient() -> dict[str, Any]:
    """Takes a title in Latin-1, which nobody here reads; PyAV 19 has no such argument any more."""
    import av

    return {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}


def _options(settings: SourceSettings) -> dict[str, str]:
    options = {}
    if scheme_of(settings.source) in RTSP:
        # Video alone: a camera may refuse its sound, and what is not asked for needs no network.
        options = {"rtsp_transport": settings.transport, "allowed_media_types": "video", "analyzeduration": ANALYZE}
    if scheme_of(settings.source):
        # PyAV sees to both timeouts; FFmpeg's own one, of a single read, must not come before either.
        options["timeout"] = str(round(max(settings.open_timeout, settings.read_timeout) * MICROSECONDS))
    return options | settings.ffmpeg_options


def _stream(container: "InputContainer", settings: SourceSettings) -> "VideoStream":
    """The video: not the picture of a cover, and of several the one that is marked as the default."""
    shown = redacted(settings.source)
    videos = [stream for stream in container.streams.video if not _is_cover(stream)]
    if not videos:
        cover = ", but a cover picture" if container.streams.video else ""
        raise SourceError(f"{shown}: expected a video, found none in it{cover}")
    stream = next((stream for stream in videos if "default" in _disposition(stream)), videos[0])
    if stream.codec_context is None:
        raise SourceError(f"{shown}: its video's codec cannot be decoded by this FFmpeg: let the camera send H.264")
    if settings.hardware and not stream.codec_context.is_hwaccel:
        raise SourceError(f"{shown}: {stream.codec.name} cannot be decoded on {settings.hardware}")
    stream.codec_context.thread_type = "NONE"  # cameras share the cores already
    return stream


def _is_cover(stream: "VideoStream") -> bool:
    return bool({"attached_pic", "timed_thumbnails"} & _disposition(stream))


def _disposition(stream: "VideoStream") -> set[str]:
    return {flag.name for flag in stream.disposition if flag.name}


def _is_live(container: "InputContainer", settings: SourceSettings) -> bool:
    """Over HTTP a finite file has a duration or a size; MJPEG and live HLS have none, but a playlist has a size."""
    scheme = scheme_of(settings.source)
    if scheme in RTSP:
        return True
    sized = container.size is not None and container.size > 0  # PyAV 18 has a number below 0 where 19 has None
    endless = container.duration is None and (not sized or container.format.name == "hls")
    return scheme in HTTP and endless


def _explained(err: "av.FFmpegError", settings: SourceSettings, seconds: float) -> SourceError:
    import av

    shown, scheme = redacted(settings.source), scheme_of(settings.source)
    said = f"FFmpeg: {err.strerror}"
    if not scheme:
        return SourceError(misread(settings.source) or f"{shown}: {err.strerror}")
    try:
        _expect_no_redirect(settings, HTTP)
    except AddressRefused as refused:
        return refused
    site = Site(settings.address)
    if isinstance(err, av.HTTPUnauthorizedError):
        return CredentialsRefused(f"{shown}: {_refusal(site, settings.address)}; {said}")
    if isinstance(err, av.HTTPForbiddenError):
        return CredentialsRefused(f"{shown}: this user may not see it: give it the right to view live video; {said}")
    if isinstance(err, av.HTTPNotFoundError):
        return SourceError(f"{shown}: no such path on the camera: look for it in the camera's manual; {said}")
    if err.errno == PROTOCOL_NOT_SUPPORTED and scheme in RTSP:
        transport, other = ("tcp", "udp") if settings.transport == "tcp" else ("udp", "tcp")
        return SourceError(f"{shown}: the camera does not send by {transport}: set `transport: {other}`; {said}")
    if isinstance(err, av.HTTPClientError) and scheme in RTSP:
        return SourceError(f"{shown}: the camera offers no video at this path, or refuses it; {said}")
    if reason := site.trouble(settings.open_timeout, waited_s=seconds):
        return SourceError(f"{shown}: {reason}")  # FFmpeg's words beside it lead elsewhere
    return SourceError(f"{shown}: {said}")


def _refusal(site: Site, url: str) -> str:
    if site.wants_unsupported_digest():
        return f"the camera logs in by {UNSUPPORTED_DIGEST} alone, which FFmpeg lacks: allow Digest with MD5 on it"
    if not has_credentials(url):
        return "the camera wants a user and a password: put them into the URL, as in rtsp://user:password@host/path"
    return "wrong user or password: mend them before the camera locks the account"


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
