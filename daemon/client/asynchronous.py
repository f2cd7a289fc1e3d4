"""A client for asyncio, by aiohttp."""

import asyncio
import contextlib
import io
import ssl
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL as ParsedUrl

from daemon.client.blocking import TIMEOUT_S, URL
from daemon.client.calls import Asynchronous
from daemon.client.events import SILENT_S, Event, Subscription
from daemon.client.history import History
from daemon.client.server import Answer, Call, Server, bearer
from daemon.client.services import V1, V2, Services
from daemon.client.streams import Streams
from daemon.errors import RequestFailed

T = TypeVar("T")


class AsyncTransport(Asynchronous):
    """Keeps connections for the next call. Proxies of the environment are used; redirects are not followed."""

    def __init__(self, server: Server, timeout: float, tls: ssl.SSLContext | None) -> None:
        self._server = server
        self._timeout = timeout
        self._tls = tls
        self._kept: aiohttp.ClientSession | None = None

    async def send(self, call: Call[T]) -> T:
        """A picture is read, encoded and decoded in a thread: that takes milliseconds."""
        async with self._opened(call, None if call.takes_long else self._timeout) as response:
            answer = _answer(response, await response.read())
        return await asyncio.to_thread(self._server.result, call, answer)

    @contextlib.asynccontextmanager
    async def events(self, call: Call[None]) -> AsyncIterator[AsyncIterator[bytes]]:
        """The bytes of an answer that goes on, as they come. Raises RequestFailed."""
        async with self._opened(call, SILENT_S) as response:
            failed = response.status >= 300
            self._server.expect_events(_answer(response, await response.read() if failed else b""))
            yield response.content.iter_any()

    async def close(self) -> None:
        if self._kept is not None:
            await self._kept.close()

    @contextlib.asynccontextmanager
    async def _opened(self, call: Call[Any], timeout: float | None) -> AsyncIterator[aiohttp.ClientResponse]:
        """Raises NoAnswer."""
        body = None if call.body is None else io.BytesIO(await asyncio.to_thread(call.body))
        asking = self._session.request(
            call.method,
            ParsedUrl(f"{self._server.url}{call.path}", encoded=True),
            data=body,
            headers=self._server.headers_of(call),
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=timeout, sock_read=timeout),
        )
        try:
            async with asking as response:
                yield response
        except (aiohttp.ClientError, OSError) as err:
            raise self._server.no_answer(str(err) or type(err).__name__) from err

    @property
    def _session(self) -> aiohttp.ClientSession:
        """Made in the loop that it belongs to."""
        if self._kept is None:
            self._kept = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._tls or True),
                cookie_jar=aiohttp.DummyCookieJar(),
                proxy=_proxy(self._server.url),
            )
        return self._kept


class AsyncClient:
    """As Client is, for asyncio: it belongs to one event loop, and is to be closed (`async with`, or close())."""

    def __init__(
        self,
        url: str = URL,
        key: str | None = None,
        *,
        timeout: float = TIMEOUT_S,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._transport = AsyncTransport(Server(url, bearer(key)), timeout, tls)
        self.v1: Services[Asynchronous] = Services(self._transport, V1)
        self.v2: Services[Asynchronous] = Services(self._transport, V2)
        self.streams: Streams[Asynchronous] = Streams(self._transport)
        self.history: History[Asynchronous] = History(self._transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, err: BaseException | None, where: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._transport.close()

    async def events(
        self, stream: str | None = None, *, types: Sequence[str] = (), after: str | None = None
    ) -> AsyncIterator[Event]:
        """As Client.events does it. Left before its end, close it (`contextlib.aclosing`): it has a connection."""
        subscription = Subscription(stream, types, after)
        while True:
            try:
                async with self._transport.events(subscription.connect()) as chunks:
                    async for chunk in chunks:
                        for event in subscription.feed(chunk):
                            yield event
            except RequestFailed as err:
                subscription.failed(err)
            await asyncio.sleep(subscription.wait_s)


def _answer(response: aiohttp.ClientResponse, body: bytes) -> Answer:
    return Answer(response.status, {name.lower(): value for name, value in response.headers.items()}, body)


def _proxy(url: str) -> str | None:
    """As urllib finds it. aiohttp's own way (`trust_env`) would also read ~/.netrc, and send what stands there."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)
