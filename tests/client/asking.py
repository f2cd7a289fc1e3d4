"""Either client, asked in the same way from a test's event loop."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, NamedTuple, assert_type

import pytest

from daemon.client import AsyncClient, Client, Event, Kept, Snapshot, Stream, Verification

BLOCKING, ASYNCHRONOUS = "blocking", "asynchronous"


class Asking(NamedTuple):
    """A client, and how what its methods return is had."""

    client: Any
    ask: Callable[..., Any]
    """await ask(client.streams.get, "door")"""
    all_of: Callable[..., Any]
    """await all_of(client.streams.list): a list."""
    next_of: Callable[..., Any]
    """await next_of(events)"""


async def _awaited(method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return await method(*args, **kwargs)


async def _listed(method: Callable[..., Any], *args: Any, **kwargs: Any) -> list[Any]:
    return [item async for item in method(*args, **kwargs)]


@contextlib.asynccontextmanager
async def asking(way: str, url: str, key: str | None = None, **settings: Any) -> AsyncIterator[Asking]:
    if way == BLOCKING:
        yield Asking(
            Client(url, key, **settings),
            asyncio.to_thread,
            lambda method, *args, **kwargs: asyncio.to_thread(lambda: list(method(*args, **kwargs))),
            lambda events: asyncio.to_thread(next, events),
        )
    else:
        async with AsyncClient(url, key, **settings) as client:
            yield Asking(client, _awaited, _listed, anext)


both_ways = pytest.mark.parametrize("way", [BLOCKING, ASYNCHRONOUS])


async def typed(client: Client, asynchronous: AsyncClient) -> None:
    """Nobody calls it: mypy reads in it what each client's methods give."""
    assert_type(client.v2.age_estimator("photo.jpg").faces[0].age, int | None)
    assert_type(client.streams.list(states=["running"]), Iterator[Stream])
    assert_type(client.streams.set("door", {}, new=True), Stream)
    assert_type(client.history.delete(everything=True), int)
    assert_type(client.events("door"), Iterator[Event])
    assert_type(await asynchronous.v1.verify_matcher(b"", b""), Verification)
    assert_type(asynchronous.history.list(limit=1), AsyncIterator[Kept])
    assert_type(await asynchronous.streams.snapshot("door", width=640), Snapshot)
    assert_type(asynchronous.events(), AsyncIterator[Event])
    client.streams.get(1)  # type: ignore[arg-type]  # an error where it is none
    await asynchronous.streams.get()  # type: ignore[call-arg]
