"""How traces are sampled and where they go; imports nothing heavy, as every command reads it."""

from importlib.util import find_spec
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from configs.section import Section
from sinks.http_settings import TIMEOUT_S, HttpHeaders, HttpTimeout, HttpTls, HttpUrl, headers_but
from sinks.tls import Tls

NAME: Final = "traces"
"""Among the sinks of /status and /metrics."""
PATH: Final = "/v1/traces"
"""Where OTLP/HTTP has traces."""
OURS: Final = frozenset({"content-type", "content-length", "host"})


def is_installed() -> bool:
    """Whether the extra `otel` is."""
    try:
        return find_spec("opentelemetry.proto") is not None
    except ModuleNotFoundError:
        return False


def _with_path(url: str) -> str:
    return f"{url.rstrip('/')}{PATH}" if urlsplit(url).path in ("", "/") else url


class TracesSettings(Section):
    endpoint: Annotated[HttpUrl, AfterValidator(_with_path)] = Field(
        description="URL of the receiver of OTLP over HTTP: an OpenTelemetry Collector's, Jaeger's, Tempo's, for "
        f"example http://127.0.0.1:4318. A URL without a path gets {PATH}. A redirect to another host is not followed."
    )
    sampling_ratio: float = Field(
        0.01,
        ge=0,
        le=1,
        description="Share, 0 to 1, of the traces begun here that are kept: 0.01 is a frame of a hundred, 1 all. What "
        "comes with a `traceparent` is kept if its sender keeps it, whatever is set here.",
    )
    service_name: str = Field(
        "visaged", min_length=1, description="The name by which the traces of this daemon are found (`service.name`)."
    )
    headers: Annotated[HttpHeaders, AfterValidator(headers_but(OURS, "which are set by the protocol"))] = Field({})
    tls: HttpTls = Tls()
    timeout: HttpTimeout = TIMEOUT_S
