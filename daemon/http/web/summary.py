"""What the page shows of all streams, and who asks: one request where it would need several, each with its own role."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from daemon.control.wanted import Wanted
from daemon.flow.overview import Overview
from daemon.http.access.caller import CALLER, may
from daemon.http.access.routes import Need, Routes
from daemon.http.access.settings import ROLES, Role
from daemon.http.errors import json_response
from daemon.http.openapi.operation import Content, Operation
from daemon.status import VERSION
from daemon.wire.codec import Members
from daemon.wire.v2 import rfc3339

ANY_ROLE = Need(ROLES)
OF_STREAMS: tuple[Role, ...] = ("watch", "control")
"""Roles that a key has for some streams alone."""


OVERVIEW = Operation("What the page shows of all streams, as far as the key may see it", {200: Content(Members)})


class Summary:
    """The handler. Belongs to the event loop's thread."""

    def __init__(
        self, wanted: Wanted, overview: Overview, row: Callable[[str], Members], *, has_history: bool = False
    ) -> None:
        """`row`: what /status shows of a stream."""
        self._wanted = wanted
        self._overview = overview
        self._row = row
        self._has_history = has_history

    def add_to(self, routes: Routes) -> None:
        routes.add("GET", "/overview", self._show, ANY_ROLE, OVERVIEW)

    async def _show(self, request: web.Request) -> web.Response:
        streams = (self._stream(request, stream) for stream in sorted(self._wanted.entries))
        return json_response(
            {
                "version": VERSION,
                "now": rfc3339(time.time()),
                "caller": {"name": request[CALLER].name, "roles": [role for role in ROLES if may(request, role)]},
                "history": self._has_history,
                "can_add": self._wanted.can_add and may(request, "control"),
                "streams": [stream for stream in streams if stream],
            }
        )

    def _stream(self, request: web.Request, stream: str) -> Mapping[str, Any] | None:
        """None: it is not for the one who asks. Its figures and errors are for `metrics` and `control` alone."""
        roles = [role for role in OF_STREAMS if may(request, role, stream)]
        with_row = "control" in roles or may(request, "metrics")
        if not roles and not with_row:
            return None
        supervisor, entry = self._overview.streams[stream], self._wanted.entries[stream]
        width, height = supervisor.stream.video.size or (None, None)
        tracking = entry.built.settings.tracking if entry.built.settings is not None else None
        return {
            "id": stream,
            "name": supervisor.stream.title,
            "origin": entry.origin,
            "state": supervisor.state,
            "width": width,
            "height": height,
            "roles": roles,
            "tracks": tracking is not None,
            "events": tracking is not None and tracking.events is not None,
            "error": (entry.built.refusal or supervisor.error) if with_row else None,
            "status": self._row(stream) if with_row else None,
        }
