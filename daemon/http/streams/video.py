"""The pictures of streams one after the other, as motion JPEG: what browsers and players show as a video."""

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final
from urllib.parse import quote

from aiohttp import web
from pydantic import Field

from daemon.errors import EngineClosed, Problem
from daemon.flow.watched import Look, Watched, Watches
from daemon.http.access.caller import may, tell_look
from daemon.http.access.errors import Forbidden
from daemon.http.access.routes import Need, Routes
from daemon.http.errors import InvalidRequest, quoted
from daemon.http.long_answers import LongAnswer, LongAnswers, until
from daemon.http.openapi.operation import Content, Operation, Parameter
from daemon.http.streams.pictures import CAPTURED_AT, SHOWN, WATCH_ONE, Form, Pictures
from daemon.wire.v2 import rfc3339

WATCH: Final = Need(("watch",))
HEADERS: Final = {"Content-Type": "multipart/x-mixed-replace; boundary=frame", "X-Accel-Buffering": "no"}
BOUNDARY: Final = b"--frame\r\n"
"""Sent right behind each part: browsers show one when they have seen its end."""
FOUND: Final = "X-Found"
FPS, MOST_FPS = 5.0, 60.0
MOST_STREAMS: Final = 64
REPEAT_S: Final = 15.0
"""After which a picture is sent again: proxies close connections on which nothing comes."""


_VIDEO: Final = Content(
    media_types=("multipart/x-mixed-replace",),
    description="JPEGs, each with Content-Location and X-Captured-At, without end",
)
_FORM: Final = (
    *SHOWN,
    Parameter(
        "fps", Annotated[float, Field(gt=0, le=MOST_FPS)], f"pictures a second of each stream at most; {FPS:g} without"
    ),
)
_REFUSED: Final = frozenset({404, 422, 503})
OF_ONE: Final = Operation("A stream as motion JPEG", {200: _VIDEO}, _REFUSED, _FORM)
OF_SEVERAL: Final = Operation(
    "Several streams as motion JPEG over one connection",
    {200: _VIDEO},
    _REFUSED,
    (
        *_FORM,
        Parameter(
            "streams",
            Annotated[list[str], Field(min_length=1, max_length=MOST_STREAMS)],
            "their ids",
            required=True,
        ),
    ),
)


@dataclass(slots=True, eq=False)
class View:
    """A stream in a video."""

    watched: Watched
    interval: float
    shown: Look | None = None
    """The last."""
    shown_at: float = -math.inf
    """By the event loop's time."""

    @property
    def due_at(self) -> float:
        look = self.watched.look
        if look is None:
            return math.inf
        return self.shown_at + (REPEAT_S if look is self.shown else self.interval)


class Video:
    """The handlers. Belongs to the event loop's thread."""

    def __init__(
        self, watches: Watches, expect: Callable[[str], object], pictures: Pictures, long_answers: LongAnswers
    ) -> None:
        """`expect` raises what a stream is answered with that there is not."""
        self._watches = watches
        self._expect = expect
        self._pictures = pictures
        self._long_answers = long_answers

    def add_to(self, routes: Routes) -> None:
        routes.add("GET", "/video", self._of_several, WATCH, OF_SEVERAL)
        routes.add("GET", "/streams/{id}/video", self._of_one, WATCH_ONE, OF_ONE)

    async def _of_one(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, [request.match_info["id"]])

    async def _of_several(self, request: web.Request) -> web.StreamResponse:
        streams = list(dict.fromkeys(filter(None, request.query.get("streams", "").split(","))))
        if not 1 <= len(streams) <= MOST_STREAMS:
            message = f"Expected 1 to {MOST_STREAMS} ids of streams, with commas"
            raise InvalidRequest([Problem(("query", "streams"), message, "value_error")])
        for stream in streams:
            if not may(request, "watch", stream):
                raise Forbidden(f"The key is not for the stream {quoted(stream)}")
        return await self._answer(request, streams)

    async def _answer(self, request: web.Request, streams: Sequence[str]) -> web.StreamResponse:
        form, interval = Form.asked_for(request), 1 / _fps(request)
        for stream in streams:
            self._expect(stream)
        views = [View(self._watches.watched(stream), interval) for stream in streams]
        return await self._long_answers.answer(
            request, "video", HEADERS, lambda answer: self._write(answer, views, form)
        )

    async def _write(self, answer: LongAnswer, views: Sequence[View], form: Form) -> None:
        changed = asyncio.Event()
        for view in views:
            view.watched.viewers.add(changed)
        try:
            await answer.write(BOUNDARY)
            while left := [view for view in views if _is_there(answer.request, view)]:
                changed.clear()
                await self._show(answer, left, form)
                await until(changed, min(*(view.due_at for view in left), answer.clock() + REPEAT_S))
        finally:
            for view in views:
                view.watched.viewers.discard(changed)

    async def _show(self, answer: LongAnswer, views: Sequence[View], form: Form) -> None:
        """The pictures that are due, made side by side."""
        now = answer.clock()
        due = [view for view in views if view.due_at <= now]
        parts = await asyncio.gather(*(self._part(answer.request, view, form, now) for view in due))
        if due:
            await answer.write(b"".join(parts))

    async def _part(self, request: web.Request, view: View, form: Form, now: float) -> bytes:
        """None of a picture that cannot be made: another will come. Raises EngineClosed."""
        look = view.watched.look
        if look is None:  # what may be seen of the stream has just changed
            return b""
        view.shown, view.shown_at = look, now
        tell_look(request, view.watched.stream)
        try:
            picture = await self._pictures.jpeg(look, form)
        except EngineClosed:
            raise
        except Exception:  # noqa: BLE001  # whatever a frame's conversion raises, which its stream has told
            return b""
        return b"".join([_head(look, view.watched.stream, len(picture)), picture, b"\r\n", BOUNDARY])


def _head(look: Look, stream: str, size: int) -> bytes:
    lines = (
        "Content-Type: image/jpeg",
        f"Content-Length: {size}",
        f"Content-Location: /streams/{quote(stream, safe='')}/snapshot.jpg",
        f"{CAPTURED_AT}: {rfc3339(look.sample.frame.captured_at)}",
        f"{FOUND}: {found(look)}",
    )
    return "\r\n".join((*lines, "", "")).encode()


def found(look: Look) -> str:
    """How many objects of each class, e.g. "body=1, face=2"; empty: none."""
    counts = Counter(obj.label for obj in look.sample.objects)
    return ", ".join(f"{label}={count}" for label, count in sorted(counts.items()))


def _is_there(request: web.Request, view: View) -> bool:
    return not view.watched.left and may(request, "watch", view.watched.stream)


def _fps(request: web.Request) -> float:
    """Raises InvalidRequest."""
    try:
        fps = float(request.query.get("fps", FPS))
    except ValueError:
        fps = math.nan
    if not 0 < fps <= MOST_FPS:
        raise InvalidRequest([Problem(("query", "fps"), f"Expected a number up to {MOST_FPS:g}", "float_parsing")])
    return fps
