"""How long the services' requests take, by service, version and status class."""

import time
from collections.abc import Mapping
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from daemon.flow.timing import Histogram

SERVICE: Final = web.RequestKey("service", tuple[str, str])
"""The service and the version that a request is for. A request that was refused for its key is for none."""
GONE: Final = "gone"
"""In the place of a status class: the client did not wait for the answer."""


class Requests:
    """From the headers on, with the body, until the answer is there. Belongs to the event loop's thread."""

    def __init__(self) -> None:
        self._took: dict[tuple[str, str, str], Histogram] = {}

    @property
    def took(self) -> Mapping[tuple[str, str, str], Histogram]:
        """By service, version and status class ("2xx" to "5xx", or GONE)."""
        return self._took

    @web.middleware
    async def timed(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Stands around what makes answers of errors."""
        began, status = time.monotonic(), GONE
        try:
            response = await handler(request)
            status = f"{response.status // 100}xx"
        finally:
            if (served := request.get(SERVICE)) is not None:
                self._took.setdefault((*served, status), Histogram()).observe(time.monotonic() - began)
        return response
