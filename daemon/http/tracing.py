"""What the log has of requests, and the id that comes with each: back to the client, and into the log."""

import logging
import re
import time
import uuid
from collections.abc import Mapping
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from daemon.http.access.caller import CALLER
from daemon.http.access.credentials import shown_path
from daemon.logs import ABOUT
from daemon.wire.trace import TRACEPARENT

REQUEST_ID_HEADERS = ("X-Request-ID", "X_REQUEST_ID")
# No white space or control characters: an id is written into headers and log lines.
REQUEST_ID = re.compile(r"[!-~]{1,128}")

PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
"""What machines ask every few seconds: their lines would bury all others."""

TRACE: Final = web.RequestKey("trace", Mapping[str, str])
"""Headers that the answer bears."""

log = logging.getLogger(__name__)


@web.middleware
async def traces(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Ids that came and are well formed come back; a request without one gets one. One log line a request."""
    began = time.monotonic()
    sent = {name: request.headers.get(name, "") for name in REQUEST_ID_HEADERS}
    headers = {name: value for name, value in sent.items() if REQUEST_ID.fullmatch(value)}
    headers = headers or {REQUEST_ID_HEADERS[0]: uuid.uuid4().hex}
    ids = {"request_id": next(iter(headers.values()))}
    traceparent = request.headers.get("traceparent", "")
    if TRACEPARENT.fullmatch(traceparent):
        headers["traceparent"] = traceparent
        ids["trace_id"] = traceparent.split("-")[1]
    ABOUT.set(ids)  # until the next request of the connection
    request[TRACE] = headers
    status: int | str = "client gone"
    try:
        response = await handler(request)
        status = response.status
    finally:
        path, caller = shown_path(request.rel_url), request.get(CALLER)
        by = f", {caller}" if caller is not None and caller.name else ""
        level = logging.DEBUG if path in PROBES else logging.INFO
        log.log(level, "%s %s %s %.3f s%s", request.method, path, status, time.monotonic() - began, by)
    return response


async def bear_trace(request: web.Request, response: web.StreamResponse) -> None:
    """A signal of the application: an answer that goes on for long is on its way before its handler returns."""
    response.headers.update(request.get(TRACE, {}))
