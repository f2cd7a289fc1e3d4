"""Settings of a stream's source."""

import difflib
from itertools import combinations
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from configs.section import Section
from daemon.sources.planes import Mounted
from daemon.sources.url import with_login

# fmt: off
USUAL_OPTIONS = (
    # of the demuxers
    "allowed_media_types", "analyzeduration", "fflags", "formatprobesize", "fpsprobesize", "framerate", "http_seekable",
    "initial_pause", "live_start_index", "localaddr", "max_delay", "max_port", "max_reload", "min_port", "pkt_size",
    "probesize", "reorder_queue_size", "rtsp_flags", "rtsp_transport", "seg_max_retry", "use_wallclock_as_timestamps",
    # of the protocols
    "auth_type", "buffer_size", "ca_file", "cafile", "cert_file", "cookies", "fifo_size", "headers", "http_persistent",
    "http_proxy", "icy", "key_file", "listen_timeout", "location", "max_redirects", "multiple_requests", "offset",
    "overrun_nonfatal", "protocol_blacklist", "protocol_whitelist", "reconnect", "reconnect_at_eof",
    "reconnect_delay_max", "reconnect_delay_total_max", "reconnect_max_retries", "reconnect_on_http_error",
    "reconnect_on_network_error", "reconnect_streamed", "referer", "rw_timeout", "seekable", "timeout", "tls_verify",
    "user_agent", "verify", "verifyhost",
)
# fmt: on
"""Of FFmpeg's demuxers and protocols, what cameras need; there are more."""

Share = Annotated[float, Field(ge=0, le=1)]


def _not_in_pixels(corners: object) -> object:
    """Once for all numbers, which are wrong for one reason."""
    points = corners if isinstance(corners, list | tuple) else ()
    numbers = (number for point in points if isinstance(point, list | tuple) for number in point)
    for number in numbers:
        if isinstance(number, int | float) and not 0 <= number <= 1:
            raise ValueError(f"expected points in shares of the picture (0 to 1), not in pixels, got {number:g}")
    return corners


Corners = Annotated[tuple[tuple[Share, Share], ...], Field(max_length=200), BeforeValidator(_not_in_pixels)]
"""Each pair of sides of a polygon is looked at once, when it is read."""


def _with_area(corners: Corners) -> Corners:
    (x0, y0), *rest = corners
    crosses = ((x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0) for (x1, y1), (x2, y2) in combinations(rest, 2))
    if not any(abs(cross) > 1e-9 for cross in crosses):
        raise ValueError("expected a polygon with an area, got corners on one line")
    sides = zip(corners, (*rest, corners[0]), strict=True)
    if any(_cross(side, other) for side, other in combinations(sides, 2)):
        raise ValueError("expected corners in their order round the polygon, got sides that cross")
    return corners


def _cross(side: Corners, other: Corners) -> bool:
    """Whether two sides cross: each has its ends on different sides of the other."""

    def turns(line: Corners, corners: Corners) -> float:
        (x0, y0), (x1, y1) = line
        to_one, to_other = ((x1 - x0) * (y - y0) - (x - x0) * (y1 - y0) for x, y in corners)
        return to_one * to_other

    return turns(side, other) < -1e-12 and turns(other, side) < -1e-12


Polygon = Annotated[Corners, Field(min_length=3), AfterValidator(_with_area)]
"""Corners (x, y), in shares 0..1 of a frame's width and height."""


Hardware = Literal[
    "amf",
    "cuda",
    "d3d11va",
    "d3d12va",
    "drm",
    "dxva2",
    "mediacodec",
    "ohcodec",
    "opencl",
    "qsv",
    "vaapi",
    "vdpau",
    "videotoolbox",
    "vulkan",
]
"""All device types of FFmpeg. Which of them this build supports is known only at run time."""


class MotionSettings(Section):
    every: float = Field(5.0, gt=0, description="Seconds. A still scene is looked at again after this time.")
    threshold: float = Field(
        8.0,
        gt=0,
        le=255,
        description="Grey levels, 0 to 255. A place has changed when it differs by more than this from the frame "
        "that was last looked at, beyond its usual noise and a change of the light of the whole picture.",
    )
    area: float = Field(
        0.0003,
        ge=0,
        le=1,
        description="Share of the picture, 0 to 1, that must change. 0.0003 is 16x17 pixels of 720p.",
    )


class RegionSettings(Section):
    include: tuple[Polygon, ...] = Field(
        (),
        description="Polygons of 3 to 200 corners [x, y], in shares (0 to 1) of the picture's width and height. "
        "Only objects inside them count: faces by their centre, bodies by the middle of their lower "
        "edge. []: the whole picture.",
    )
    exclude: tuple[Polygon, ...] = Field(
        (), description="Polygons in which objects do not count, even inside an included one."
    )


