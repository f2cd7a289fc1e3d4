"""Streams as resources: seen, added, changed, removed and checked (docs/control.md)."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Final, Literal

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from pydantic import Field
from typing_extensions import TypedDict

from daemon.control.build import MakeSource
from daemon.control.checks import Checks
from daemon.control.credentials import apart, merged, restored, shown
from daemon.control.run_time import ID, ID_EXPECTED, RunTime
from daemon.control.settings import StreamSettings
from daemon.control.wanted import Condition, Entry, Origin, Wanted
from daemon.errors import DeadlineExceeded, InvalidDocument, Problem, SourceError, TooManyBytes, UnknownStream
from daemon.flow.overview import Overview
from daemon.http.access.caller import CALLER, may, tell_change
from daemon.http.access.routes import Need, Routes
from daemon.http.errors import InvalidRequest, UnsupportedMedia, json_response
from daemon.http.openapi.operation import Content, Operation, Parameter
from daemon.sources import make_source
from daemon.sources.probe import Probed
from daemon.wire.codec import Members, parse

MOST_BYTES = 64 * 1024
"""Of a body: settings are small."""
BODY_S = 10.0
LIMIT, MOST_LIMIT = 100, 1000
MERGE_PATCH = "application/merge-patch+json"
JSON = "application/json"
RUNS = ("running", "starving")

CONTROL = Need(("control",))
CONTROL_OF_ONE = Need(("control",), stream="id")

Row = Callable[[str], Members]
"""What /status shows of a stream."""


class StreamInShort(TypedDict):
    id: str
    origin: Origin
    settings: Annotated[Members, Field(description="as they were sent, without what is secret: see PUT")]
    state: str
    error: str | None


class StreamOfRest(StreamInShort):
    status: Annotated[Members, Field(description="its row of /status")]


class StreamsInShort(TypedDict):
    streams: list[StreamInShort]
    next: Annotated[str | None, Field(description="where there are more: what to send as `after`")]


class Found(TypedDict):
    ok: Literal[True]
    codec: str | None
    width: int | None
    height: int | None
    fps: float | None
    keyframe_interval: Annotated[float | None, Field(description="seconds")]


FoundBy = TypedDict("FoundBy", {"from": Literal["stream", "connection"]})


class Check(Found, FoundBy):
    """What its camera sends."""


class CheckInVain(TypedDict):
    ok: Literal[False]
    reason: str


_CONFLICT: Final = frozenset({404, 409, 412, 507})
_CONDITIONS: Final = (
    Parameter("If-Match", str, "revisions (ETag) of which it must have one", "header"),
    Parameter("If-None-Match", Literal["*"], "it must be new", "header"),
)
_ONE: Final = {200: Content(StreamOfRest)}
_CHECKED: Final = {200: Content(Check | CheckInVain)}
_SETTINGS: Final = Content(StreamSettings)
LIST: Final = Operation(
    "The streams",
    {200: Content(StreamsInShort)},
    frozenset({422}),
    (
        Parameter("limit", Annotated[int, Field(ge=1, le=MOST_LIMIT)], f"at most so many; {LIMIT} without it"),
        Parameter("after", str, "those behind this id"),
        Parameter("label", list[str], "NAME=VALUE, or NAME for any value: those that have all of them", repeated=True),
        Parameter("state", list[str], "those in one of these states", repeated=True),
    ),
)
GET: Final = Operation("A stream: settings and status", _ONE, frozenset({404}))
PUT: Final = Operation(
    "Add or replace a stream", {**_ONE, 201: Content(StreamOfRest)}, _CONFLICT, _CONDITIONS, takes=[_SETTINGS]
)
PATCH: Final = Operation(
    "Change settings of a stream: a JSON merge patch (RFC 7396), null takes a key away",
    _ONE,
    _CONFLICT,
    _CONDITIONS,
    takes=[Content(Members, (MERGE_PATCH, JSON))],
)
DELETE: Final = Operation("Remove a stream", {204: None}, _CONFLICT | {422}, _CONDITIONS)
PAUSE: Final = Operation("Leave a stream's source alone", _ONE, _CONFLICT | {422}, _CONDITIONS)
RESUME: Final = Operation("Connect its source again", _ONE, _CONFLICT | {422}, _CONDITIONS)
RESTART: Final = Operation("Connect its source anew", {202: Content(StreamOfRest)}, frozenset({404, 409}))
CHECK_ONE: Final = Operation("What a stream's camera sends, or why nothing comes", _CHECKED, frozenset({404, 503, 504}))
CHECK: Final = Operation("What the camera of such a stream would send", _CHECKED, takes=[_SETTINGS])


class Streams:
    """The handlers. Belongs to the event loop's thread."""

    def __init__(self, wanted: Wanted, run_time: RunTime, overview: Overview, row: Row) -> None:
        self._wanted = wanted
        self._run_time = run_time
        self._overview = overview
        self._row = row
        self._checks = Checks()

    def add_to(self, routes: Routes) -> None:
        one = "/streams/{id}"
        routes.add("GET", "/streams", self._list, CONTROL, LIST)
        routes.add("GET", one, self._get, CONTROL_OF_ONE, GET)
        routes.add("PUT", one, self._put, CONTROL_OF_ONE, PUT)
        routes.add("PATCH", one, self._patch, CONTROL_OF_ONE, PATCH)
        routes.add("DELETE", one, self._delete, CONTROL_OF_ONE, DELETE)
        routes.add("POST", f"{one}/pause", self._paused(True), CONTROL_OF_ONE, PAUSE)
        routes.add("POST", f"{one}/resume", self._paused(False), CONTROL_OF_ONE, RESUME)
        routes.add("POST", f"{one}/restart", self._restart, CONTROL_OF_ONE, RESTART)
        routes.add("POST", f"{one}/check", self._check_stream, CONTROL_OF_ONE, CHECK_ONE)
        routes.add("POST", "/check", self._check, CONTROL, CHECK)

    async def _list(self, request: web.Request) -> web.Response:
        limit, after = _limit(request.query.get("limit")), request.query.get("after", "")
        labels, states = request.query.getall("label", []), request.query.getall("state", [])
        entries = self._wanted.entries
        found = [
            self._short(entries[stream])
            for stream in sorted(entries)
            if stream > after and _has_labels(entries[stream], labels) and may(request, "control", stream)
        ]
        found = [one for one in found if not states or one["state"] in states]
        more = found[limit - 1]["id"] if len(found) > limit else None
        return json_response({"streams": found[:limit], "next": more})

    async def _get(self, request: web.Request) -> web.Response:
        return self._answer(self._wanted.entry(_id(request)))

    async def _put(self, request: web.Request) -> web.Response:
        sent = apart(await _members(request, JSON))

        def edit(before: Entry | None) -> Members:
            if before is None:
                _expect_id(_id(request))
            return restored(sent, {} if before is None else before.members)

        return await self._change(request, edit)

    async def _patch(self, request: web.Request) -> web.Response:
        patch = apart(await _members(request, MERGE_PATCH, JSON))

        def edit(before: Entry | None) -> Members:
            was = _there(before, request).members
            inherits = "password" in was and "password" not in patch
            return restored(merged(was, patch), was, inherits=inherits)

        return await self._change(request, edit)

    async def _delete(self, request: web.Request) -> web.Response:
        await self._wanted.remove(_id(request), _condition(request))
        _log(request, "removed")
        return web.Response(status=204)

    def _paused(self, paused: bool) -> Handler:
        async def handler(request: web.Request) -> web.Response:
            return await self._change(request, lambda before: {**_there(before, request).members, "paused": paused})

        return handler

    async def _restart(self, request: web.Request) -> web.Response:
        entry = self._wanted.restart(_id(request))
        _log(request, "restarted")
        return self._answer(entry, 202)

    async def _check(self, request: web.Request) -> web.Response:
        sent = restored(apart(await _members(request, JSON)), None)
        settings = await asyncio.to_thread(self._run_time.accept, "check", sent)
        await self._run_time.judge(settings)
        return await self._checked(request, settings, self._run_time.source)

    async def _check_stream(self, request: web.Request) -> web.Response:
        entry = self._wanted.entry(_id(request))
        supervisor = self._overview.streams[entry.stream]
        video = supervisor.stream.video
        if supervisor.state in RUNS and video.size is not None:
            probed = Probed(video.codec, video.size, self._row(entry.stream)["video"]["fps"])
            return json_response({"ok": True, **probed.figures(), "from": "stream"})
        settings = entry.built.settings
        if settings is None:
            return json_response({"ok": False, "reason": entry.built.refusal})
        make = make_source if entry.origin == "file" else self._run_time.source
        return await self._checked(request, settings, make)

    async def _checked(self, request: web.Request, settings: StreamSettings, make: MakeSource) -> web.Response:
        try:
            probed = await self._checks.run(_who(request), settings, make)
        except SourceError as err:
            return json_response({"ok": False, "reason": str(err)})
        return json_response({"ok": True, **probed.figures(), "from": "connection"})

    async def _change(self, request: web.Request, edit: Callable[[Entry | None], Members]) -> web.Response:
        entry, new = await self._wanted.put(_id(request), edit, _condition(request))
        _log(request, "added" if new else "changed")
        return self._answer(entry, 201 if new else 200)

    def _answer(self, entry: Entry, status: int = 200) -> web.Response:
        body = self._short(entry) | {"status": self._row(entry.stream)}
        return json_response(body, status, {hdrs.ETAG: f'"{entry.revision}"'})

    def _short(self, entry: Entry) -> Members:
        supervisor = self._overview.streams[entry.stream]
        return {
            "id": entry.stream,
            "origin": entry.origin,
            "settings": shown(entry.members),
            "state": supervisor.state,
            "error": entry.built.refusal or supervisor.error,
        }


