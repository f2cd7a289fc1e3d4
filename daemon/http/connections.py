"""Connections: how many, and what a client may take for a request's head and for reading its answer.

All that knows aiohttp's inside is here. aiohttp bounds none of this by itself but how long a connection may be idle.
"""

import asyncio
import contextlib
import errno
import logging
import resource
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final, cast

from aiohttp import StreamReader, http_exceptions, web

from daemon.http.errors import UNREADABLE_BODY, json_response, refusal
from daemon.http.settings import HttpSettings
from daemon.wire.codec import encode

log = logging.getLogger(__name__)

BACKLOG: Final = 4096
"""Connections that wait to be accepted: a crowd is to wait there, where a shorter queue would have it reset."""
SHARE_OF_DESCRIPTORS = 0.5  # the others are for cameras, brokers, models and files
LINGER_S = 10.0  # for the rest of a body that was refused; closed at once, its client could not read the answer
MOST_HEAD_BYTES: Final = 65_536
MOST_HEADERS: Final = 100
LONGEST_LINE: Final = 8190
FIRST_REQUEST_S = 3.0  # that a new connection has for its first request, before it gives its place to another
ROOM_PAUSE_S = 0.05
CLOSING_TLS_S = 1.0  # for the other side's end of TLS, and at a stop for its beginning
DESCRIPTORS_PAUSE_S = 1.0
TOLD_EVERY_S = 60.0
NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

UNREADABLE: Mapping[type[BaseException], str] = {
    http_exceptions.LineTooLong: f"A line of the request's head is longer than {LONGEST_LINE:,} bytes, the limit",
    http_exceptions.BadHttpMethod: "This is no HTTP request: a method was expected first",
    http_exceptions.InvalidURLError: "The request's target is malformed",
    http_exceptions.InvalidHeader: "A header is malformed",
    http_exceptions.TransferEncodingError: UNREADABLE_BODY,
    http_exceptions.ContentLengthError: UNREADABLE_BODY,
    Exception: "The request is not HTTP/1.1: its head, or where its body ends, cannot be read",
}
"""In words of ours, as aiohttp's quote what came: a picture, or a password."""


