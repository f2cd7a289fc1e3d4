"""Answers that go on until their client leaves: how many, how they are written, and how they end.

They hold no place of `max_concurrent`. A client that is away without a word, or reads nothing, is let go of when what
it was sent has not left for `deadline` seconds.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, cast

from aiohttp import web
from aiohttp.http import StreamWriter

from daemon.errors import Overloaded
from daemon.flow.watched import Watches
from daemon.http.access.credentials import shown_path

SEND_BUFFER_BYTES: Final = 131_072
"""Of the kernel, for each: with its own, of megabytes, a client that does not read would not be noticed for minutes."""

log = logging.getLogger(__name__)


class LongAnswer:
    """What its writer has of one."""

    def __init__(self, request: web.Request, deadline: float) -> None:
        self.request = request
        self.clock = asyncio.get_running_loop().time
        self._deadline = deadline

    async def write(self, data: bytes) -> None:
        """Waits until the client has read most of it. Raises ConnectionError where it does not."""
        writer = cast(StreamWriter, self.request.writer)
        await writer.write(data, drain=False)
        if not self.request.protocol.writing_paused:
            return
        try:
            async with asyncio.timeout(self._deadline):
                await writer.drain()
        except TimeoutError:
            log.info("%s does not read what it watches: the connection is closed", self.request.remote)
            self.abort()
            raise ConnectionAbortedError from None

    def abort(self) -> None:
        if self.request.transport is not None:
            self.request.transport.abort()


Write = Callable[[LongAnswer], Awaitable[None]]


class LongAnswers:
    """All that are under way. Belongs to the event loop's thread."""

    def __init__(self, watches: Watches, most: int, deadline: float) -> None:
        self._watches = watches
        self._most = most
        self._deadline = deadline
        self._ends: set[asyncio.Timeout] = set()
        self._closed = False

    def close(self) -> None:
        """Ends all of them now, and takes no more. May be called again."""
        if self._closed:
            return
        self._closed = True
        for end in self._ends:
            end.reschedule(0)

    async def answer(
        self, request: web.Request, what: str, headers: Mapping[str, str], write: Write
    ) -> web.StreamResponse:
        """Until `write` returns. `what` is watched, for the figures. Raises Overloaded."""
        if request.method == "HEAD":
            return web.StreamResponse(headers=headers)
        self._expect_room()
        end = asyncio.timeout(None)
        self._ends.add(end)
        self._watches.watching[what] += 1
        try:
            return await self._write(request, headers, write, end)
        finally:
            self._ends.discard(end)
            self._watches.watching[what] -= 1

    async def _write(
        self, request: web.Request, headers: Mapping[str, str], write: Write, end: asyncio.Timeout
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers=headers)
        answer = LongAnswer(request, self._deadline)
        try:
            async with end:
                _bound_send_buffer(request)
                await response.prepare(request)
                await write(answer)
        except ConnectionError:
            pass  # the client is gone
        except Exception as err:  # it is too late for another status
            if not end.expired():
                log.error("%s: what is watched broke off: %r", shown_path(request.rel_url), err, exc_info=err)
            if not end.expired() or request.protocol.writing_paused:
                answer.abort()
        return response

    def _expect_room(self) -> None:
        if self._closed:
            raise Overloaded("Stopping")
        if len(self._ends) >= self._most:
            self._watches.refused += 1
            raise Overloaded(f"{self._most} watch, the limit (http.max_subscribers, half of http.max_connections)")


def _bound_send_buffer(request: web.Request) -> None:
    connection = request.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)


async def until(event: asyncio.Event, at: float) -> None:
    """Until it is set, or the event loop's time has come, which sets it."""
    timer = asyncio.get_running_loop().call_at(at, event.set)
    try:
        await event.wait()
    finally:
        timer.cancel()
