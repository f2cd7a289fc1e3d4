"""The settings of a webhook. Apart from it: a configuration loads without aiohttp."""

import base64
import binascii
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, SecretStr

from sinks.base import Linger
from sinks.http_settings import TIMEOUT_S, HttpHeaders, HttpTimeout, HttpTls, HttpUrl, headers_but
from sinks.selection import SparingSelection
from sinks.tls import Tls

MARK: Final = "whsec_"
OURS: Final = frozenset(
    {"content-type", "content-length", "host", "webhook-id", "webhook-timestamp", "webhook-signature"}
)


def _secret(value: SecretStr) -> SecretStr:
    key_of(value)
    return value


def key_of(secret: SecretStr) -> bytes:
    """The key of the signatures (Standard Webhooks 1.0). Raises ValueError."""
    text = secret.get_secret_value()
    try:
        key = base64.b64decode(text.removeprefix(MARK), validate=True)
    except binascii.Error:
        key = b""
    if not text.startswith(MARK) or not 24 <= len(key) <= 64:
        raise ValueError("expected whsec_ and base64 of 24 to 64 bytes, as of: echo whsec_$(openssl rand -base64 32)")
    return key


class WebhookSettings(SparingSelection):
    type: Literal["webhook"]
    linger: Linger = 0.05
    url: HttpUrl = Field(description="Where documents are sent (POST). A redirect to another host is not followed.")
    format: Literal["json", "cloudevents"] = Field(
        "json",
        description="The body. json: the document itself, and its CloudEvents attributes as ce-* headers. cloudevents: "
        "a CloudEvent in structured mode, whose data is the document.",
    )
    batch: int = Field(
        1,
        ge=1,
        le=500,
        description="Documents in one request, at most. With more than 1 the body is always a list, be it of one; json "
        "then has no ce-* headers.",
    )
    secret: Annotated[SecretStr, AfterValidator(_secret)] | None = Field(
        None,
        description="Key of the signatures (Standard Webhooks): whsec_ and base64 of 24 to 64 bytes. Write it as "
        "${file:PATH} or ${VAR}, or set it in the environment: VISAGED_SINKS__<NAME>__SECRET. null: nothing is signed, "
        "and the receiver cannot know who sends.",
    )
    headers: Annotated[HttpHeaders, AfterValidator(headers_but(OURS, "which the webhook sets itself"))] = Field({})
    tls: HttpTls = Tls()
    timeout: HttpTimeout = TIMEOUT_S

    @property
    def as_cloud_events(self) -> bool:
        return self.format == "cloudevents"
