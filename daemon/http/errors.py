"""Which exception is which answer: one table, read along the exception's MRO."""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler
from multidict import CIMultiDict

from daemon.errors import (
    BadBase64,
    BadImage,
    Conflict,
    DeadlineExceeded,
    EngineClosed,
    HistoryError,
    InvalidDocument,
    LinkExpired,
    LowQuality,
    MoreThanOneFace,
    NotKept,
    Overloaded,
    PreconditionFailed,
    RegistryError,
    SearchTooLong,
    TooManyBytes,
    TooOften,
    UnknownStream,
    WorkerHung,
)
from daemon.http.access.credentials import shown_path
from daemon.http.access.errors import Forbidden, TooManyRequests, Unauthorized
from daemon.http.encodings import UnreadableBody
from daemon.wire.codec import encode
from processors.templates import TemplateError

log = logging.getLogger(__name__)

RETRY_AFTER_S = 1
NO_CAPACITY = "No capacity, try again later"
LATE = "The deadline passed"
MOST_QUOTED = 100  # characters of what came
UNREADABLE_BODY = "The body is not what Content-Encoding or Transfer-Encoding say"


def quoted(came: str) -> str:
    """Of a header or a path, for an answer. Bytes that are no UTF-8 come as surrogates, which no JSON can hold."""
    return came[:MOST_QUOTED].encode("utf-8", "replace").decode()


class UnsupportedMedia(Exception):
    """A body of a type or an encoding that is not taken; `accept` names the header that says which are."""

    def __init__(self, header: str, came: str, accept: str, expected: str) -> None:
        super().__init__(f"{header}: {quoted(came) or 'nothing'} came, {expected} was expected")
        self.headers = {accept: expected}


class InvalidRequest(InvalidDocument):
    """Mistakes beside the body: each `loc` begins with where they are, as "query"."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """`detail` is for the one who asked: never of the inside of an unexpected error."""

    status: int
    detail: object
    headers: Mapping[str, str] | None = None


def _invalid(err: InvalidDocument, *where: str) -> Refusal:
    return Refusal(422, [{"loc": [*where, *p.loc], "msg": p.msg, "type": p.type} for p in err.problems])


def _later(detail: str) -> Refusal:
    return Refusal(503, detail, {"Retry-After": str(RETRY_AFTER_S)})


def _not_allowed(err: web.HTTPMethodNotAllowed) -> Refusal:
    return Refusal(405, err.reason, {"Allow": allowed(err)})


def _unauthorized(err: Unauthorized) -> Refusal:
    """A line of its own for each way, as clients do not read a list of them."""
    return Refusal(401, str(err), CIMultiDict(("WWW-Authenticate", challenge) for challenge in err.challenges))


def allowed(err: web.HTTPMethodNotAllowed) -> str:
    """The methods that a path has."""
    return ", ".join(sorted({*err.allowed_methods, "OPTIONS"}))


REFUSALS: Mapping[type[BaseException], Callable[[Any], Refusal]] = {
    BadBase64: lambda err: Refusal(400, str(err)),
    BadImage: lambda err: Refusal(400, str(err)),
    LowQuality: lambda err: Refusal(400, str(err)),
    MoreThanOneFace: lambda err: Refusal(400, str(err)),
    TemplateError: lambda err: Refusal(400, str(err)),
    TooManyBytes: lambda err: Refusal(413, str(err)),
    InvalidDocument: lambda err: _invalid(err, "body"),
    InvalidRequest: _invalid,
    Unauthorized: _unauthorized,
    Forbidden: lambda err: Refusal(403, str(err)),
    TooManyRequests: lambda err: Refusal(429, str(err), {"Retry-After": str(err.retry_after)}),
    UnknownStream: lambda err: Refusal(404, str(err)),
    NotKept: lambda err: Refusal(404, str(err)),
    LinkExpired: lambda err: Refusal(410, str(err)),
    HistoryError: lambda err: _later(str(err)),
    Conflict: lambda err: Refusal(409, str(err)),
    PreconditionFailed: lambda err: Refusal(412, str(err)),
    TooOften: lambda err: Refusal(429, str(err), {"Retry-After": str(math.ceil(err.retry_after))}),
    RegistryError: lambda err: Refusal(507, str(err)),
    Overloaded: lambda err: _later(str(err)),
    EngineClosed: lambda _: _later("Stopping"),
    DeadlineExceeded: lambda _: Refusal(504, LATE),
    SearchTooLong: lambda err: Refusal(504, str(err)),
    WorkerHung: lambda _: Refusal(504, LATE),
    UnsupportedMedia: lambda err: Refusal(415, str(err), err.headers),
    web.HTTPMethodNotAllowed: _not_allowed,
    web.HTTPExpectationFailed: lambda _: Refusal(417, "Expect: 100-continue was expected, something else came"),
    web.HTTPException: lambda err: Refusal(err.status, err.reason),
    UnreadableBody: lambda _: Refusal(400, UNREADABLE_BODY),
    web.RequestPayloadError: lambda _: Refusal(400, UNREADABLE_BODY),
    Exception: lambda _: Refusal(500, "Internal Server Error"),
}


def refusal(err: Exception) -> Refusal:
    return next(REFUSALS[kind](err) for kind in type(err).__mro__ if kind in REFUSALS)


@web.middleware
async def refuses(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns exceptions into answers."""
    try:
        return await handler(request)
    except Exception as err:  # the table's last row
        answer = refusal(err)
        if isinstance(err, UnreadableBody):
            log.warning("a request of %s cannot be read: %s", request.remote, UNREADABLE_BODY)
        if answer.status == 500:
            log.exception("%s %s failed", request.method, shown_path(request.rel_url))
        return json_response({"detail": answer.detail}, answer.status, answer.headers)


def json_response(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(body=encode(body), status=status, headers=headers, content_type="application/json")
