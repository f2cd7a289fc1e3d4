"""A client that blocks, of the standard library alone. It may be used by several threads."""

import contextlib
import ssl
import time
from collections.abc import Iterator, Sequence
from functools import partial
from http.client import HTTPException, HTTPResponse
from typing import Any, Final, TypeVar
from urllib.request import HTTPHandler, HTTPSHandler, OpenerDirector, ProxyHandler, Request

from daemon.client.calls import Blocking
from daemon.client.events import SILENT_S, Event, Subscription
from daemon.client.history import History
from daemon.client.server import Answer, Call, Server, bearer
from daemon.client.services import V1, V2, Services
from daemon.client.streams import Streams
from daemon.errors import RequestFailed

T = TypeVar("T")

URL: Final = "http://127.0.0.1:8080"
TIMEOUT_S: Final = 60.0
CHUNK: Final = 65_536


class Transport(Blocking):
    """A connection for each call. Proxies of the environment are used (`http_proxy`); redirects are not followed."""

    def __init__(self, server: Server, timeout: float = TIMEOUT_S, tls: ssl.SSLContext | None = None) -> None:
        self._server = server
        self._timeout = timeout
        self._opener = OpenerDirector()
        for handler in (ProxyHandler(), HTTPHandler(), HTTPSHandler(context=tls)):
            self._opener.add_handler(handler)

    def send(self, call: Call[T]) -> T:
        with self._opened(call, None if call.takes_long else self._timeout) as response:
            answer = _answer(response, response.read())
        return self._server.result(call, answer)

    @contextlib.contextmanager
    def events(self, call: Call[None]) -> Iterator[Iterator[bytes]]:
        """The bytes of an answer that goes on, as they come. Raises RequestFailed."""
        with self._opened(call, SILENT_S) as response:
            failed = response.status >= 300
            self._server.expect_events(_answer(response, response.read() if failed else b""))
            yield iter(partial(response.read1, CHUNK), b"")

    @contextlib.contextmanager
    def _opened(self, call: Call[Any], timeout: float | None) -> Iterator[HTTPResponse]:
        """Raises NoAnswer."""
        body = None if call.body is None else call.body()
        request = Request(  # noqa: S310  # http(s), as the server sees to
            f"{self._server.url}{call.path}", body, dict(self._server.headers_of(call)), method=call.method
        )
        try:
            with self._opener.open(request, timeout=timeout) as response:
                yield response
        except (OSError, HTTPException) as err:
            raise self._server.no_answer(getattr(err, "reason", err)) from err


class Client:
    """Of a daemon at `url`, with a `key` of the roles that the operations take.

    `timeout`: seconds, for a connection and for each part of an answer. `tls`: whom to trust, if not the system's
    authorities. Nothing is sent before the first operation. Raises ValueError for a URL or a key that is none.
    """

    def __init__(
        self,
        url: str = URL,
        key: str | None = None,
        *,
        timeout: float = TIMEOUT_S,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._transport = Transport(Server(url, bearer(key)), timeout, tls)
        self.v1: Services[Blocking] = Services(self._transport, V1)
        self.v2: Services[Blocking] = Services(self._transport, V2)
        self.streams: Streams[Blocking] = Streams(self._transport)
        self.history: History[Blocking] = History(self._transport)

    def events(
        self, stream: str | None = None, *, types: Sequence[str] = (), after: str | None = None
    ) -> Iterator[Event]:
        """What a stream sees, or all that the key is for; `types`: `frame`, `track` and `place`, without them all.

        Cut off, it goes on behind the last event, or behind the one whose id is `after`; what was missed is told by a
        Gap. Takes a key of the role `watch`. Raises RequestFailed where it cannot begin, and where it may not go on:
        NotFound if the stream was removed.
        """
        subscription = Subscription(stream, types, after)
        while True:
            try:
                with self._transport.events(subscription.connect()) as chunks:
                    for chunk in chunks:
                        yield from subscription.feed(chunk)
            except RequestFailed as err:
                subscription.failed(err)
            time.sleep(subscription.wait_s)


def _answer(response: HTTPResponse, body: bytes) -> Answer:
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, body)
