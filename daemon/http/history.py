"""What has happened, as it is kept: found, deleted, and its shots (docs/history.md)."""

import asyncio
import contextlib
import re
from collections.abc import Callable, Sequence, Set
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlencode

from aiohttp import web
from pydantic import Field
from typing_extensions import TypedDict

from daemon.errors import HistoryError, LinkExpired, NotKept, Problem, nearest
from daemon.history.history import History
from daemon.history.selection import MICROSECONDS, TYPES, Position, Row, Selection, types_of
from daemon.history.urls import EXPIRES, SIGNATURE, ShotUrls
from daemon.http.access.caller import CALLER, may, tell_change, tell_look
from daemon.http.access.credentials import borne_by
from daemon.http.access.errors import Forbidden
from daemon.http.access.routes import Need, Routes
from daemon.http.access.sessions import cookie_name
from daemon.http.access.settings import Role
from daemon.http.errors import InvalidRequest, json_response, quoted
from daemon.http.openapi.operation import Content, Operation, Parameter
from daemon.http.streams.pictures import Place
from daemon.wire.codec import Members, parse
from daemon.wire.members import Time, one_of
from daemon.wire.v2 import IMAGE_URL, PlaceEvent, TrackEvent, rfc3339, without_templates
from processors.types import Label

WATCH: Final = Need(("watch",))
CONTROL: Final = Need(("control",))
LIMIT: Final = 100
MOST_LIMIT: Final = 1000
MOMENT: Final = Field(json_schema_extra={"format": "date-time"})
CLASSES: Final = ("face", "body")
FILTERS: Final = ("stream", "type", "class", "zone", "from", "to")
POSITION: Final = re.compile(r"(?P<at>\d{1,17})-(?P<id>\d{1,18})", re.ASCII)
FOR_OTHERS: Final = {"Cross-Origin-Resource-Policy": "cross-origin"}
NO_HISTORY: Final = "No history is kept: `history` and `state_dir` of the configuration begin one"


class Kept(TypedDict):
    """An event as it is kept."""

    id: str
    type: str
    time: Time
    data: TrackEvent | PlaceEvent


class KeptEvents(TypedDict):
    events: list[Kept]
    next: Annotated[str | None, Field(description="where there are more: what to send as `after`")]


class Deleted(TypedDict):
    deleted: Annotated[int, Field(ge=0)]


def _several(name: str, kind: Any, description: str) -> Parameter:
    return Parameter(name, list[kind], description, repeated=True)


_SELECTION: Final = (
    _several("stream", str, "of these streams"),
    _several("type", Annotated[str, one_of(TYPES)], "of these types"),
    _several("class", Label, "of objects of these classes"),
    _several("zone", str, "in these zones, or across these lines"),
    Parameter("from", Annotated[str, MOMENT], "since then"),
    Parameter("to", Annotated[str, MOMENT], "before then"),
)
_REFUSED: Final = frozenset({404, 422, 503})
LIST: Final = Operation(
    "What has happened, the latest first",
    {200: Content(KeptEvents)},
    _REFUSED | {504},
    (
        *_SELECTION,
        Parameter("limit", Annotated[int, Field(ge=1, le=MOST_LIMIT)], f"at most so many; {LIMIT} without it"),
        Parameter(
            "after", Annotated[str, Field(pattern=r"^[0-9]{1,17}-[0-9]{1,18}$")], "those behind `next` of an answer"
        ),
    ),
)
DELETE: Final = Operation(
    "Delete what has happened, and its shots",
    {200: Content(Deleted)},
    _REFUSED,
    (*_SELECTION, Parameter("all", Literal["1"], "everything, where nothing else is chosen")),
)
SHOT: Final = Operation(
    "A shot of a track",
    {200: Content(media_types=("image/jpeg",), description="as it was cut out of its frame")},
    frozenset({404, 410, 503, 504}),
    (Parameter(EXPIRES, str, "of a signed URL"), Parameter(SIGNATURE, str, "of a signed URL: it needs no key")),
)


