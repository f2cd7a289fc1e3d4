"""Serves the services over HTTP."""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from daemon.errors import ConfigError, DeadlineExceeded, Overloaded
from daemon.flow.engine import Engine
from daemon.flow.spans import SPAN, Tracer, step
from daemon.flow.watched import Watches
from daemon.http.access.guard import Guard
from daemon.http.access.login import Login
from daemon.http.access.routes import NO_KEY, PROBE, Need, Routes
from daemon.http.access.sessions import SECRET_FILE, kept_secret
from daemon.http.bodies import Bodies, Body
from daemon.http.connections import Connections, held
from daemon.http.cors import Cors, answers_options
from daemon.http.errors import NO_CAPACITY, json_response, refuses
from daemon.http.long_answers import LongAnswers
from daemon.http.openapi.published import Published
from daemon.http.openapi.server import FIGURES, HEALTH, READINESS, SESSION_BEGINS, SESSION_ENDS, STATUS
from daemon.http.openapi.services import ServiceRequests, of_drawing
from daemon.http.served import SERVICE, Requests
from daemon.http.services.catalogue import Detection, Service
from daemon.http.services.endpoints import Answer, ChainOf, Draws, MatcherOf, answers
from daemon.http.settings import HttpSettings
from daemon.http.tracing import Tracing, bear_trace
from daemon.http.web.page import Page
from daemon.http.widths import DISPLAY_WIDTH, width_of
from daemon.wire.v1 import V1
from daemon.wire.v2 import V2
from daemon.wire.version import Version

PREFIXES = {"/v1": V1, "/v2": V2, "": V1}
"""What stands between a service's name and /process; legacy clients call without a version."""