def _id(request: web.Request) -> str:
    return request.match_info["id"]


def _who(request: web.Request) -> str:
    """Who asks, for limits: a key, wherever it is used from."""
    return request[CALLER].name or request.remote or ""


def _log(request: web.Request, what: str) -> None:
    tell_change(request, f"stream {_id(request)}: {what}")


def _there(entry: Entry | None, request: web.Request) -> Entry:
    if entry is None:
        raise UnknownStream(_id(request))
    return entry


async def _members(request: web.Request, *accepted: str) -> Members:
    """A JSON object. Raises UnsupportedMedia, TooManyBytes, InvalidDocument and DeadlineExceeded."""
    if request.content_type not in accepted:
        raise UnsupportedMedia(hdrs.CONTENT_TYPE, request.headers.get(hdrs.CONTENT_TYPE, ""), hdrs.ACCEPT, accepted[0])
    if (request.content_length or 0) > MOST_BYTES:
        raise TooManyBytes("body", request.content_length, MOST_BYTES)
    try:
        async with asyncio.timeout(BODY_S):
            members = parse(await _body(request))
    except TimeoutError as err:
        raise DeadlineExceeded(f"the body has not come in {BODY_S:g} s") from err
    if not isinstance(members, dict):
        raise InvalidDocument([Problem((), "Input should be an object", "dict_type")])
    return members


