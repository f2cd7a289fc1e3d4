import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import pytest
from aiohttp import web

from daemon.flow.engine import Engine
from daemon.flow.spans import Tracer
from daemon.http.server import HttpServer
from daemon.http.services.catalogue import Detection, Service, services
from daemon.http.settings import HttpSettings
from models.store import ModelStore
from processors.matcher import Matcher
from processors.registry import build_chain
from processors.types import Processor


class Served(Protocol):
    """serve(**settings): a server on a free port, and a client of it; some services may be replaced.

    `also` may add routes before it starts; `connector` makes the client's.
    """

    def __call__(
        self,
        *,
        chain_of: Callable[[Sequence[str]], Processor] | None = None,
        replaced: Mapping[str, Service] | None = None,
        workers: int = 2,
        also: Callable[[HttpServer], None] = lambda _: None,
        state_dir: Path | None = None,
        tracer: Tracer | None = None,
        connector: Callable[[], aiohttp.BaseConnector | None] = lambda: None,
        **settings: Any,
    ) -> contextlib.AbstractAsyncContextManager[tuple[HttpServer, aiohttp.ClientSession]]: ...


async def no_metrics(_: web.Request) -> web.StreamResponse:
    """Of a server without a daemon."""
    return web.Response()


@pytest.fixture
def serve(store: ModelStore) -> Served:
    """With the real models where no other chain is given."""

    @contextlib.asynccontextmanager
    async def serving(
        *,
        chain_of: Callable[[Sequence[str]], Processor] | None = None,
        replaced: Mapping[str, Service] | None = None,
        workers: int = 2,
        also: Callable[[HttpServer], None] = lambda _: None,
        state_dir: Path | None = None,
        tracer: Tracer | None = None,
        connector: Callable[[], aiohttp.BaseConnector | None] = lambda: None,
        **settings: Any,
    ) -> AsyncIterator[tuple[HttpServer, aiohttp.ClientSession]]:
        engine = Engine(workers)
        configured = HttpSettings(port=0, **settings)
        # What makes no results can take the place of no fitter.
        of_interest = {
            name: service
            for name, service in services(configured.liveness_module).items()
            if chain_of is None or isinstance(service, Detection)
        }
        server = HttpServer(
            configured,
            engine,
            services={**of_interest, **(replaced or {})},
            chain_of=chain_of or (lambda names: build_chain(names, {}, store)),
            matcher_of=lambda: Matcher(store),
            status=lambda: {"streams": {}},
            metrics=no_metrics,
            state_dir=state_dir,
            tracer=tracer,
        )
        also(server)
        try:
            await server.start()
            async with aiohttp.ClientSession(server.url, connector=connector()) as client:
                yield server, client
        finally:
            await server.stop()
            await engine.close()

    return serving


@pytest.fixture
async def client(serve: Served) -> AsyncIterator[aiohttp.ClientSession]:
    async with serve() as (_, session):
        yield session
