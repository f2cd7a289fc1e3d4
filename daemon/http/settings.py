"""How HTTP is configured; imports nothing heavy, as every command reads it."""

from typing import Literal

from pydantic import Field

from configs.section import Section

LivenessModule = Literal["face-detector-liveness-estimator", "liveness-anti-spoofing", "quality-liveness-anti-spoofing"]


class HttpSettings(Section):
    host: str = Field(
        default="127.0.0.1", description="The address to listen on. 0.0.0.0: every address of the machine."
    )
    port: int = Field(default=8080, ge=0, le=65535, description="The port to listen on. 0: any free port.")
    share: float = Field(
        default=0.5,
        gt=0,
        lt=1,
        description="Share of the workers' time, 0 to 1, that is kept for requests however many streams there are. "
        "What requests leave unused goes to the streams.",
    )
    deadline: float = Field(
        default=30.0,
        gt=0,
        description="Seconds from a request's first byte to its answer. Later ones are answered with status 504.",
    )
    max_concurrent: int = Field(
        default=100,
        ge=1,
        description="Requests that are read or worked on at the same time. Further ones are answered with status 503 "
        "at once.",
    )
    max_image_bytes: int = Field(
        default=4_700_000,
        ge=1,
        description="Maximum size in bytes of an encoded image, before base64. Larger ones are refused.",
    )
    max_megapixels: float = Field(
        default=100.0,
        gt=0,
        description="Maximum size in megapixels of an image, read from its header. Larger ones are refused before "
        "they are decoded.",
    )
    max_objects: int = Field(default=1000, ge=0, description="Maximum number of objects in a request.")
    max_body_bytes: int = Field(
        default=40_000_000,
        ge=1,
        description="Maximum size in bytes of a request. The default has room for a picture of 8 megapixels as "
        "NDARRAY and 1,000 objects.",
    )
    liveness_module: LivenessModule = Field(
        default="face-detector-liveness-estimator",
        description="What face-detector-liveness-estimator runs. The module of the same name answers for every face; "
        "liveness-anti-spoofing only for the largest face; quality-liveness-anti-spoofing refuses "
        "pictures with several faces or of low quality.",
    )
    liveness_quality: int = Field(
        default=30,
        ge=0,
        le=100,
        description="Total quality, 0 to 100. quality-liveness-anti-spoofing refuses faces below it.",
    )
    stop_timeout: float = Field(
        default=5.0, ge=0, description="Seconds that requests may still take at a stop. After that they are cancelled."
    )
