"""Serves the services over HTTP."""

import asyncio
import time
import warnings
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from aiohttp import BadContentDispositionHeader, BadContentDispositionParam, BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from daemon.engine import Engine
from daemon.errors import ConfigError, DeadlineExceeded, InvalidDocument, Overloaded, Problem, TooManyBytes
from daemon.http.errors import json_response, refuses
from daemon.http.services import Service
from daemon.http.settings import HttpSettings
from daemon.http.tracing import traces
from daemon.wire.blob import TOO_MANY_BYTES
from daemon.wire.codec import encode
from daemon.wire.merge import with_found
from daemon.wire.request import of_file, read
from daemon.wire.v1 import V1
from daemon.wire.v2 import V2
from daemon.wire.version import Received, Version
from processors.types import Frame, Processor, Sample

# A client's malformed form is answered; whoever runs the daemon need not read of it on standard error.
warnings.filterwarnings("ignore", category=BadContentDispositionHeader)
warnings.filterwarnings("ignore", category=BadContentDispositionParam)

PREFIXES = {"/v1": V1, "/v2": V2, "": V1}
"""What stands between a service's name and /process; legacy clients call without a version."""

CHUNK_BYTES = 1 << 18

Key = tuple[str, str]
"""A service and a version, by name."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A service in a version. Bytes in, bytes out, in the engine's workers: nothing here is for the event loop."""

    service: Service
    version: Version
    chain: Processor
    settings: HttpSettings

    def answer_sample(self, body: bytes) -> bytes:
        return self._answer(read(self.version, body, self.settings.max_objects))

    def answer_file(self, data: bytes) -> bytes:
        return self._answer(of_file(self.version, data))

    def _answer(self, received: Received) -> bytes:
        max_pixels = int(self.settings.max_megapixels * 1e6)
        image = received.picture.decode(
            max_pixels=min(max_pixels, self.service.max_pixels or max_pixels), max_bytes=self.settings.max_image_bytes
        )
        sample = Sample(Frame.of(image))
        self.chain([sample])
        return encode(with_found(self.version, received, sample, self.service.emits, self.service.detects))


class HttpServer:
    """Listens from start() to stop(); belongs to the event loop's thread."""

    def __init__(
        self,
        settings: HttpSettings,
        engine: Engine,
        *,
        services: Mapping[str, Service],
        chain_of: Callable[[Sequence[str]], Processor],
        status: Callable[[], object],
    ) -> None:
        """`chain_of` makes a chain from names, in a thread, during start(); `status` is what /status shows."""
        self._settings = settings
        self._services = services
        self._chain_of = chain_of
        self._status = status
        self._endpoints: dict[Key, Endpoint] | None = None
        self._free = asyncio.Semaphore(settings.max_concurrent)
        self._lane = engine.lane("http", settings.weight)
        self._runner = web.AppRunner(
            self._app(), access_log=None, handler_cancellation=True, shutdown_timeout=settings.stop_timeout
        )

    async def start(self) -> None:
        """Listens, then loads the models and returns; until then requests get 503. Raises ConfigError, ModelError."""
        await self._runner.setup()
        try:
            await self._listen()
            self._endpoints = await asyncio.to_thread(self._build)
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
        for name in self._services:
            for prefix, version in PREFIXES.items():
                path, key = f"/{name}{prefix}/process", (name, version.name)
                app.router.add_post(f"{path}/sample", partial(self._serve, key, self._body, Endpoint.answer_sample))
                app.router.add_post(f"{path}/image", partial(self._serve, key, self._file, Endpoint.answer_file))
        return app

    async def _listen(self) -> None:
        host, port = self._settings.host, self._settings.port
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError as err:
            raise ConfigError(f"http: can't listen on {host}:{port}: {err.strerror}") from err

    def _build(self) -> dict[Key, Endpoint]:
        chains = {name: self._chain_of(service.chain) for name, service in self._services.items()}
        return {
            (name, version.name): Endpoint(service, version, chains[name], self._settings)
            for name, service in self._services.items()
            for version in (V1, V2)
        }

    async def _healthz(self, _: web.Request) -> web.Response:
        return json_response({"status": "ok"})

    async def _readyz(self, _: web.Request) -> web.Response:
        self._loaded()
        return json_response({"status": "ready"})

    async def _show_status(self, _: web.Request) -> web.Response:
        return json_response(self._status())

    def _loaded(self) -> dict[Key, Endpoint]:
        if self._endpoints is None:
            raise Overloaded("The models are being loaded")
        return self._endpoints

    async def _serve(
        self,
        key: Key,
        receive: Callable[[web.Request], Awaitable[bytes]],
        answer: Callable[[Endpoint, bytes], bytes],
        request: web.Request,
    ) -> web.Response:
        endpoint = self._loaded()[key]
        if self._free.locked():
            raise Overloaded("No capacity, try again later")
        async with self._free:
            deadline = time.monotonic() + self._settings.deadline
            try:
                async with asyncio.timeout(self._settings.deadline):
                    body = await receive(request)
                    document = await self._lane.submit(answer, endpoint, body, deadline=deadline)
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
