"""Lets requests in: every one passes here before its handler, and before its body is read."""

import logging

from aiohttp import web
from aiohttp.typedefs import Handler

from daemon.errors import ConfigError
from daemon.http.access.caller import CALLER
from daemon.http.access.credentials import SAFE, borne_by, expect_none_in_url, unauthorized
from daemon.http.access.errors import Forbidden
from daemon.http.access.keys import KEY, Caller, Key, Keys
from daemon.http.access.routes import Need, need_of
from daemon.http.access.sessions import Sessions, cookie_name
from daemon.http.access.settings import is_loopback
from daemon.http.access.sites import Sites, expect_own_script
from daemon.http.connections import held
from daemon.http.cors import Cors
from daemon.http.errors import quoted
from daemon.http.settings import HttpSettings

FORWARDED = ("Forwarded", "X-Forwarded-For")

log = logging.getLogger(__name__)


class Guard:
    """The keys, the sessions, and the middleware that asks for them; belongs to the event loop's thread."""

    def __init__(self, settings: HttpSettings, cors: Cors) -> None:
        """Raises ConfigError where everyone could do all, and `open` does not say so."""
        if settings.unguarded is not None:
            raise ConfigError(f"http.host: {settings.unguarded}")
        self.keys = Keys(settings.keys)
        self.sessions = Sessions(self.keys)
        self._is_loopback = is_loopback(settings.host)
        self._cors = cors
        self._sites = Sites(settings, cors)
        self._told_of_proxy = False

    def reconfigure(self, settings: HttpSettings) -> None:
        """Takes other keys and hosts, from the next request on. Raises ConfigError, and takes nothing then."""
        if not (settings.keys or settings.open or self._is_loopback):
            raise ConfigError("http.keys: expected a key, as others than this machine are listened to, got none")
        self.keys.replace(settings.keys)
        self._sites = Sites(settings, self._cors)

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        expect_none_in_url(request)
        need = need_of(request)
        if need is not None and need.is_probe:
            return await handler(request)
        if not self.keys:
            self._tell_of_proxy(request)
            self._sites.expect_known(request)
        if need is not None and need.roles and not self._has_stand_in(request, need):
            request[CALLER] = caller = self._caller(request)
            _expect(request, caller, need)
            held(request).enter_context(caller.one())
        return await handler(request)

    def find(self, request: web.Request, key: str, name: str | None = None) -> Key:
        """The key of the configuration, of that name where it is one of Basic. Raises Unauthorized."""
        found = self.keys.find(key)
        if found is None or name not in (None, found.name):
            public = f"vis_{match['public']}" if (match := KEY.fullmatch(key)) else "of another form"
            log.warning("a request of %s bears an unknown key: %s", request.remote, public)
            raise unauthorized(request, "The key is unknown, or was removed")
        return found

    def _has_stand_in(self, request: web.Request, need: Need) -> bool:
        """Whether it bears what is taken in the place of a key; without keys nobody needs it."""
        return bool(self.keys) and need.stands_in is not None and need.stands_in(request)

    def _caller(self, request: web.Request) -> Caller:
        if not self.keys:
            return self.keys.anyone
        if (borne := borne_by(request)) is not None:
            return self.find(request, borne.key, borne.name)
        if (token := request.cookies.get(cookie_name(request))) is not None:
            return self._of_session(request, token)
        raise unauthorized(request, "A key was expected, as Authorization: Bearer or X-API-Key, nothing came")

    def _of_session(self, request: web.Request, token: str) -> Key:
        key = self.sessions.key_of(token)
        if key is None:
            raise unauthorized(request, "The session is over: POST /session begins another")
        if request.method not in SAFE:
            expect_own_script(request)
        return key

    def _tell_of_proxy(self, request: web.Request) -> None:
        if not self._told_of_proxy and any(header in request.headers for header in FORWARDED):
            self._told_of_proxy = True
            log.warning(
                "HTTP: a proxy passes requests on, and no keys are configured: everyone whom it lets in may all. "
                "`visaged keys new` makes a key"
            )


def _expect(request: web.Request, caller: Caller, need: Need) -> None:
    roles = [role for role in need.roles if caller.may(role)]
    if not roles:
        raise Forbidden(f"The role {' or '.join(need.roles)} was expected, {caller} is not for it")
    if need.stream is None:
        return
    stream = request.match_info[need.stream]
    if not any(caller.may(role, stream) for role in roles):
        raise Forbidden(f"The {caller} is not for the stream {quoted(stream)}")
