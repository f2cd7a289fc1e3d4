"""Capacity, deadlines, clients that leave, and the server's own start and stop."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Sequence

import aiohttp
import psutil
import pytest

from daemon.errors import ConfigError
from daemon.flow.engine import Engine
from daemon.http.server import HttpServer
from daemon.http.services.catalogue import services
from daemon.http.settings import HttpSettings
from models.errors import ModelError
from models.store import ModelStore
from processors.matcher import Matcher
from processors.registry import build_chain
from processors.types import Label, Processor, Sample
from tests.http.calls import SERVICE, document, post, send
from tests.http.conftest import Served, no_metrics
from tests.photos import encoded, file_of, opened

SERVICES = {SERVICE: services("face-detector-liveness-estimator")[SERVICE]}
SAMPLE = f"/{SERVICE}/v1/process/sample"
BODY = json.dumps(document("v1", encoded(opened("astronaut").resize((20, 20)), "PNG"))).encode()
NO_CAPACITY = {"detail": "No capacity, try again later"}


def matcher() -> Matcher:
    return Matcher(ModelStore())


class Gate:
    """A chain that finds nothing, and not before it is opened."""

    applies_to: Label = "face"
    needs: frozenset[type] = frozenset()
    makes: frozenset[type] = frozenset()

    def __init__(self) -> None:
        self.calls = 0
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self, samples: Sequence[Sample]) -> None:
        self.calls += 1
        self.entered.set()
        assert self.opened.wait(10)

    async def reached(self) -> None:
        assert await asyncio.to_thread(self.entered.wait, 10)


async def probe(client: aiohttp.ClientSession) -> int:
    """503 while the server takes no more; else a request that is refused at once, for its type."""
    return (await send(client, SAMPLE, b"", "text/plain"))[0]


async def full(client: aiohttp.ClientSession) -> None:
    async with asyncio.timeout(10):
        while await probe(client) != 503:
            pass


async def has_room(client: aiohttp.ClientSession) -> None:
    async with asyncio.timeout(10):
        while await probe(client) == 503:
            pass


@pytest.fixture
def gate() -> Gate:
    return Gate()


async def test_health_readiness_and_status(client: aiohttp.ClientSession) -> None:
    for path, expected in (
        ("/healthz", {"status": "ok"}),
        ("/readyz", {"status": "ready"}),
        ("/status", {"streams": {}}),
    ):
        async with client.get(path) as response:
            assert (response.status, response.content_type) == (200, "application/json")
            assert await response.json() == expected


async def test_until_the_models_are_loaded_it_is_alive_and_not_ready() -> None:
    loading = Gate()

    def chain_of(_: Sequence[str]) -> Processor:
        loading([])
        return loading

    engine = Engine(1)
    server = HttpServer(
        HttpSettings(port=0),
        engine,
        services=SERVICES,
        chain_of=chain_of,
        matcher_of=matcher,
        status=dict,
        metrics=no_metrics,
    )
    start = asyncio.create_task(server.start())
    await loading.reached()
    async with aiohttp.ClientSession(server.url) as client:
        async with client.get("/healthz") as response:
            assert response.status == 200
        async with client.get("/readyz") as response:
            assert (response.status, await response.json()) == (503, {"detail": "The models are being loaded"})
            assert response.headers["Retry-After"] == "1"
        assert (await send(client, SAMPLE, BODY))[0] == 503
        loading.opened.set()
        await start
        async with client.get("/readyz") as response:
            assert response.status == 200
        assert (await send(client, SAMPLE, BODY))[0] == 200
    await server.stop()
    await engine.close()


@pytest.mark.slow
async def test_a_hundred_at_once_are_answered_like_one(client: aiohttp.ClientSession) -> None:
    paths = [f"/{SERVICE}/{version}/process/sample" for version in ("v1", "v2")]
    bodies = [document(version, file_of("astronaut")) for version in ("v1", "v2")]
    alone = [await post(client, path, body) for path, body in zip(paths, bodies, strict=True)]
    together = await asyncio.gather(*(post(client, paths[n % 2], bodies[n % 2]) for n in range(100)))
    assert together == alone * 50


async def test_beyond_the_capacity_requests_are_told_to_come_later(serve: Served, gate: Gate) -> None:
    async with serve(chain_of=lambda _: gate, workers=1, max_concurrent=3) as (_, client):
        taken = [asyncio.create_task(send(client, SAMPLE, BODY)) for _ in range(3)]
        await full(client)
        assert await send(client, SAMPLE, BODY) == (503, NO_CAPACITY)
        async with client.post(SAMPLE, json={}) as response:
            assert response.headers["Retry-After"] == "1"
        async with client.get("/healthz") as response:
            assert response.status == 200
        gate.opened.set()
        assert [status for status, _ in await asyncio.gather(*taken)] == [200] * 3
        assert (await send(client, SAMPLE, BODY))[0] == 200


async def test_what_is_late_is_answered_at_the_deadline(serve: Served, gate: Gate) -> None:
    late = (504, {"detail": "The deadline passed"})
    async with serve(chain_of=lambda _: gate, workers=1, deadline=0.2) as (_, client):
        answers = await asyncio.gather(*(send(client, SAMPLE, BODY) for _ in range(3)))
        assert answers == [late] * 3
        gate.opened.set()
        assert (await send(client, SAMPLE, BODY))[0] == 200
        assert gate.calls == 2  # what waited was skipped


async def test_requests_are_counted_by_how_they_ended(serve: Served, gate: Gate) -> None:
    async with serve(chain_of=lambda _: gate, workers=1, deadline=0.5) as (server, client):
        leaver = asyncio.create_task(send(client, SAMPLE, BODY))
        await gate.reached()
        leaver.cancel()
        assert (await send(client, SAMPLE, BODY))[0] == 504
        assert (await send(client, SAMPLE, b"", "text/plain"))[0] == 415
        assert (await send(client, "/nowhere", BODY))[0] == 404  # of no service
        gate.opened.set()
        assert (await send(client, SAMPLE, BODY))[0] == 200
        took = {ended: histogram.read() for ended, histogram in server._requests.took.items()}
    service = SAMPLE.split("/")[1]
    assert {ended: sum(counts) for ended, (counts, _) in took.items()} == {
        (service, "v1", status): 1 for status in ("gone", "5xx", "4xx", "2xx")
    }
    assert took[service, "v1", "5xx"][1] == pytest.approx(0.5, abs=0.4)


async def test_a_body_that_does_not_come_is_late(serve: Served, gate: Gate) -> None:
    never = asyncio.Event()

    async def stalled() -> AsyncIterator[bytes]:
        yield BODY[:10]
        await never.wait()

    async with serve(chain_of=lambda _: gate, deadline=0.2) as (_, client):
        headers = {"Content-Type": "application/json"}
        async with client.post(SAMPLE, data=stalled(), headers=headers) as response:
            assert response.status == 504
        never.set()
    assert gate.calls == 0


async def test_the_work_of_a_client_that_leaves_is_skipped(serve: Served, gate: Gate) -> None:
    async with serve(chain_of=lambda _: gate, workers=1, max_concurrent=2) as (server, client):
        first = asyncio.create_task(send(client, SAMPLE, BODY))
        await gate.reached()
        async with aiohttp.ClientSession(server.url) as leaver:
            second = asyncio.create_task(send(leaver, SAMPLE, BODY))
            await full(client)
            second.cancel()
            await has_room(client)
        gate.opened.set()
        assert (await first)[0] == 200
        assert (await send(client, SAMPLE, BODY))[0] == 200
        assert gate.calls == 2  # the first and the last


async def test_half_a_request_leaves_nothing_behind(serve: Served) -> None:
    async with serve(max_concurrent=1) as (server, client):
        for _ in range(5):
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" % SAMPLE.encode())
            writer.write(b"Content-Length: 1000\r\n\r\n{")
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        await has_room(client)
        assert (await send(client, SAMPLE, BODY))[0] == 200


async def test_a_stop_lets_requests_end_and_takes_no_more(serve: Served, gate: Gate) -> None:
    async with serve(chain_of=lambda _: gate) as (server, client):
        url = server.url
        under_way = asyncio.create_task(send(client, SAMPLE, BODY))
        await gate.reached()
        stop = asyncio.create_task(server.stop())
        async with aiohttp.ClientSession(url) as other:
            while True:
                try:
                    async with other.get("/healthz"):
                        pass
                except aiohttp.ClientConnectorError:
                    break  # it listens no more
        assert not stop.done()
        gate.opened.set()
        assert (await under_way)[0] == 200
        await stop


async def test_a_stop_does_not_wait_for_ever(serve: Served, gate: Gate) -> None:
    async with serve(chain_of=lambda _: gate, stop_timeout=0.1) as (server, client):
        under_way = asyncio.create_task(send(client, SAMPLE, BODY))
        await gate.reached()
        await server.stop()
        with pytest.raises(aiohttp.ClientError):
            await under_way
        gate.opened.set()


async def test_nothing_is_left_after_a_stop(store: ModelStore) -> None:
    process = psutil.Process()
    tasks = asyncio.all_tasks()
    threads, files = threading.active_count(), process.num_fds()
    engine = Engine(2)
    server = HttpServer(
        HttpSettings(port=0),
        engine,
        services=SERVICES,
        chain_of=lambda names: build_chain(names, {}, store),
        matcher_of=matcher,
        status=dict,
        metrics=no_metrics,
    )
    await server.start()
    port = server.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)  # idle, kept alive
    async with aiohttp.ClientSession(server.url) as client:
        await asyncio.gather(*(send(client, SAMPLE, BODY) for _ in range(10)))
    await server.stop()
    await engine.close()
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    # The executor's threads belong to the event loop.
    named = [thread.name for thread in threading.enumerate() if not thread.name.startswith("asyncio")]
    assert len(named) <= threads
    assert asyncio.all_tasks() == tasks
    assert process.num_fds() <= files
    assert port not in [c.laddr.port for c in process.net_connections() if c.laddr]


async def test_a_port_that_is_taken_is_a_mistake_in_the_configuration(serve: Served) -> None:
    async with serve() as (server, _):
        engine = Engine(1)
        second = HttpServer(
            HttpSettings(port=server.port),
            engine,
            services={},
            chain_of=lambda _: Gate(),
            matcher_of=matcher,
            status=dict,
            metrics=no_metrics,
        )
        with pytest.raises(ConfigError, match=f"^http: can't listen on 127.0.0.1:{server.port}: .*in use"):
            await second.start()
        await second.stop()
        await engine.close()


async def test_a_model_that_cannot_be_had_fails_the_start_and_frees_the_port() -> None:
    def chain_of(_: Sequence[str]) -> Processor:
        raise ModelError("it is missing")

    engine = Engine(1)
    server = HttpServer(
        HttpSettings(port=0),
        engine,
        services=SERVICES,
        chain_of=chain_of,
        matcher_of=matcher,
        status=dict,
        metrics=no_metrics,
    )
    before = psutil.Process().num_fds()
    with pytest.raises(ModelError, match="it is missing"):
        await server.start()
    assert psutil.Process().num_fds() <= before
    await server.stop()
    await engine.close()
