"""What streams see, as server-sent events (WHATWG HTML, section 9.2): docs/subscribers.md."""

import contextlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from aiohttp import web

from daemon.errors import Problem
from daemon.flow.watched import Event, Subscription, Watched, Watches
from daemon.http.access.caller import may, tell_look
from daemon.http.access.routes import Need, Routes
from daemon.http.errors import InvalidRequest
from daemon.http.long_answers import LongAnswer, LongAnswers, until
from daemon.http.openapi.operation import Content, Operation, Parameter
from daemon.wire.codec import encode
from daemon.wire.v2 import FRAME_SCHEMA, PLACE_SCHEMA, TRACK_SCHEMA, without_templates

WATCH: Final = Need(("watch",))
WATCH_ONE: Final = Need(("watch",), stream="id")

TYPES: Final[Mapping[str, str]] = {FRAME_SCHEMA[0]: "frame", TRACK_SCHEMA[0]: "track", PLACE_SCHEMA[0]: "place"}
"""What an event is called, by the schema of its document."""
HEADERS: Final = {"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
"""nginx would keep events back until it has a buffer of them."""
COMMENT: Final = b":\n\n"
COMMENT_S: Final = 15.0
"""Proxies close connections on which nothing comes, some after 30 s."""
RETRY_MS: Final = 2000
POSITION: Final = re.compile(r"(?P<run>[0-9a-f]{32})-(?P<sequence>\d{1,18})", re.ASCII)

_EVENTS: Final = Content(
    media_types=("text/event-stream",),
    description="Events, without end. The data of `frame`, `track` and `place` is what /schemas describes; `gap` says "
    "that something was missed: docs/subscribers.md.",
)
_WANTED: Final = (
    Parameter("types", list[Literal["frame", "track", "place"]], "these alone"),
    Parameter("Last-Event-ID", str, "the last id that came: goes on behind it", "header"),
)
OF_ALL: Final = Operation("What all streams see", {200: _EVENTS}, frozenset({422, 503}), _WANTED)
OF_ONE: Final = Operation("What a stream sees", {200: _EVENTS}, frozenset({404, 422, 503}), _WANTED)

Reason = Literal["slow", "window", "restart", "unknown id"]


@dataclass(frozen=True, slots=True)
class Position:
    """Where a subscriber begins."""

    after: int
    """Of the sequence."""
    gap: Reason | None = None
    """Why it may miss something."""


class Events:
    """The handlers. Belongs to the event loop's thread."""

    def __init__(self, watches: Watches, expect: Callable[[str], object], long_answers: LongAnswers) -> None:
        """`expect` raises what a stream is answered with that there is not."""
        self._watches = watches
        self._expect = expect
        self._long_answers = long_answers

    def add_to(self, routes: Routes) -> None:
        routes.add("GET", "/events", self._of_all, WATCH, OF_ALL)
        routes.add("GET", "/streams/{id}/events", self._of_one, WATCH_ONE, OF_ONE)

    async def _of_one(self, request: web.Request) -> web.StreamResponse:
        stream = request.match_info["id"]
        self._expect(stream)
        return await self._answer(request, self._watches.watched(stream))

    async def _of_all(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, None)

    async def _answer(self, request: web.Request, watched: Watched | None) -> web.StreamResponse:
        types, position = _types(request), self._position(request.headers.get("Last-Event-ID"))
        subscription = Subscription(
            self._watches,
            watched,
            may=lambda stream: may(request, "watch", stream),
            wants=lambda kind: TYPES.get(kind) in types,
            after=position.after,
        )
        gap = position.gap or ("window" if subscription.has_gap else None)
        with contextlib.closing(subscription):
            return await self._long_answers.answer(
                request, "events", HEADERS, lambda answer: self._write(answer, subscription, position.after, gap)
            )

    async def _write(self, answer: LongAnswer, subscription: Subscription, after: int, gap: Reason | None) -> None:
        """Until the stream is no more, or the key."""
        await answer.write(self._opening(after, gap))
        comment_at = answer.clock() + COMMENT_S
        while may(answer.request, "watch", subscription.stream) and not subscription.ended:
            if data := self._next(answer.request, subscription):
                await answer.write(data)
            if answer.clock() >= comment_at:
                await answer.write(COMMENT)
                subscription.meet_all(self._watches.sequence)
                comment_at = answer.clock() + COMMENT_S
            await until(subscription.changed, comment_at)
        await answer.write(self._next(answer.request, subscription))

    def _opening(self, after: int, gap: Reason | None) -> bytes:
        """An id without data is no event, and clients keep it all the same: cut off now, one begins there again."""
        opening = f"retry: {RETRY_MS}\nid: {self._watches.run}-{after}\n\n".encode()
        return opening if gap is None else opening + _gap(gap, None)

    def _next(self, request: web.Request, subscription: Subscription) -> bytes:
        lost, events = subscription.take()
        parts = [_gap("slow", lost)] if lost else []
        parts += [self._form(request, event) for event in events if may(request, "watch", event.stream)]
        return b"".join(parts)

    def _form(self, request: web.Request, event: Event) -> bytes:
        if event.has_pictures:
            tell_look(request, event.stream)
        with_templates = may(request, "templates", event.stream)
        if with_templates not in event.forms:
            document = event.value if with_templates else without_templates(event.value)
            head = f"id: {self._watches.run}-{event.sequence}\nevent: {TYPES[event.kind]}\ndata: ".encode()
            event.forms[with_templates] = b"%s%s\n\n" % (head, document)
        return event.forms[with_templates]

    def _position(self, last_id: str | None) -> Position:
        now = self._watches.sequence
        if last_id is None:
            return Position(now)
        match = POSITION.fullmatch(last_id)
        if match is None:
            return Position(now, "unknown id")
        if match["run"] != self._watches.run:
            return Position(0, "restart")
        sequence = int(match["sequence"])
        return Position(sequence) if sequence <= now else Position(now, "unknown id")


def _gap(reason: Reason, lost: int | None) -> bytes:
    return b"event: gap\ndata: %s\n\n" % encode({"reason": reason, "lost": lost})


def _types(request: web.Request) -> frozenset[str]:
    """Raises InvalidRequest."""
    given = request.query.get("types")
    if given is None:
        return frozenset(TYPES.values())
    types = frozenset(given.split(","))
    if not types <= set(TYPES.values()):
        expected = ", ".join(TYPES.values())
        raise InvalidRequest([Problem(("query", "types"), f"Expected of {expected}, with commas", "enum")])
    return types
