"""Where a browser exchanges a key for a session, and ends it."""

import asyncio
import logging

from aiohttp import web

from daemon.errors import DeadlineExceeded, InvalidDocument, Problem
from daemon.http.access.guard import Guard
from daemon.http.access.sessions import cookie_name, put_cookie
from daemon.http.access.sites import expect_own_script, expect_own_site
from daemon.http.bodies import Bodies
from daemon.http.connections import held
from daemon.http.errors import json_response
from daemon.wire.codec import parse

MOST_BYTES = 1000  # a key has 56

log = logging.getLogger(__name__)


class Login:
    """The handlers of /session. Pages of other sites may neither begin a session nor end one."""

    def __init__(self, guard: Guard, bodies: Bodies, deadline: float) -> None:
        self._guard = guard
        self._bodies = bodies
        self._deadline = deadline

    async def begin(self, request: web.Request) -> web.StreamResponse:
        if not self._guard.keys:
            raise web.HTTPNotFound(reason="No keys are configured: requests need no session")
        expect_own_site(request)
        key = self._guard.find(request, await self._key_in(request))
        with key.one():
            response = json_response({"name": key.name, "roles": key.settings.roles, "streams": key.settings.streams})
            put_cookie(request, response, self._guard.sessions.begin(key))
        log.info("a session of %s begins, from %s", key, request.remote)
        return response

    async def end(self, request: web.Request) -> web.StreamResponse:
        expect_own_site(request)
        if token := request.cookies.get(cookie_name(request)):
            expect_own_script(request)
            if key := self._guard.sessions.end(token):
                log.info("a session of %s ends", key)
        response = web.Response(status=204)
        put_cookie(request, response, "")
        return response

    async def _key_in(self, request: web.Request) -> str:
        """Raises what Bodies.read does, InvalidDocument or DeadlineExceeded."""
        try:
            async with asyncio.timeout(self._deadline):
                body = held(request).enter_context(self._bodies.one())
                document = parse(await self._bodies.read(request, body, MOST_BYTES))
        except TimeoutError as err:
            raise DeadlineExceeded("the body did not come in time") from err
        key = document.get("key") if isinstance(document, dict) else None
        if not isinstance(key, str):
            raise InvalidDocument([Problem(("key",), "Expected a key", "string_type")])
        return key
