"""Whose pages ask: what browsers say of that (Host, Origin, Sec-Fetch-Site) cannot be changed by a page.

Where no key is needed, this alone keeps a page on the internet from asking a daemon on its reader's machine: by its
own origin, or by a name of its own that it has let point to 127.0.0.1 (DNS rebinding).
"""

import ipaddress
import re
from typing import Final

from aiohttp import web

from daemon.http.access.errors import Forbidden
from daemon.http.access.settings import is_loopback
from daemon.http.cors import Cors
from daemon.http.errors import UnsupportedMedia, quoted
from daemon.http.settings import HttpSettings

HOST: Final = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?")
OWN_SITES: Final = (None, "same-origin", "none")
"""Of Sec-Fetch-Site; none: the user has typed the address, or no browser asks."""
JSON: Final = "application/json"
PAGES: Final = "a page of this server's own was expected; http.cors_origins names others that may ask"


class Sites:
    """Those that may ask without a key."""

    def __init__(self, settings: HttpSettings, cors: Cors) -> None:
        self._hosts = frozenset(settings.hosts)
        self._open = settings.open
        self._cors = cors

    def expect_known(self, request: web.Request) -> None:
        """Raises Forbidden."""
        hosts = request.headers.getall("Host", [])
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            raise Forbidden(
                f"Host: {quoted(', '.join(hosts)) or 'nothing'} came, localhost, 127.0.0.1, [::1] or one of "
                "http.hosts was expected, as no keys are configured"
            )
        if not self._cors.allows(request.headers.get("Origin")):
            expect_own_site(request)

    def _is_ours(self, host: str) -> bool:
        """An address is nobody's to rebind, a name is."""
        match = HOST.fullmatch(host)
        if match is None:
            return False
        name = match["name"].lower()
        return name in self._hosts or is_loopback(name.strip("[]")) or (self._open and _is_address(name.strip("[]")))


def expect_own_site(request: web.Request) -> None:
    """Raises Forbidden for a page of another site. What is no browser says nothing, and passes."""
    if (site := request.headers.get("Sec-Fetch-Site")) not in OWN_SITES:
        raise Forbidden(f"Sec-Fetch-Site: {quoted(site)} came, {PAGES}")
    origin = request.headers.get("Origin")
    if origin is not None and not _is_own(request, origin):
        raise Forbidden(f"Origin: {quoted(origin)} came, {PAGES}")


def expect_own_script(request: web.Request) -> None:
    """Raises Forbidden or UnsupportedMedia: a browser sends the cookie of a session with all that other pages make it
    send, forms among it. Older browsers (Safari before 16.4) have no Sec-Fetch-Site, but an Origin.
    """
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if not (site == "same-origin" if site is not None else origin is not None and _is_own(request, origin)):
        raise Forbidden(
            f"{request.method} with a session is for this server's own pages: Sec-Fetch-Site: same-origin or an equal "
            "Origin was expected; others send the key itself"
        )
    if ("Content-Type" in request.headers or request.body_exists) and request.content_type != JSON:
        raise UnsupportedMedia("Content-Type", request.headers.get("Content-Type", ""), "Accept", JSON)


def _is_own(request: web.Request, origin: str) -> bool:
    """Behind a proxy that ends TLS the browser's scheme is https, and ours http."""
    scheme, _, authority = origin.partition("://")
    schemes = ("https",) if request.secure else ("http", "https")
    return scheme in schemes and authority.lower() == request.headers.get("Host", "").lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