class Past:
    """The handlers. Belongs to the event loop's thread."""

    def __init__(self, history: History | None, urls: ShotUrls, place: Place) -> None:
        """`history` None: there is none. A request is worked on in a `place`."""
        self._history = history
        self._urls = urls
        self._place = place

    def add_to(self, routes: Routes) -> None:
        routes.add("GET", "/history", self._list, WATCH, LIST)
        routes.add("DELETE", "/history", self._delete, CONTROL, DELETE)
        routes.add("GET", "/shots/{id}.jpg", self._show, Need(("watch",), stands_in=self._is_signed), SHOT)

    @property
    def _kept(self) -> History:
        if self._history is None:
            raise NotKept(NO_HISTORY)
        return self._history

    async def _list(self, request: web.Request) -> web.Response:
        _expect_known(request, (*FILTERS, "limit", "after"))
        wanted, of = _selection(request), _streams(request, "watch")
        limit, after = _limit(request), _position(request)
        async with self._place():
            rows = await self._kept.page(wanted, of, after, limit + 1)
            with_templates = {row.stream for row in rows if may(request, "templates", row.stream)}
            events = await asyncio.to_thread(self._events, rows[:limit], with_templates)
        more = rows[limit - 1].position if len(rows) > limit else None
        return json_response({"events": events, "next": None if more is None else f"{more.at}-{more.id}"})

    async def _delete(self, request: web.Request) -> web.Response:
        """Has no deadline: there may be much."""
        _expect_known(request, (*FILTERS, "all"))
        wanted, of = _selection(request), _streams(request, "control")
        if not any(name in request.query for name in FILTERS) and request.query.get("all") != "1":
            raise _invalid("all", f"Expected one of {', '.join(FILTERS)}, or all=1 for everything", "missing")
        which = urlencode(list(request.query.items()))
        try:
            deleted = await self._kept.delete(wanted, of)
        except HistoryError:
            tell_change(request, f"history: not all is deleted of {which}")
            raise
        tell_change(request, f"history: {deleted} events are deleted of {which}")
        return json_response({"deleted": deleted})

    async def _show(self, request: web.Request) -> web.Response:
        async with self._place():
            shot = await self._kept.shot(request.match_info["id"])
        if CALLER not in request:  # it is signed, and made for others
            return web.Response(body=shot.jpeg, content_type="image/jpeg", headers=FOR_OTHERS)
        if not may(request, "watch", shot.stream):
            raise Forbidden("The key is not for the stream of this shot")
        tell_look(request, shot.stream)
        return web.Response(body=shot.jpeg, content_type="image/jpeg")

    def _is_signed(self, request: web.Request) -> bool:
        """Raises LinkExpired where there is nothing else to let it in."""
        try:
            return self._urls.is_signed(request.match_info["id"], request.query)
        except LinkExpired:
            if borne_by(request) is None and cookie_name(request) not in request.cookies:
                raise
            return False

    def _events(self, rows: Sequence[Row], with_templates: Set[str]) -> Sequence[Members]:
        return [self._event(row, row.stream in with_templates) for row in rows]

    def _event(self, row: Row, with_template: bool) -> Members:
        data = parse(row.value if with_template else without_templates(row.value))
        if row.shot is not None:
            data["object"][IMAGE_URL] = self._urls(row.shot)
        return {
            "id": row.event_id,
            "type": row.type.partition(".")[0],
            "time": rfc3339(row.at / MICROSECONDS),
            "data": data,
        }


def _expect_known(request: web.Request, known: Sequence[str]) -> None:
    """Raises InvalidRequest: of a filter that is misspelt a deletion would know nothing."""
    for name in request.query:
        if name not in known:
            raise _invalid(quoted(name), f"Unknown{nearest(name, known)}", "extra_forbidden")


def _selection(request: web.Request) -> Selection:
    """Raises InvalidRequest."""
    return Selection(
        types=types_of(_among(request, "type", TYPES)),
        classes=_among(request, "class", CLASSES),
        zones=tuple(request.query.getall("zone", ())),
        since=_moment(request, "from"),
        until=_moment(request, "to"),
    )


def _streams(request: web.Request, role: Role) -> Callable[[str], bool]:
    """Those that are asked for, or all that the key is for. Raises Forbidden."""
    asked = request.query.getall("stream", ())
    for stream in asked:
        if not may(request, role, stream):
            raise Forbidden(f"The key is not for the stream {quoted(stream)}")
    return lambda stream: (not asked or stream in asked) and may(request, role, stream)


def _among(request: web.Request, name: str, known: Sequence[str]) -> tuple[str, ...]:
    """Raises InvalidRequest."""
    given = tuple(request.query.getall(name, ()))
    if not set(given) <= set(known):
        raise _invalid(name, f"Expected one of {', '.join(known)}", "enum")
    return given


def _moment(request: web.Request, name: str) -> float | None:
    """Unix seconds. Raises InvalidRequest."""
    given = request.query.get(name)
    if given is None:
        return None
    with contextlib.suppress(ValueError, OverflowError):
        moment = datetime.fromisoformat(given)
        if moment.tzinfo is not None:
            return moment.timestamp()
    message = "Expected a time as 2026-11-25T08:00:00Z or 2026-11-25T09:00:00%2B01:00 (a + in a URL is a space)"
    raise _invalid(name, message, "datetime_parsing")


def _limit(request: web.Request) -> int:
    """Raises InvalidRequest."""
    given = request.query.get("limit", str(LIMIT))
    if not (given.isascii() and given.isdigit() and 1 <= int(given[:9]) <= MOST_LIMIT):
        raise _invalid("limit", f"Expected a number from 1 to {MOST_LIMIT}", "int_parsing")
    return int(given)


def _position(request: web.Request) -> Position | None:
    """Raises InvalidRequest."""
    given = request.query.get("after")
    if given is None:
        return None
    match = POSITION.fullmatch(given)
    if match is None:
        raise _invalid("after", "Expected what `next` of an answer was", "string_pattern_mismatch")
    return Position(int(match["at"]), int(match["id"]))


def _invalid(name: str, message: str, kind: str) -> InvalidRequest:
    return InvalidRequest([Problem(("query", name), message, kind)])
