"""Clients that are slow, silent, many or no HTTP at all; and a process that is out of descriptors."""

import asyncio
import contextlib
import errno
import logging
import resource
import socket
import struct
from collections.abc import Iterator

import aiohttp
import pytest
from pydantic_core import from_json

from daemon.http import connections
from daemon.http.connections import Connections
from daemon.http.settings import HttpSettings
from tests.http.calls import send
from tests.http.conftest import Served
from tests.http.raw import Wire, connected
from tests.http.test_server import BODY, NO_CAPACITY, SAMPLE, Gate
from tests.waiting import until

HEAD = b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" % SAMPLE.encode()
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
OK = {"status": "ok"}


async def health(wire: Wire) -> int:
    await wire.send(GET)
    status, _, body = await wire.answer()
    assert body == OK
    return status


def gate() -> Gate:
    opened = Gate()
    opened.opened.set()
    return opened


async def test_slow_bodies_take_no_place(serve: Served) -> None:
    async with (
        serve(chain_of=lambda _: gate(), max_concurrent=1) as (server, client),
        contextlib.AsyncExitStack() as slow,
    ):
        for _ in range(5):
            wire = await slow.enter_async_context(connected(server))
            await wire.send(HEAD + b"Content-Length: 1000000\r\n\r\n{")
        assert await send(client, SAMPLE, BODY) == (200, from_json(BODY) | {"objects": []})


async def test_bodies_have_a_budget_by_what_has_come_of_them(serve: Served) -> None:
    budget = len(BODY) + 1000
    async with (
        serve(chain_of=lambda _: gate(), max_bodies_bytes=budget) as (server, client),
        connected(server) as slow,
    ):
        await slow.send(HEAD + b"Content-Length: 1000000\r\n\r\n" + b" " * 900)
        await asyncio.sleep(0.05)
        assert (await send(client, SAMPLE, BODY))[0] == 200  # what the slow one has announced is nobody's loss
        await slow.send(b" " * 900)
        await asyncio.sleep(0.05)
        assert await send(client, SAMPLE, BODY) == (503, NO_CAPACITY)
        slow.writer.close()
        await until(lambda: not server._bodies._taken)
        assert (await send(client, SAMPLE, BODY))[0] == 200


