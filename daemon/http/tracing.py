"""What the log has of requests, and the id that comes with each: back to the client, and into the log."""

import logging
import re
import time
import uuid
from collections.abc import Mapping
from typing import Final

from aiohttp import web
from aiohttp.hdrs import METH_ALL
from aiohttp.typedefs import Handler

from daemon.flow.spans import Span, Tracer, within
from daemon.http.access.caller import CALLER
from daemon.http.access.credentials import shown_path
from daemon.logs import ABOUT
from daemon.wire.trace import TraceContext

REQUEST_ID_HEADERS = ("X-Request-ID", "X_REQUEST_ID")
# No white space or control characters: an id is written into headers and log lines.
REQUEST_ID = re.compile(r"[!-~]{1,128}")

PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
"""What machines ask every few seconds: their lines would bury all others."""

TRACE: Final = web.RequestKey("trace", Mapping[str, str])
"""Headers that the answer bears."""

log = logging.getLogger(__name__)


class Tracing:
    """Belongs to the event loop's thread."""

    def __init__(self, tracer: Tracer | None = None) -> None:
        """`tracer`: begins the traces of requests; None: none are kept."""
        self._tracer = tracer

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Ids that came and are well formed come back; a request without one gets one. One log line a request."""
        began = time.monotonic()
        sent = {name: request.headers.get(name, "") for name in REQUEST_ID_HEADERS}
        headers = {name: value for name, value in sent.items() if REQUEST_ID.fullmatch(value)}
        headers = headers or {REQUEST_ID_HEADERS[0]: uuid.uuid4().hex}
        ids = {"request_id": next(iter(headers.values()))}
        traceparent = request.headers.get("traceparent", "")
        came = TraceContext.read(traceparent, request.headers.get("tracestate", ""))
        span = self._begun(request, ids["request_id"], came)
        if came is not None:
            headers["traceparent"], ids["trace_id"] = traceparent, came.trace_id
        elif span is not None:
            headers["traceparent"], ids["trace_id"] = span.context.traceparent, span.context.trace_id
        ABOUT.set(ids)  # until the next request of the connection
        request[TRACE] = headers
        status: int | str = "client gone"
        try:
            with within(span):
                response = await handler(request)
            status = response.status
        finally:
            path, caller = shown_path(request.rel_url), request.get(CALLER)
            by = f", {caller}" if caller is not None and caller.name else ""
            level = logging.DEBUG if path in PROBES else logging.INFO
            log.log(level, "%s %s %s %.3f s%s", request.method, path, status, time.monotonic() - began, by)
            if span is not None:
                _end(span, status)
        return response

    def _begun(self, request: web.Request, request_id: str, came: TraceContext | None) -> Span | None:
        """In the words of OpenTelemetry's semantic conventions for HTTP."""
        if self._tracer is None or request.rel_url.path in PROBES:
            return None
        method = request.method if request.method in METH_ALL else "_OTHER"
        about = {
            "http.request.method": method,
            "url.path": shown_path(request.rel_url),
            "url.scheme": request.scheme,
            "visaged.request_id": request_id,
        }
        resource = request.match_info.route.resource
        name = "HTTP" if method == "_OTHER" else method
        if resource is not None:
            about["http.route"] = resource.canonical
            name = f"{name} {resource.canonical}"
        return self._tracer.begin(name, kind="SERVER", came=came, attributes=about)


def _end(span: Span, status: int | str) -> None:
    """That a client has erred or gone is no error of ours."""
    if isinstance(status, int):
        span.attributes["http.response.status_code"] = status
    span.end(error=str(status) if isinstance(status, int) and status >= 500 else None)


async def bear_trace(request: web.Request, response: web.StreamResponse) -> None:
    """A signal of the application: an answer that goes on for long is on its way before its handler returns."""
    response.headers.update(request.get(TRACE, {}))