MaskPolygons = Annotated[
    tuple[Polygon, ...],
    Field(
        max_length=64,
        description="Polygons of three or more corners [x, y], in shares (0 to 1) of the width and height of the "
        "picture as it is shown, turned as `mounted` says. They are made black when a picture has been decoded, before "
        "anything looks at it: nothing below them is found, kept or shown. Rounded outward. []: none.",
    ),
]
"""What streams and consumers may be told not to see."""


def _known(options: dict[str, str]) -> dict[str, str]:
    """FFmpeg passes over what it does not know, so that a mistyped option would do nothing at all."""
    for key in options:
        meant = difflib.get_close_matches(key, USUAL_OPTIONS, n=1, cutoff=0.8)
        if meant and key not in USUAL_OPTIONS:
            raise ValueError(f"expected an option of FFmpeg, got {key}; did you mean {meant[0]}?")
    return options


def _number(value: object) -> object:
    """A choice of numbers takes no text, and variables of the environment are text."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


class SourceSettings(Section):
    source: str = Field(
        description="Where frames come from: a camera (rtsp://, rtsps://; MJPEG or live HLS by http://, https://), a "
        "video (a path or a URL), or a folder of pictures (a path).",
        min_length=1,
    )
    username: str | None = Field(
        None,
        description="The user name at the camera, as it is: no %XX. null: none, or the one in `source`.",
        min_length=1,
    )
    password: SecretStr | None = Field(
        None,
        description="The password of `username`, as it is. Better write ${VAR} or ${file:PATH} here, or the path of a "
        "file with it as `password_file`, which is read again at each connection, or set it in the environment: "
        "VISAGED_STREAMS__<NAME>__PASSWORD. null: none, or the one in `source`.",
    )
    transport: Literal["tcp", "udp"] = Field(
        "tcp",
        description="The transport of RTSP's video. tcp loses nothing. With udp lost packets damage frames, and "
        "firewalls often block it: use it for cameras that have no tcp.",
    )
    open_timeout: float = Field(
        10.0, gt=0, description="Seconds in which a camera must answer. After that the connection is tried again."
    )
    read_timeout: float = Field(
        5.0,
        gt=0,
        description="Seconds without a packet after which a camera counts as lost. It is then connected again.",
    )
    first_picture_timeout: float = Field(
        60.0,
        gt=0,
        description="Seconds in which a camera that sends video must bring a first picture. A camera that sends a "
        "keyframe every 30 seconds may take as long. After that the connection is tried again.",
    )
    ffmpeg_options: Annotated[dict[str, str], AfterValidator(_known)] = Field(
        {},
        description="Further options of FFmpeg's demuxers and protocols, as text. They win over what visaged sets "
        "itself; FFmpeg ignores names that it does not know, and one that is nearly a usual name is refused. For "
        'example, {buffer_size: "4000000"} sets the bytes that the system buffers with `transport: udp`.',
    )
    fps: float | None = Field(
        None,
        gt=0,
        description="Frames per second of a video to work on, evenly spaced. The others are skipped: before they are "
        "decoded if the video's keyframes are frequent enough or no frame depends on them, otherwise "
        "after. A lower rate costs less, but below 2 the tracks of people who cross are mixed up. null: all frames.",
    )
    keyframes_only: bool = Field(
        False,
        description="Decode keyframes only. This costs little, and gives one frame per keyframe interval of the "
        "camera.",
    )
    hardware: Hardware | None = Field(
        None,
        description="Decode video on this device, by FFmpeg's name: cuda is NVIDIA's, qsv Intel's. Which of them there "
        "are depends on the machine and on how FFmpeg was built. If it is not available, `check` "
        "refuses it and the source fails and is tried again; visaged never falls back to the CPU. null: "
        "the CPU.",
    )
    mounted: Annotated[Mounted | None, BeforeValidator(_number)] = Field(
        None,
        description="Degrees by which the picture is turned clockwise before anything looks at it: for a camera that "
        "hangs upside down (180) or on its side. Regions, boxes and pictures in documents are of the turned picture. "
        "What a file or a stream itself says of its orientation is heeded first. null: it is not turned.",
    )
    masks: MaskPolygons = ()
    motion: MotionSettings | None = Field(
        None, description="Skip frames of a video that show nothing new. null: no frame is skipped for this."
    )
    isolate: bool = Field(
        False,
        description="Decode in a separate process, so that a crash of the decoder stops only this stream and not the "
        "daemon. Costs about 0.5 ms of CPU per frame of 720p, 40 MB of memory, and half a second at each "
        "start.",
    )

    @property
    def address(self) -> str:
        """As FFmpeg takes it, with the login: never to be shown."""
        password = None if self.password is None else self.password.get_secret_value()
        return with_login(self.source, self.username, password)
