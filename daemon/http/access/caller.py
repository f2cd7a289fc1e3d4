"""Who asks, for handlers: what it may, and what of it is told in the log."""

import logging
from typing import Final

from aiohttp import web

from daemon.http.access.keys import Caller
from daemon.http.access.settings import Role

CALLER: Final = web.RequestKey("caller", Caller)
"""Of each request whose route needs a role."""

log = logging.getLogger(__name__)


def may(request: web.Request, role: Role, stream: str | None = None) -> bool:
    """Also long after the request has come: a key that was removed since may nothing."""
    return request[CALLER].may(role, stream)


def tell_change(request: web.Request, what: str) -> None:
    """Each use of `control` is told, e.g. "stream door: paused"."""
    log.info("%s, by %s", what, request[CALLER])


def tell_look(request: web.Request, stream: str) -> None:
    """A key's first look at a stream's pictures is told; `stream` is one that there is."""
    if request[CALLER].looks_first_at(stream):
        log.info("stream %s: %s looks at its pictures for the first time", stream, request[CALLER])
