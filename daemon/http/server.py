"""Serves the services over HTTP."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from aiohttp import web
from aiohttp.typedefs import Handler

from daemon.errors import ConfigError, DeadlineExceeded, Overloaded
from daemon.flow.engine import Engine
from daemon.http.bodies import Bodies, Body
from daemon.http.connections import Connections, held
from daemon.http.cors import Cors
from daemon.http.errors import NO_CAPACITY, json_response, refuses
from daemon.http.services.catalogue import Detection, Service
from daemon.http.services.endpoints import Answer, ChainOf, MatcherOf, answers
from daemon.http.settings import HttpSettings
from daemon.http.tracing import traces
from daemon.wire.v1 import V1
from daemon.wire.v2 import V2

PREFIXES = {"/v1": V1, "/v2": V2, "": V1}
"""What stands between a service's name and /process; legacy clients call without a version."""

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
        why_unready: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`chain_of` makes a chain from names, and `matcher_of` the matcher, both in a thread during start().

        `status` is what /status shows, `metrics` answers /metrics; `why_unready`, in words, what keeps /readyz from
        saying that all is ready.
        """
        self._settings = settings
        self._services = services
        self._chain_of = chain_of
        self._status = status
        self._metrics = metrics
        self._why_unready = why_unready
        self._matcher_of = matcher_of
        self._answers: Mapping[Key, Answer] | None = None
        self._free = asyncio.Semaphore(settings.max_concurrent)
        self._bodies = Bodies(settings)
        self._lane = engine.lane("http", share=settings.share)
        self._runner = web.AppRunner(self._app(), handler_cancellation=True, shutdown_timeout=settings.stop_timeout)
        self._connections: Connections | None = None

    async def start(self) -> None:
        """Listens, then loads the models and returns; until then requests get 503. Raises ConfigError, ModelError."""
        await self._runner.setup()
        try:
            await self._listen()
            self._answers = await asyncio.to_thread(self._build)
        except BaseException:
            await self._stop_serving()
            raise

    async def stop(self) -> None:
        """Takes no more requests and gives those under way `stop_timeout` to end."""
        await self._stop_serving()
        self._lane.close()

    @property
    def port(self) -> int:
        """Where it listens, also where a free one was asked for."""
        assert self._connections is not None  # noqa: S101  # it was started
        return self._connections.port

    @property
    def url(self) -> str:
        host = self._settings.host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[traces, Cors(self._settings.cors_origins).middleware, refuses])
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/status", self._show_status)
        app.router.add_get("/metrics", self._metrics)
        for name, service in self._services.items():
            for prefix, version in PREFIXES.items():
                path = f"/{name}{prefix}/process"
                sample, image = (name, version.name, "sample"), (name, version.name, "image")
                app.router.add_post(f"{path}/sample", partial(self._serve, sample, self._bodies.read))
                if isinstance(service, Detection):
                    app.router.add_post(f"{path}/image", partial(self._serve, image, self._bodies.read_file))
        return app

    async def _listen(self) -> None:
        assert self._runner.server is not None  # noqa: S101  # it was set up
        self._connections = Connections(self._runner.server, self._settings)
        try:
            await self._connections.listen()
        except OSError as err:
            host, port = self._settings.host, self._settings.port
            raise ConfigError(f"http: can't listen on {host}:{port}: {err.strerror}") from err

    async def _stop_serving(self) -> None:
        if self._connections is not None:
            await self._connections.close()
        await self._runner.cleanup()

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
        if why := self._why_unready():
            raise Overloaded(why)
        return json_response({"status": "ready"})

    async def _show_status(self, _: web.Request) -> web.Response:
        return json_response(self._status())

    def _loaded(self) -> Mapping[Key, Answer]:
        if self._answers is None:
            raise Overloaded("The models are being loaded")
        return self._answers

    async def _serve(
        self, key: Key, receive: Callable[[web.Request, Body], Awaitable[bytes]], request: web.Request
    ) -> web.Response:
        answer = self._loaded()[key]
        deadline = time.monotonic() + self._settings.deadline
        self._expect_capacity()
        try:
            async with asyncio.timeout(self._settings.deadline):
                body = await receive(request, held(request).enter_context(self._bodies.one()))
                self._expect_capacity()
                async with self._free:
                    document = await self._lane.submit(answer, body, deadline=deadline)
        except TimeoutError as err:
            raise DeadlineExceeded("the deadline passed before the answer was there") from err
        return web.Response(body=document, content_type="application/json")

    def _expect_capacity(self) -> None:
        """Before a body is read, which would be for nothing, and when it has been."""
        if self._free.locked():
            raise Overloaded(NO_CAPACITY)