class Connection(web.RequestHandler):
    """One connection of a client."""

    __slots__ = ("_answered", "_body", "_connections", "_head_bytes", "_head_due", "since", "until_answered")

    def __init__(self, connections: "Connections", *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.since = self._loop.time()
        """When it began to wait for a request."""
        self.until_answered = contextlib.ExitStack()
        """What is held for the request at hand until its client has the answer."""
        self._connections = connections
        self._answered = 0
        self._body: StreamReader | None = None
        self._head_bytes = 0
        self._head_due: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        """Whether it waits for a request, or for the rest of a request's head."""
        return self._request_count == self._answered and (self._body is None or self._body.is_eof())

    @property
    def expendable(self) -> bool:
        """Whether it may give its place to another: it is idle, and not because its first request is on its way."""
        return self.idle and (self._answered > 0 or self._loop.time() - self.since > FIRST_REQUEST_S)

    @contextlib.contextmanager
    def at_work(self, request: web.BaseRequest) -> Iterator[None]:
        self._body = request.content
        try:
            with self.until_answered:
                yield
        finally:
            self._answered += 1
            self.since = self._loop.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._connections.opened(self)
        self._expect_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._connections.closed(self)
        self._expect_nothing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self.idle:
            super().data_received(data)
            return
        if self._head_due is None:
            self._expect_head()
        before = self._request_count
        super().data_received(data)
        if self._request_count != before:
            self._expect_nothing()
            return
        self._head_bytes += len(data)
        if self._head_bytes > MOST_HEAD_BYTES:
            self._turn_away(HEAD_TOO_LARGE)

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answers what is no request, and says so in the log without a word of what came."""
        if not isinstance(exc, http_exceptions.HttpProcessingError):
            return super().handle_error(request, status, exc, message)
        detail = next(UNREADABLE[kind] for kind in type(exc).__mro__ if kind in UNREADABLE)
        log.warning("a request of %s cannot be read: %s", self._client, detail)
        response = json_response({"detail": detail}, status)
        response.force_close()
        return response

    def log_exception(self, *args: Any, **kwargs: Any) -> None:
        """A body that broke off or is not of its encoding is no failure of ours, and was answered."""
        if isinstance(kwargs.get("exc_info"), web.RequestPayloadError | http_exceptions.HttpProcessingError):
            log.warning("a request of %s cannot be read: %s", self._client, UNREADABLE_BODY)
        else:
            super().log_exception(*args, **kwargs)

    @property
    def _client(self) -> str:
        return str(self.peername[0]) if isinstance(self.peername, tuple) else "a client that left"

    def _expect_head(self) -> None:
        self._head_bytes = 0
        self._head_due = self._loop.call_later(self._connections.header_timeout, self._head_is_late)

    def _expect_nothing(self) -> None:
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None

    def _head_is_late(self) -> None:
        self._head_due = None
        if self._head_bytes:
            self._turn_away(HEAD_TOO_LATE)
        else:
            self.force_close()

    def _turn_away(self, answer: bytes) -> None:
        if self.transport is not None:
            self.transport.write(answer)
        self.force_close()


class Connections:
    """Accepts connections of a server, up to a number; belongs to the event loop's thread.

    At that number the one that has waited for a request the longest is closed for a new one. Where none has waited for
    long, new ones wait in the backlog, as a crowd does that is to hear 503 in its turn, and no reset.
    """

    def __init__(self, server: web.Server, settings: HttpSettings, tls: ssl.SSLContext | None = None) -> None:
        self.tls = tls
        """Of connections that are accepted from now on."""
        self.header_timeout = settings.header_timeout
        self.most = _most(settings.max_connections)
        self._settings = settings
        self._server = server
        self._handle = server.request_handler
        server.request_handler = self._answer  # type: ignore[assignment]
        self._open: set[Connection] = set()
        self._connecting: set[asyncio.Task[None]] = set()
        self._listening: list[socket.socket] = []
        self._told: dict[str, float] = {}

    async def listen(self) -> None:
        """Raises OSError."""
        loop = asyncio.get_running_loop()
        host, port = self._settings.host, self._settings.port
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, address in dict.fromkeys((family, address) for family, _, _, _, address in found):
            listening = socket.create_server(address, family=family, backlog=BACKLOG)
            listening.setblocking(False)
            self._listening.append(listening)
            loop.add_reader(listening, self._accept, listening)

    @property
    def port(self) -> int:
        port: int = self._listening[0].getsockname()[1]
        return port

    async def close(self) -> None:
        """Accepts no more; what is open stays."""
        while self._listening:
            listening = self._listening.pop()
            asyncio.get_running_loop().remove_reader(listening)
            listening.close()
        if self._connecting:
            _, shaking_hands = await asyncio.wait(self._connecting, timeout=CLOSING_TLS_S)
            for connecting in shaking_hands:
                connecting.cancel()
            await asyncio.gather(*shaking_hands, return_exceptions=True)

    def opened(self, connection: Connection) -> None:
        self._open.add(connection)

    def closed(self, connection: Connection) -> None:
        self._open.discard(connection)

    def _accept(self, listening: socket.socket) -> None:
        if len(self._open) + len(self._connecting) >= self.most and not self._make_room():
            self._pause(listening, ROOM_PAUSE_S)
            return
        try:
            accepted, _ = listening.accept()
        except OSError as err:
            if err.errno in NO_DESCRIPTORS:  # else the client has left
                self._tell("HTTP: no connection can be accepted: %s", err.strerror)
                self._pause(listening, DESCRIPTORS_PAUSE_S)
            return
        accepted.setblocking(False)
        connecting = asyncio.get_running_loop().create_task(self._connect(accepted))
        self._connecting.add(connecting)
        connecting.add_done_callback(self._connecting.discard)

    async def _connect(self, accepted: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        if self.tls is None:
            await loop.connect_accepted_socket(self._connection, accepted)
            return
        try:
            await loop.connect_accepted_socket(
                self._connection,
                accepted,
                ssl=self.tls,
                ssl_handshake_timeout=self.header_timeout,
                ssl_shutdown_timeout=CLOSING_TLS_S,
            )
        except OSError as err:  # ssl.SSLError and TimeoutError among it
            self._tell("HTTP: a client did not begin TLS as expected: %s", getattr(err, "reason", None) or err)

    def _pause(self, listening: socket.socket, seconds: float) -> None:
        """Without it the event loop would spin: the connection goes on waiting to be accepted."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(listening)
        loop.call_later(seconds, self._go_on, listening)

    def _go_on(self, listening: socket.socket) -> None:
        if listening.fileno() >= 0:  # it has not been closed in between
            asyncio.get_running_loop().add_reader(listening, self._accept, listening)

    def _make_room(self) -> bool:
        self._tell("HTTP: %d connections, the limit: idle ones are closed for new ones, else these wait", self.most)
        idle = min((each for each in self._open if each.expendable), key=lambda each: each.since, default=None)
        if idle is None:
            return False
        self.closed(idle)
        idle.force_close()
        return True

    def _connection(self) -> Connection:
        return Connection(
            self,
            self._server,
            loop=asyncio.get_running_loop(),
            access_log=None,
            auto_decompress=False,  # daemon/http/encodings.py does it
            keepalive_timeout=self._settings.idle_timeout,
            lingering_time=LINGER_S,
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_LINE,
            max_headers=MOST_HEADERS,
        )

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        """Whatever is raised outside of the application's own middlewares is answered in JSON too."""
        connection = cast(Connection, request.protocol)
        with connection.at_work(request):
            try:
                response = await self._handle(request)
            except web.HTTPException as err:
                answer = refusal(err)
                response = json_response({"detail": answer.detail}, answer.status, answer.headers)
            except ConnectionError:  # the client left before it could be told to continue
                return web.Response()
            await self._send(request, response)
        return response

    async def _send(self, request: web.Request, response: web.StreamResponse) -> None:
        try:
            async with asyncio.timeout(self._settings.deadline):
                await response.prepare(request)
                await response.write_eof()
        except ConnectionError:
            pass  # aiohttp meets it again, and closes
        except TimeoutError:
            log.info("%s does not read its answer: the connection is closed", request.remote)
            if request.transport is not None:
                request.transport.abort()

    def _tell(self, message: str, *args: object) -> None:
        """In the log, not more often than once a minute: shortages last."""
        now = time.monotonic()
        if now - self._told.get(message, -TOLD_EVERY_S) >= TOLD_EVERY_S:
            self._told[message] = now
            log.warning(message, *args)


def held(request: web.Request) -> contextlib.ExitStack:
    """What is entered here is left when the request has been answered."""
    return cast(Connection, request.protocol).until_answered


def _most(wanted: int) -> int:
    """Connections, of those wanted, that the process's descriptors allow."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY or wanted <= descriptors * SHARE_OF_DESCRIPTORS:
        return wanted
    most = max(int(descriptors * SHARE_OF_DESCRIPTORS), 1)
    log.warning(
        "http.max_connections: %d are taken, not %d: half of the %d descriptors that `ulimit -n` allows",
        *(most, wanted, descriptors),
    )
    return most


def _message(status: HTTPStatus, detail: str) -> bytes:
    """A whole answer, for those who get one without a request."""
    body = encode({"detail": detail})
    lines = (
        f"HTTP/1.1 {status.value} {status.phrase}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
    )
    return "\r\n".join((*lines, "", "")).encode() + body


HEAD_TOO_LATE = _message(HTTPStatus.REQUEST_TIMEOUT, "The request's head did not come in time")
HEAD_TOO_LARGE = _message(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"The request's head has more than {MOST_HEAD_BYTES:,} bytes, the limit"
)
