"""The routes, each with what it needs, takes and answers: none can be added without saying it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from daemon.http.access.settings import Role
from daemon.http.openapi.operation import Operation


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


Tell = Callable[[], Operation]
"""What a route takes and answers, where it is asked for: files may be read for it."""

NEEDS: Final = web.AppKey("needs", dict[web.AbstractRoute, Need])


@dataclass(frozen=True, slots=True)
class Described:
    """A route as /openapi.json shows it."""

    method: str
    path: str
    need: Need
    tell: Operation | Tell

    @property
    def operation(self) -> Operation:
        return self.tell if isinstance(self.tell, Operation) else self.tell()


class Routes:
    """All routes of an application."""

    def __init__(self, app: web.Application) -> None:
        self.needs = app[NEEDS] = {}
        self.router = app.router
        self.described: list[Described] = []

    def add(self, method: str, path: str, handler: Handler, need: Need, operation: Operation | Tell) -> None:
        """HEAD comes with GET."""
        for each in ("GET", "HEAD") if method == "GET" else (method,):
            route = self.router.add_route(each, path, handler)
            self.needs[route] = need
        assert route.resource is not None  # noqa: S101  # it was added by its path
        self.described.append(Described(method, route.resource.canonical, need, operation))


def need_of(request: web.Request) -> Need | None:
    """None where there is no such path or method.

    Raises KeyError for a route that was added elsewhere: such a one is answered to nobody.
    """
    match = request.match_info
    return None if match.http_exception is not None else request.app[NEEDS][match.route]
