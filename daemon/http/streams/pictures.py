"""The last picture of a stream: made when it is asked for, once however many ask (docs/subscribers.md)."""

import asyncio
import contextlib
from collections.abc import Callable
from email.utils import formatdate
from typing import Final, Literal, NamedTuple

from aiohttp import web

from daemon.errors import Overloaded, Problem
from daemon.flow.engine import Lane
from daemon.flow.watched import Look, Watches
from daemon.http.access.caller import tell_look
from daemon.http.access.routes import Need, Routes
from daemon.http.errors import InvalidRequest
from daemon.http.openapi.operation import Content, Operation, Parameter
from daemon.http.widths import DISPLAY_WIDTH, WIDTH, width_of
from daemon.pictures.shown import shown, sized
from daemon.wire.v2 import rfc3339

WATCH_ONE: Final = Need(("watch",), stream="id")
MOST_FORMS: Final = 8
"""Of one look, that are kept."""
CAPTURED_AT: Final = "X-Captured-At"

SHOWN: Final = (
    WIDTH,
    Parameter("draw", Literal["0", "1"], "1: with what was found on it"),
    DISPLAY_WIDTH,
)
SNAPSHOT: Final = Operation(
    "The last picture of a stream that was looked at",
    {200: Content(media_types=("image/jpeg",), description="X-Captured-At says when it was captured")},
    frozenset({404, 422, 503, 504}),
    SHOWN,
)

Place = Callable[[], contextlib.AbstractAsyncContextManager[None]]


class Form(NamedTuple):
    """How a picture is shown."""

    width: int | None
    """At most, in pixels; None: as it is."""
    draw: bool
    """With what was found."""
    display_width: int | None = None
    """drawn()'s."""

    @classmethod
    def asked_for(cls, request: web.Request) -> "Form":
        """Raises InvalidRequest."""
        draw = request.query.get("draw", "0")
        if draw not in ("0", "1"):
            raise InvalidRequest([Problem(("query", "draw"), "Expected 0 or 1", "bool_parsing")])
        return cls(width_of(request, WIDTH), draw == "1", width_of(request, DISPLAY_WIDTH))


class Pictures:
    """Makes them, in a lane of the engine."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane

    async def jpeg(self, look: Look, form: Form) -> bytes:
        """Raises what the frame's conversion does, EngineClosed and WorkerHung."""
        making = look.pictures.get(form)
        if making is None:
            if len(look.pictures) >= MOST_FORMS:
                del look.pictures[next(iter(look.pictures))]
            making = look.pictures[form] = self._lane.submit(_made, look, form)
            making.add_done_callback(lambda made: made.cancelled() or made.exception())  # whoever asked may have left
        return await asyncio.shield(making)


class Snapshots:
    """The handler. Belongs to the event loop's thread."""

    def __init__(self, watches: Watches, expect: Callable[[str], object], pictures: Pictures, place: Place) -> None:
        """`expect` raises what a stream is answered with that there is not; a request is worked on in a `place`."""
        self._watches = watches
        self._expect = expect
        self._pictures = pictures
        self._place = place

    def add_to(self, routes: Routes) -> None:
        routes.add("GET", "/streams/{id}/snapshot.jpg", self._show, WATCH_ONE, SNAPSHOT)

    async def _show(self, request: web.Request) -> web.Response:
        stream, form = request.match_info["id"], Form.asked_for(request)
        self._expect(stream)
        watched = self._watches.watched(stream)
        if (look := watched.look) is None:
            why = f", or may be shown: {watched.withheld}" if watched.withheld else ""
            raise Overloaded(f"No frame of the stream has been looked at yet{why}")
        tell_look(request, stream)
        async with self._place():
            picture = await self._pictures.jpeg(look, form)
        captured_at = look.sample.frame.captured_at
        headers = {CAPTURED_AT: rfc3339(captured_at), "Last-Modified": formatdate(captured_at, usegmt=True)}
        return web.Response(body=picture, content_type="image/jpeg", headers=headers)


def _made(look: Look, form: Form) -> bytes:
    with look.converting:  # two workers may be at two forms of one picture
        image = sized(look.sample.frame, form.width)
    return shown(look.sample, image, draw=form.draw, display_width=form.display_width)
