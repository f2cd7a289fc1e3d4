"""The routes, each with what it needs: none can be added without saying it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from daemon.http.access.settings import Role


@dataclass(frozen=True, slots=True)
class Need:
    """What a request must bring. `roles`: one of them; none: no key."""

    roles: tuple[Role, ...] = ()
    stream: str | None = None
    """The name of that part of the path which is a stream's id: the key must be for that stream."""
    stands_in: Callable[[web.Request], bool] | None = None
    """Whether a request bears what stands in the place of a key, as a signature; may raise why not. None: nothing does.

    Such a request has no caller.
    """
    is_probe: bool = False
    """Whether the request's Host and origin do not count either."""


NO_KEY: Final = Need()
PROBE: Final = Need(is_probe=True)


NEEDS: Final = web.AppKey("needs", dict[web.AbstractRoute, Need])


class Routes:
    """All routes of an application."""

    def __init__(self, app: web.Application) -> None:
        self.needs = app[NEEDS] = {}
        self.router = app.router

    def add(self, method: str, path: str, handler: Handler, need: Need) -> None:
        """HEAD comes with GET."""
        for each in ("GET", "HEAD") if method == "GET" else (method,):
            self.needs[self.router.add_route(each, path, handler)] = need


def need_of(request: web.Request) -> Need | None:
    """None where there is no such path or method.

    Raises KeyError for a route that was added elsewhere: such a one is answered to nobody.
    """
    match = request.match_info
    return None if match.http_exception is not None else request.app[NEEDS][match.route]