@pytest.mark.parametrize("sent", [b"", b"POST /x HT", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"])
async def test_a_head_that_does_not_come_ends_its_connection(serve: Served, sent: bytes) -> None:
    async with serve(chain_of=lambda _: gate(), header_timeout=0.1) as (server, _), connected(server) as wire:
        await wire.send(sent)
        if sent:
            status, headers, body = await wire.answer()
            assert (status, headers["connection"]) == (408, "close")
            assert body == {"detail": "The request's head did not come in time"}
        assert await wire.rest() == b""


async def test_a_head_that_trickles_in_gains_no_time(serve: Served) -> None:
    async with serve(chain_of=lambda _: gate(), header_timeout=0.3) as (server, _), connected(server) as wire:
        assert await health(wire) == 200  # nor does one of a later request

        async def trickle() -> None:
            for byte in GET[:-1]:
                await wire.send(bytes([byte]))
                await asyncio.sleep(0.05)

        trickling = asyncio.create_task(trickle())
        assert (await wire.answer())[0] == 408
        trickling.cancel()
        await asyncio.wait([trickling])


async def test_an_idle_connection_is_closed(serve: Served) -> None:
    async with (
        serve(chain_of=lambda _: gate(), header_timeout=0.05, idle_timeout=0.5) as (server, _),
        connected(server) as wire,
    ):
        assert await health(wire) == 200
        await asyncio.sleep(0.2)
        assert await health(wire) == 200  # longer than a head may take, and not yet too long
        assert await wire.rest() == b""


@pytest.mark.parametrize("head", [b"GET / HTTP/1.1\r\n" + b"a: " + b"b" * 8000 + b"\r\n", b"GET / HTTP/1.1\r\n"])
async def test_a_head_has_a_limit(serve: Served, head: bytes) -> None:
    async with serve(chain_of=lambda _: gate()) as (server, _), connected(server) as wire:
        await wire.send(head + (b"c: " + b"d" * 700 + b"\r\n") * 95)
        status, _, body = await wire.answer()
        assert status == 431
        assert body == {"detail": "The request's head has more than 65,536 bytes, the limit"}


async def test_who_does_not_read_the_answer_is_cut_off(serve: Served, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    large = b'{"$image": "' + b" " * 20_000_000 + BODY.partition(b'"$image": "')[2]
    async with serve(chain_of=lambda _: gate()) as (server, client), connected(server, 1024) as wire:
        assert server._connections is not None
        server._connections._settings = HttpSettings(deadline=0.5)  # to read the answer alone
        await wire.send(HEAD + b"Content-Length: %d\r\n\r\n" % len(large) + large)
        await until(lambda: "127.0.0.1 does not read its answer: the connection is closed" in caplog.messages, 30)
        assert len(await wire.rest()) < len(large)
        assert (await send(client, SAMPLE, BODY))[0] == 200
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.fixture
def few_descriptors() -> Iterator[int]:
    """As `ulimit -n` says; what is open already stays open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    yield 256
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_silent_connections_keep_nobody_out(
    serve: Served, few_descriptors: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connections, "FIRST_REQUEST_S", 0.05)
    async with serve(chain_of=lambda _: gate()) as (server, _), contextlib.AsyncExitStack() as silent:
        assert f"half of the {few_descriptors} descriptors that `ulimit -n` allows" in caplog.text
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))  # the clients live in this process too
        for number in range(300):
            wire = await silent.enter_async_context(connected(server))
            await wire.send(b"POST /x HT" if number % 2 else b"")
            if number % 50 == 0:
                async with connected(server) as honest:
                    assert await health(honest) == 200
        async with connected(server) as honest:
            assert await health(honest) == 200
    warnings = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 2  # how many are taken, and that idle ones are closed: not one for each


async def test_at_the_limit_the_longest_idle_gives_its_place(serve: Served) -> None:
    async with (
        serve(chain_of=lambda _: gate(), max_connections=2) as (server, _),
        connected(server) as first,
        connected(server) as second,
    ):
        assert [await health(first), await health(second), await health(first)] == [200] * 3
        async with connected(server) as third:
            assert await health(third) == 200
            assert await second.rest() == b""
            assert await health(first) == 200


async def test_where_all_are_at_work_a_newcomer_waits(serve: Served) -> None:
    closed = Gate()
    async with serve(chain_of=lambda _: closed, max_connections=1) as (server, _), connected(server) as first:
        await first.send(HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY)
        await closed.reached()
        async with connected(server) as second:
            waiting = asyncio.create_task(health(second))
            assert not (await asyncio.wait([waiting], timeout=0.2))[0]
            closed.opened.set()
            assert (await first.answer())[0] == 200
            assert await waiting == 200


async def test_a_crowd_hears_503_and_no_reset(serve: Served) -> None:
    closed = Gate()
    async with serve(chain_of=lambda _: closed, max_connections=20, max_concurrent=1) as (server, client):
        first = asyncio.create_task(send(client, SAMPLE, BODY))
        await closed.reached()

        async def one() -> int:
            async with aiohttp.ClientSession(server.url) as newcomer:
                return (await send(newcomer, SAMPLE, BODY + b" " * 200_000))[0]

        assert await asyncio.gather(*(one() for _ in range(100))) == [503] * 100
        closed.opened.set()
        assert (await first)[0] == 200


async def test_without_descriptors_it_waits_and_says_so_once(
    serve: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connections, "DESCRIPTORS_PAUSE_S", 0.01)
    failures = iter([OSError(errno.EMFILE, "Too many open files")] * 20 + [OSError(errno.ECONNABORTED, "aborted")])
    accept = socket.socket.accept

    def failing(listening: socket.socket) -> tuple[socket.socket, object]:
        if (failure := next(failures, None)) is not None:
            raise failure
        return accept(listening)

    monkeypatch.setattr(socket.socket, "accept", failing)
    async with serve(chain_of=lambda _: gate()) as (_, client), client.get("/healthz") as response:
        assert response.status == 200
    assert next(failures, None) is None
    assert caplog.messages == ["HTTP: no connection can be accepted: Too many open files"]


UNREADABLE = {
    b"\x16\x03\x01\x02\x00\x01\x00": "This is no HTTP request: a method was expected first",
    b"GET / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n": "The request is not HTTP/1.1: "
    "its head, or where its body ends, cannot be read",
    b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n": "A line of the request's head is longer than 8,190 bytes, the limit",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\nsecret\r\n": None,
    BODY: "This is no HTTP request: a method was expected first",
}


@pytest.mark.parametrize("sent", UNREADABLE, ids=range(len(UNREADABLE)))
async def test_what_is_no_request_is_refused_in_json_and_not_quoted(
    serve: Served, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve(chain_of=lambda _: gate()) as (server, _), connected(server) as wire:
        await wire.send(sent)
        status, headers, body = await wire.answer()
        assert (status, headers["content-type"]) == (400, "application/json")
        if UNREADABLE[sent] is not None:
            assert body == {"detail": UNREADABLE[sent]}
    assert sent[-30:].strip().decode("latin-1") not in caplog.text
    for record in caplog.records:
        assert (record.levelname, record.exc_info) == ("WARNING", None)


async def test_a_picture_behind_a_wrong_length_is_not_logged(serve: Served, caplog: pytest.LogCaptureFixture) -> None:
    async with serve(chain_of=lambda _: gate()) as (server, _):
        for head in (
            HEAD + b"\r\n",
            HEAD.replace(b"1.1", b"1.0") + b"\r\n",
            HEAD + b"Content-Length: %d\r\n\r\n" % (len(BODY) - 300),
            (HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY)).replace(b"\r", b""),
            HEAD + b"Connection: close\r\n\r\n",
        ):
            async with connected(server) as wire:
                await wire.send(head + BODY)
                assert (await wire.answer())[0] in (200, 400, 422)
    text = BODY.partition(b'"$image": "')[2].decode()
    assert text[100:140] not in caplog.text
    assert text[-50:-10] not in caplog.text


async def test_a_name_of_several_addresses_is_listened_on_at_all() -> None:
    async def handler(_: object) -> aiohttp.web.StreamResponse:
        return aiohttp.web.Response()

    listening = Connections(aiohttp.web.Server(handler), HttpSettings(host="localhost", port=0))
    await listening.listen()
    assert listening.port > 0
    await listening.close()


async def test_who_leaves_before_it_is_told_to_continue_leaves_no_traceback(
    serve: Served, caplog: pytest.LogCaptureFixture
) -> None:
    asking = HEAD + b"Expect: 100-continue\r\nContent-Length: 10\r\n\r\n"
    async with serve(chain_of=lambda _: gate()) as (server, client):
        for _ in range(50):
            with socket.create_connection(("127.0.0.1", server.port)) as gone:
                gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # resets at its close
                gone.sendall(asking)
            await asyncio.sleep(0)
        assert (await client.get("/healthz")).status == 200
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
