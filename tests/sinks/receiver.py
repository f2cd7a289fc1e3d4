"""A real HTTP server that takes documents, and has faults when it is told to."""

import asyncio
import ssl
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from aiohttp import web


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Request(NamedTuple):
    path: str
    headers: Mapping[str, str]
    body: bytes


class Receiver:
    """Answers 204 and keeps what it has taken; `answers` come first, one for each request."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.answers: deque[Answer] = deque()
        self.requests: list[Request] = []
        self.taken: list[bytes] = []
        """The bodies that were answered with success."""
        self.reads = asyncio.Event()
        """Cleared: it hangs."""
        self.reads.set()
        self.most_bytes = 10_000_000
        self.port = 0
        self._tls = tls
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self.port}/hook"

    async def start(self) -> None:
        """At the port that it had before. May be called again."""
        if self._runner is not None:
            return
        app = web.Application(client_max_size=100_000_000)
        app.router.add_post("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self._tls, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Connections are closed, and new ones are refused."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        await self.reads.wait()
        body = await request.read()
        self.requests.append(Request(request.path, request.headers, body))
        answer = self.answers.popleft() if self.answers else Answer(204)
        if len(body) > self.most_bytes:
            answer = Answer(413)
        elif b"bad" in body:
            answer = Answer(422)
        if answer.status < 300:
            self.taken.append(body)
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)
