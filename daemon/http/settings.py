"""How HTTP is configured; imports nothing heavy, as every command reads it."""

from pydantic import BaseModel, ConfigDict, Field


class HttpSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(
        default="127.0.0.1", description="The address to listen on; 0.0.0.0: every address of the machine."
    )
    port: int = Field(default=8080, ge=0, le=65535, description="The port to listen on; 0: one that is free.")
    weight: float = Field(
        default=1.0, gt=0, description="The requests' share of the workers beside the streams when all are busy."
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
    stop_timeout: float = Field(default=5.0, ge=0, description="Seconds in which requests under way may end at a stop.")
