"""What all who send to an HTTP server are told of it. Apart from the client: a configuration loads without aiohttp."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator


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


HttpUrl = Annotated[str, AfterValidator(_url)]