async def _body(request: web.Request) -> bytes:
    body = b""
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > MOST_BYTES:
            raise TooManyBytes("body", None, MOST_BYTES)
    return body


def _expect_id(stream: str) -> None:
    if not ID.fullmatch(stream):
        raise InvalidRequest([Problem(("path", "id"), ID_EXPECTED, "string_pattern_mismatch")])


def _condition(request: web.Request) -> Condition:
    match, none_match = request.headers.get(hdrs.IF_MATCH), request.headers.get(hdrs.IF_NONE_MATCH)
    if none_match is not None and none_match.strip() != "*":
        problem = Problem(("header", hdrs.IF_NONE_MATCH), "Expected *, which creates a stream alone", "value_error")
        raise InvalidRequest([problem])
    revisions = None if match is None else {one.strip().strip('"') for one in match.split(",")}
    return Condition(revisions, must_be_new=none_match is not None)


def _limit(given: str | None) -> int:
    if given is None:
        return LIMIT
    if not given.isascii() or not given.isdigit() or not 1 <= int(given[:9]) <= MOST_LIMIT:
        problem = Problem(("query", "limit"), f"Expected a number from 1 to {MOST_LIMIT}", "int_parsing")
        raise InvalidRequest([problem])
    return int(given)


def _has_labels(entry: Entry, wanted: Sequence[str]) -> bool:
    """Each is NAME=VALUE, or NAME for any value."""
    settings = entry.built.settings
    labels: Mapping[str, str] = {} if settings is None else settings.labels
    for label in wanted:
        name, equals, value = label.partition("=")
        if name not in labels or (equals and labels[name] != value):
            return False
    return True
