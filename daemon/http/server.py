"""Serves the services over HTTP."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

from daemon.errors import ConfigError, DeadlineExceeded, InvalidDocument, Overloaded, Problem, TooManyBytes
from daemon.flow.engine import Engine
from daemon.http.errors import json_response, refuses
from daemon.http.services.catalogue import Detection, Service
from daemon.http.services.endpoints import Answer, ChainOf, MatcherOf, answers
from daemon.http.settings import HttpSettings
from daemon.http.tracing import traces
from daemon.wire.blob import TOO_MANY_BYTES
from daemon.wire.v1 import V1
from daemon.wire.v2 import V2

PREFIXES = {"/v1": V1, "/v2": V2, "": V1}
"""What stands between a service's name and /process; legacy clients call without a version."""

CHUNK_BYTES = 1 << 18
BACKLOG = 4096  # connections that wait to be accepted: a crowd is to hear 503, not a reset

Key = tuple[str, str, str]
"""A service, a version, and "sample" or "image"."""


class HttpServer:
    """Listens from start() to stop(); belongs to the event loop's thread."""

    def __init__(
        self,
        settings: HttpSettings,
        engine: Engine,
        *,
        services: Mapping[str, Service],
        chain_of: ChainOf,
        matcher_of: MatcherOf,
        status: Callable[[], object],
        metrics: Handler,
    ) -> None:
        """`chain_of` makes a chain from names, and `matcher_of` the matcher, both in a thread during start().

        `status` is what /status shows, `metrics` answers /metrics.
        """
        self._settings = settings
        self._services = services
        self._chain_of = chain_of
        self._status = status
        self._metrics = metrics
        self._matcher_of = matcher_of
        self._answers: Mapping[Key, Answer] | None = None
        self._free = asyncio.Semaphore(settings.max_concurrent)
        self._lane = engine.lane("http", share=settings.share)
        self._runner = web.AppRunner(
            self._app(), access_log=None, handler_cancellation=True, shutdown_timeout=settings.stop_timeout
        )

    async def start(self) -> None:
        """Listens, then loads the models and returns; until then requests get 503. Raises ConfigError, ModelError."""
        await self._runner.setup()
        try:
            await self._listen()
            self._answers = await asyncio.to_thread(self._build)
        except BaseException:
            await self._runner.cleanup()
            raise

    async def stop(self) -> None:
        """Takes no more requests and gives those under way `stop_timeout` to end."""
        await self._runner.cleanup()
        self._lane.close()

    @property
    def port(self) -> int:
        """Where it listens, also where a free one was asked for."""
        port: int = self._runner.addresses[0][1]
        return port

    @property
    def url(self) -> str:
        host = self._settings.host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[traces, refuses], client_max_size=self._settings.max_body_bytes)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/status", self._show_status)
        app.router.add_get("/metrics", self._metrics)
        for name, service in self._services.items():
            for prefix, version in PREFIXES.items():
                path = f"/{name}{prefix}/process"
                sample, image = (name, version.name, "sample"), (name, version.name, "image")
                app.router.add_post(f"{path}/sample", partial(self._serve, sample, self._body))
                if isinstance(service, Detection):
                    app.router.add_post(f"{path}/image", partial(self._serve, image, self._file))
        return app

    async def _listen(self) -> None:
        host, port = self._settings.host, self._settings.port
        try:
            await web.TCPSite(self._runner, host, port, backlog=BACKLOG).start()
        except OSError as err:
            raise ConfigError(f"http: can't listen on {host}:{port}: {err.strerror}") from err

    def _build(self) -> Mapping[Key, Answer]:
        return {
            (name, version, kind): answer
            for name, service in self._services.items()
            for version, kind, answer in answers(service, self._chain_of, self._matcher_of, self._settings)
        }

    async def _healthz(self, _: web.Request) -> web.Response:
        return json_response({"status": "ok"})

    async def _readyz(self, _: web.Request) -> web.Response:
        self._loaded()
        return json_response({"status": "ready"})

    async def _show_status(self, _: web.Request) -> web.Response:
        return json_response(self._status())

    def _loaded(self) -> Mapping[Key, Answer]:
        if self._answers is None:
            raise Overloaded("The models are being loaded")
        return self._answers

    async def _serve(
        self, key: Key, receive: Callable[[web.Request], Awaitable[bytes]], request: web.Request
    ) -> web.Response:
        answer = self._loaded()[key]
        if self._free.locked():
            raise Overloaded("No capacity, try again later")
        async with self._free:
            deadline = time.monotonic() + self._settings.deadline
            try:
                async with asyncio.timeout(self._settings.deadline):
                    body = await receive(request)
                    document = await self._lane.submit(answer, body, deadline=deadline)
            except TimeoutError as err:
                raise DeadlineExceeded("the deadline passed before the answer was there") from err
        return web.Response(body=document, content_type="application/json")

    async def _body(self, request: web.Request) -> bytes:
        self._expect(request, "application/json")
        return await request.read()

    async def _file(self, request: web.Request) -> bytes:
        """The one file of a form's field `image`; other fields are ignored."""
        self._expect(request, "multipart/form-data")
        file: bytes | None = None
        try:
            async for part in await request.multipart():
                if not isinstance(part, BodyPartReader) or part.name != "image":
                    continue
                if file is not None:
                    raise InvalidDocument([Problem(("image",), "Expected one file, got more", "too_long")])
                file = await self._part(part)
        except (ValueError, RuntimeError, HttpProcessingError) as err:  # what aiohttp's reader raises
            raise InvalidDocument([Problem((), "Form decode error", "form_invalid")]) from err
        if file is None:
            raise InvalidDocument([Problem(("image",), "Field required", "missing")])
        return file

    async def _part(self, part: BodyPartReader) -> bytes:
        data = bytearray()
        while chunk := await part.read_chunk(CHUNK_BYTES):
            data += chunk
            if len(data) > self._settings.max_image_bytes:
                raise TooManyBytes(TOO_MANY_BYTES)
        return bytes(data)

    def _expect(self, request: web.Request, content_type: str) -> None:
        if request.content_type != content_type:
            raise web.HTTPUnsupportedMediaType
        if (request.content_length or 0) > self._settings.max_body_bytes:
            raise TooManyBytes(TOO_MANY_BYTES)
