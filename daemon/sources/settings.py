"""How a stream's source is configured."""

from itertools import combinations
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from configs.section import Section

Share = Annotated[float, Field(ge=0, le=1)]
Corners = tuple[tuple[Share, Share], ...]


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
    """Whether each has an end on either side of the other's line."""

    def turns(line: Corners, corners: Corners) -> float:
        (x0, y0), (x1, y1) = line
        to_one, to_other = ((x1 - x0) * (y - y0) - (x - x0) * (y1 - y0) for x, y in corners)
        return to_one * to_other

    return turns(side, other) < -1e-12 and turns(other, side) < -1e-12


Polygon = Annotated[Corners, Field(min_length=3), AfterValidator(_with_area)]
"""Corners x, y in shares of a frame's width and height."""


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
"""All that FFmpeg knows; which of them this one was built with, only it can say."""


class MotionSettings(Section):
    every: float = Field(5.0, gt=0, description="Seconds after which a still scene is looked at again all the same.")
    threshold: float = Field(
        8.0,
        gt=0,
        le=255,
        description="Grey levels, of 255, by which a place must differ from when the scene was last looked at, beyond "
        "its usual noise and a change of light all over.",
    )
    area: float = Field(
        0.0003, ge=0, le=1, description="The share of the picture that must differ so: 0.0003 is 16x17 pixels of 720p."
    )


class RegionSettings(Section):
    include: tuple[Polygon, ...] = Field(
        (),
        description="Polygons of three or more corners [x, y], in shares (0 to 1) of the picture's width and height: "
        "faces count by their centre, bodies by the middle of their lower edge. None: all of the picture.",
    )
    exclude: tuple[Polygon, ...] = Field((), description="Polygons in which nothing counts, whatever includes it.")


class SourceSettings(Section):
    source: str = Field(
        description="Where frames come from: rtsp:// or rtsps:// (a camera), http:// or https:// (MJPEG and live HLS "
        "are cameras, what has an end is a file), the path of a video, or of a folder of pictures.",
        min_length=1,
    )
    transport: Literal["tcp", "udp"] = Field("tcp", description="How RTSP carries the video.")
    open_timeout: float = Field(10.0, gt=0, description="Seconds in which a camera must answer.")
    read_timeout: float = Field(5.0, gt=0, description="Seconds without a packet after which a camera counts as lost.")
    ffmpeg_options: dict[str, str] = Field(
        {}, description="Further options of FFmpeg's demuxers and protocols, as they are."
    )
    fps: float | None = Field(
        None,
        gt=0,
        description="Frames a second that are wanted of a video, evenly spaced; nothing: all. The others are skipped "
        "before they are decoded where keyframes are frequent enough, or nothing depends on them, else after.",
    )
    keyframes_only: bool = Field(
        False, description="Decode the frames alone that depend on no other: cheap, at the camera's keyframe interval."
    )
    hardware: Hardware | None = Field(
        None,
        description="Decode video on a device, by FFmpeg's name (cuda, qsv, ...). Where it cannot be had `check` "
        "refuses it, the source fails and is tried again: it is never decoded on the CPU instead. Nothing: the CPU.",
    )
    motion: MotionSettings | None = Field(
        None, description="Skip what of a video shows nothing new; null: look at every frame."
    )
    isolate: bool = Field(
        False,
        description="Decode in a process of its own, so that a decoder that crashes takes this stream down and not the "
        "daemon. Costs about half a millisecond of CPU a frame of 720p, 40 MB, and half a second at each start.",
    )
