"""OPTIONS, and what browsers ask before another origin's page may call (Fetch, section 3.2)."""

from collections.abc import Iterable

from aiohttp import web
from aiohttp.typedefs import Handler

from daemon.http.errors import allowed

ANY = "*"
ALLOWED_HEADERS = (
    "Authorization, X-API-Key, Content-Type, Content-Encoding, If-Match, If-None-Match, Last-Event-ID, X-Request-ID, "
    "X_REQUEST_ID, traceparent"
)
EXPOSED_HEADERS = "X-Request-ID, X_REQUEST_ID, traceparent, Retry-After, Allow, ETag"
PREFLIGHT_KEPT_S = 600


class Cors:
    """Allows origins that are configured."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origins)

    def allows(self, origin: str | None) -> bool:
        return ANY in self._origins or origin in self._origins

    async def on_prepare(self, request: web.Request, response: web.StreamResponse) -> None:
        """A signal of the application: an answer that goes on for long is on its way before its handler returns."""
        if not self._origins:
            return
        if ANY not in self._origins:
            response.headers.add("Vary", "Origin")
        origin = request.headers.get("Origin")
        if origin is None or not self.allows(origin):
            return
        response.headers["Access-Control-Allow-Origin"] = ANY if ANY in self._origins else origin
        response.headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
        if "Access-Control-Request-Method" in request.headers and "Allow" in response.headers:
            response.headers["Access-Control-Allow-Methods"] = response.headers["Allow"]
            response.headers["Access-Control-Allow-Headers"] = ALLOWED_HEADERS
            response.headers["Access-Control-Max-Age"] = str(PREFLIGHT_KEPT_S)


@web.middleware
async def answers_options(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Without a key, as browsers ask it without one."""
    refused = request.match_info.http_exception
    if request.method == "OPTIONS" and isinstance(refused, web.HTTPMethodNotAllowed):
        return web.Response(status=204, headers={"Allow": allowed(refused)})
    return await handler(request)
