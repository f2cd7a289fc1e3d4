"""How HTTP is configured; imports nothing heavy, as every command reads it."""

from typing import Literal

from pydantic import Field

from configs.section import Section

LivenessModule = Literal["face-detector-liveness-estimator", "liveness-anti-spoofing", "quality-liveness-anti-spoofing"]


class HttpSettings(Section):
    host: str = Field(
        default="127.0.0.1", description="The address to listen on; 0.0.0.0: every address of the machine."
    )
    port: int = Field(default=8080, ge=0, le=65535, description="The port to listen on; 0: one that is free.")
    share: float = Field(
        default=0.5,
        gt=0,
        lt=1,
        description="The part of the workers' time that is kept for requests, however many streams there are; what "
        "they leave of it is the streams'.",
    )
    deadline: float = Field(
        default=30.0,
        gt=0,
        description="Seconds from a request's first byte to its answer; what is not done by then gets 504.",
    )
    max_concurrent: int = Field(
        default=100, ge=1, description="Requests that are read or worked on at once; those beyond get 503 at once."
    )
    max_image_bytes: int = Field(default=4_700_000, ge=1, description="Bytes of an encoded image, without its base64.")
    max_megapixels: float = Field(
        default=100.0, gt=0, description="Megapixels of an image, told from its header before it is decoded."
    )
    max_objects: int = Field(default=1000, ge=0, description="Objects in a request.")
    max_body_bytes: int = Field(
        default=40_000_000,
        ge=1,
        description="Bytes of a request: a picture of 8 megapixels as NDARRAY and 1,000 objects fit.",
    )
    liveness_module: LivenessModule = Field(
        default="face-detector-liveness-estimator",
        description="What face-detector-liveness-estimator runs. The module of its own name answers for every face; "
        "liveness-anti-spoofing for the largest one; quality-liveness-anti-spoofing refuses pictures of several faces "
        "or of low quality.",
    )
    liveness_quality: int = Field(
        default=30,
        ge=0,
        le=100,
        description="Total quality, 0..100, below which quality-liveness-anti-spoofing refuses a face.",
    )
    stop_timeout: float = Field(default=5.0, ge=0, description="Seconds in which requests under way may end at a stop.")
