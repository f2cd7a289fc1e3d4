"""How a stream's source is configured."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class SourceSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

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
