"""What a request bears to say who asks."""

import base64
import binascii
from typing import NamedTuple
from urllib.parse import quote

from aiohttp import web
from yarl import URL

from daemon.http.access.errors import BASIC, BEARER, Unauthorized
from daemon.http.access.keys import KEY, redacted

SAFE = frozenset({"GET", "HEAD"})
"""Methods that change nothing, of those that routes have."""


class Credentials(NamedTuple):
    key: str
    name: str | None = None
    """That the key must have; None: any."""


def borne_by(request: web.Request) -> Credentials | None:
    """Of the headers; None: there are none. Raises Unauthorized."""
    if (header := request.headers.get("Authorization")) is None:
        key = request.headers.get("X-API-Key")
        return None if key is None else Credentials(key.strip())
    scheme, _, value = header.strip().partition(" ")
    match scheme.lower():
        case "bearer":
            return Credentials(value.strip())
        case "basic":
            return _basic(request, value.strip())
        case _:
            raise unauthorized(request, "Authorization: Bearer was expected, another scheme came")


def expect_none_in_url(request: web.Request) -> None:
    """Raises Unauthorized. URLs are written into logs, histories and Referer headers, here and elsewhere."""
    if KEY.search(request.rel_url.path) or KEY.search(request.rel_url.query_string):
        raise unauthorized(
            request,
            "A key in a URL is not taken, as URLs are logged: send it as Authorization: Bearer, and replace this one, "
            "which may stand in a log now",
        )


def unauthorized(request: web.Request, detail: str) -> Unauthorized:
    """Basic is offered to players, which send it when they are asked. A browser would ask its user in a window of its
    own, and then send the key along with every request, other pages' too.
    """
    is_browser = request.headers.get("User-Agent", "").startswith("Mozilla/")
    return Unauthorized(detail, (BEARER,) if is_browser or request.method not in SAFE else (BASIC, BEARER))


def shown_path(url: URL) -> str:
    """For logs: quoted, so that it holds no line break; without the query and without keys."""
    return quote(redacted(url.path), safe="/*") if KEY.search(url.path) else url.raw_path


def _basic(request: web.Request, value: str) -> Credentials:
    """RFC 7617."""
    if request.method not in SAFE:
        raise unauthorized(request, f"Authorization: Basic is taken for GET and HEAD, {request.method} needs Bearer")
    try:
        name, colon, key = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        colon = ""
    if not colon:
        raise unauthorized(request, "Authorization: Basic was not followed by a name and a key in base64")
    return Credentials(key, name)