DRAW = "draw"
QUERY = Need(("query",))
METRICS = Need(("metrics",))

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
        state_dir: Path | None = None,
        watches: Watches | None = None,
        requests: Requests | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        """`chain_of` makes a chain from names, and `matcher_of` the matcher, both in a thread during start().

        `status` is what /status shows, `metrics` answers /metrics; `why_unready`, in words, what keeps /readyz from
        saying that all is ready. Sessions outlive a restart where there is a `state_dir`. `watches` has the figures of
        those who watch, `requests` those of the services. `tracer`: begins the traces of requests; None: none are kept.
        """
        self._settings = settings
        self._requests = requests or Requests()
        self._tracing = Tracing(tracer)
        self._services = services
        self._chain_of = chain_of
        self._status = status
        self._metrics = metrics
        self._why_unready = why_unready
        self._matcher_of = matcher_of
        self._answers: Mapping[Key, Answer] | None = None
        self._free = asyncio.Semaphore(settings.max_concurrent)
        self._bodies = Bodies(settings)
        self.lane = engine.lane("http", share=settings.share)
        """Of all that is worked on for requests."""
        self._state_dir = state_dir
        most = min(settings.max_subscribers, settings.max_connections // 2)
        self.long_answers = LongAnswers(watches or Watches(), most, settings.deadline)
        self._cors = Cors(settings.cors_origins)
        self._guard = Guard(settings, self._cors)
        self._page = Page()
        app = self._app()
        self.routes = Routes(app)
        """Others may be added until start()."""
        self._published = Published(self.routes)
        self._add_routes()
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=settings.stop_timeout)
        self._connections: Connections | None = None

    async def start(self) -> None:
        """Listens, then loads the models and returns; until then requests get 503. Raises ConfigError, ModelError."""
        await self._runner.setup()
        try:
            if self._settings.keys and self._state_dir is not None:
                self._guard.sessions.secret = await asyncio.to_thread(kept_secret, self._state_dir / SECRET_FILE)
            await asyncio.to_thread(self._page.load)
            await self._listen()
            self._answers = await asyncio.to_thread(self._build)
        except BaseException:
            await self._stop_serving()
            raise

    async def stop(self) -> None:
        """Takes no more requests and gives those under way `stop_timeout` to end; long answers end at once."""
        self.long_answers.close()
        await self._stop_serving()
        self.lane.close()

    async def reconfigure(self, settings: HttpSettings) -> None:
        """Takes other keys, hosts and certificates; whatever else differs needs a restart.

        A request under way goes on; a key that was removed may nothing more in it. Raises ConfigError, and takes
        nothing then.
        """
        assert self._connections is not None  # noqa: S101  # it was started
        context = await asyncio.to_thread(_tls_context, settings)
        self._guard.reconfigure(settings)
        if self._settings.tls is not None and context is not None:
            self._connections.tls = context

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """One of the `max_concurrent`, until the deadline. Raises Overloaded and DeadlineExceeded."""
        self._expect_capacity()
        try:
            async with asyncio.timeout(self._settings.deadline), self._free:
                yield
        except TimeoutError as err:
            raise DeadlineExceeded("the deadline passed before the answer was there") from err

    @property
    def port(self) -> int:
        """Where it listens, also where a free one was asked for."""
        assert self._connections is not None  # noqa: S101  # it was started
        return self._connections.port

    @property
    def url(self) -> str:
        scheme, host = "https" if self._settings.tls else "http", self._settings.host
        return f"{scheme}://[{host}]:{self.port}" if ":" in host else f"{scheme}://{host}:{self.port}"

    def _app(self) -> web.Application:
        around = [self._tracing.middleware, self._requests.timed, refuses, self._guard.middleware, answers_options]
        app = web.Application(middlewares=around)
        app.on_response_prepare.extend([bear_trace, self._cors.on_prepare, _keep_private])
        return app

    def _add_routes(self) -> None:
        routes, login = self.routes, Login(self._guard, self._bodies, self._settings.deadline)
        self._page.add_to(routes)
        self._published.add_to(routes)
        routes.add("GET", "/healthz", self._healthz, PROBE, HEALTH)
        routes.add("GET", "/readyz", self._readyz, PROBE, READINESS)
        routes.add("POST", "/session", login.begin, NO_KEY, SESSION_BEGINS)
        routes.add("DELETE", "/session", login.end, NO_KEY, SESSION_ENDS)
        routes.add("GET", "/status", self._show_status, METRICS, STATUS)
        routes.add("GET", "/metrics", self._metrics, METRICS, FIGURES)
        for version in (V1, V2):
            routes.add("POST", f"/{DRAW}/{version.name}", partial(self._draw, version), QUERY, of_drawing(version))
        for name, service in self._services.items():
            for prefix, version in PREFIXES.items():
                path = f"/{name}{prefix}/process"
                sample, image = (name, version.name, "sample"), (name, version.name, "image")
                about = ServiceRequests(name, service, version, self._settings.liveness_module)
                read, read_file = self._bodies.read, self._bodies.read_file
                routes.add("POST", f"{path}/sample", partial(self._serve, sample, read), QUERY, about.of_sample)
                if isinstance(service, Detection):
                    routes.add("POST", f"{path}/image", partial(self._serve, image, read_file), QUERY, about.of_image)

    async def _listen(self) -> None:
        assert self._runner.server is not None  # noqa: S101  # it was set up
        context = await asyncio.to_thread(_tls_context, self._settings)
        self._connections = Connections(self._runner.server, self._settings, context)
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
        self,
        key: Key,
        receive: Callable[[web.Request, Body], Awaitable[bytes]],
        request: web.Request,
    ) -> web.Response:
        service, version, _ = key
        request[SERVICE] = service, version
        document = await self._answered(self._loaded()[key], receive, request)
        return web.Response(body=document, content_type="application/json")

    async def _draw(self, version: Version, request: web.Request) -> web.Response:
        request[SERVICE] = DRAW, version.name
        draws = Draws(version, self._settings, width_of(request, DISPLAY_WIDTH))
        picture = await self._answered(draws, self._bodies.read, request)
        return web.Response(body=picture, content_type="image/jpeg")

    async def _answered(
        self, answer: Answer, receive: Callable[[web.Request, Body], Awaitable[bytes]], request: web.Request
    ) -> bytes:
        deadline = time.monotonic() + self._settings.deadline
        self._expect_capacity()
        try:
            async with asyncio.timeout(self._settings.deadline):
                with step("receive"):
                    body = await receive(request, held(request).enter_context(self._bodies.one()))
                self._expect_capacity()
                async with self._free:
                    return await self.lane.submit(_in_worker, answer, body, time.monotonic(), deadline=deadline)
        except TimeoutError as err:
            raise DeadlineExceeded("the deadline passed before the answer was there") from err

    def _expect_capacity(self) -> None:
        """Before a body is read, which would be for nothing, and when it has been."""
        if self._free.locked():
            raise Overloaded(NO_CAPACITY)


def _in_worker(answer: Answer, body: bytes, since: float) -> bytes:
    """Has waited for the worker `since` then (time.monotonic())."""
    if (span := SPAN.get()) is not None:
        span.step("queue", began=since).end()
    with step("answer"):
        return answer(body)


def _tls_context(settings: HttpSettings) -> ssl.SSLContext | None:
    """Reads the certificate. Raises ConfigError."""
    try:
        return None if settings.tls is None else settings.tls.context()
    except ConfigError as err:
        raise ConfigError(f"http.tls: {err}") from err


async def _keep_private(_: web.Request, response: web.StreamResponse) -> None:
    """Answers have faces in them: no cache keeps them, and no other site's page shows them in an <img>."""
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
