"""What all who send to an HTTP server are told of it. Apart from the client: a configuration loads without aiohttp."""

from collections.abc import Callable, Set
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from sinks.tls import Tls

Headers = dict[str, SecretStr]


def _url(value: str) -> str:
    """Its path may be a secret, and is not in the message."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError(
            f"expected http://host/path or https://host/path, got a URL of scheme {parts.scheme or 'none'}"
        )
    if parts.username is not None:
        raise ValueError("expected a URL without a login (put it into `headers`, as Authorization), got one with")
    return value


def headers_but(ours: Set[str], whose: str) -> Callable[[Headers], Headers]:
    """Refuses headers that are set here; `whose`: what a user is told of who sets them."""

    def checked(headers: Headers) -> Headers:
        if taken := sorted(ours & {name.lower() for name in headers}):
            raise ValueError(f"expected other headers, got {', '.join(taken)}, {whose}")
        return headers

    return checked


HttpUrl = Annotated[str, AfterValidator(_url)]
HttpHeaders = Annotated[
    Headers,
    Field(description="More headers of each request, for example {Authorization: 'Bearer ${TOKEN}'}. {}: none."),
]
HttpTls = Annotated[Tls, Field(description="How the receiver of an https:// URL is checked. {}: by the system's CAs.")]
HttpTimeout = Annotated[
    float,
    Field(
        gt=0,
        description="Seconds in which a request must be answered. After that it is sent again, and the receiver may "
        "get it twice.",
    ),
]
TIMEOUT_S = 10.0
