"""A server with a key for each role."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from daemon.http.server import HttpServer
from tests.http.access.calls import SETTINGS
from tests.http.conftest import Served
from tests.http.test_connections import gate

Client = aiohttp.ClientSession


@pytest.fixture
async def guarded(serve: Served) -> AsyncIterator[tuple[HttpServer, Client]]:
    async with serve(chain_of=lambda _: gate(), keys=SETTINGS) as served:
        yield served


@pytest.fixture
def client(guarded: tuple[HttpServer, Client]) -> Client:
    return guarded[1]
