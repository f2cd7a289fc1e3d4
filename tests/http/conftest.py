import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Protocol

import aiohttp
import pytest

from daemon.engine import Engine
from daemon.http.server import HttpServer
from daemon.http.services import SERVICES, Service
from daemon.http.settings import HttpSettings
from models.store import ModelStore
from processors.registry import build_chain
from processors.types import Processor


class Served(Protocol):
    """serve(**settings): a server on a free port, and a client of it."""

    def __call__(
        self,
        *,
        chain_of: Callable[[Sequence[str]], Processor] | None = None,
        services: Mapping[str, Service] = SERVICES,
        workers: int = 2,
        **settings: Any,
    ) -> contextlib.AbstractAsyncContextManager[tuple[HttpServer, aiohttp.ClientSession]]: ...


@pytest.fixture
def serve(store: ModelStore) -> Served:
    """With the real models where no other chain is given."""

    @contextlib.asynccontextmanager
    async def serving(
        *,
        chain_of: Callable[[Sequence[str]], Processor] | None = None,
        services: Mapping[str, Service] = SERVICES,
        workers: int = 2,
        **settings: Any,
    ) -> AsyncIterator[tuple[HttpServer, aiohttp.ClientSession]]:
        engine = Engine(workers)
        server = HttpServer(
            HttpSettings(port=0, **settings),
            engine,
            services=services,
            chain_of=chain_of or (lambda names: build_chain(names, {}, store)),
            status=lambda: {"streams": {}},
        )
        try:
            await server.start()
            async with aiohttp.ClientSession(server.url) as client:
                yield server, client
        finally:
            await server.stop()
            await engine.close()

    return serving


@pytest.fixture
async def client(serve: Served) -> AsyncIterator[aiohttp.ClientSession]:
    async with serve() as (_, session):
        yield session
