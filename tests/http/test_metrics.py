"""Figures of /metrics that a healthy run leaves at 0."""

import asyncio
from collections.abc import Sequence
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from daemon.flow.receipts import Counts
from sinks.base import Record
from tests.controlled import Client, Serve, serve
from tests.waiting import until

__all__ = ["serve"]  # fixtures are found by their names here


async def figures(call: Client) -> dict[tuple[str, str], float]:
    """Of all, by name and the reason or what is watched."""
    assert call.app.http is not None
    async with aiohttp.ClientSession(call.app.http.url) as client, client.get("/metrics") as response:
        families = text_string_to_metric_families(await response.text())
    return {
        (sample.name, sample.labels.get("reason") or sample.labels.get("watch") or ""): sample.value
        for family in families
        for sample in family.samples
    }


async def test_what_is_lost_bears_its_reason_from_the_first_on(serve: Serve) -> None:
    async with serve() as call:
        before = await figures(call)
        stream, sink = call.app.overview.streams["filed"].stream, next(iter(call.app.overview.sinks.values()))
        ends: list[tuple[Counts, str, str]] = [
            (stream.counts, "fail", "visaged_stream_frames_failed_total"),
            (sink.counts, "drop", "visaged_sink_records_dropped_total"),
            (sink.counts, "fail", "visaged_sink_records_failed_total"),
        ]
        for counts, end, _ in ends:
            getattr(counts.open(), end)("a reason")
        call.app._engine.abandoned += 1
        after = await figures(call)
    for _, _, name in ends:
        assert (name, "a reason") not in before
        assert after[name, "a reason"] == 1
    assert (before["visaged_workers_abandoned_total", ""], after["visaged_workers_abandoned_total", ""]) == (0, 1)


async def test_a_sink_that_hangs_has_a_lag_which_grows(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    written = asyncio.Event()

    async def slow(_: Sequence[Record]) -> None:
        await written.wait()

    async def lag() -> float:
        return (await figures(call))["visaged_sink_lag_seconds", ""]

    async with serve() as call:
        (sink,) = call.app.overview.sinks.values()
        monkeypatch.setattr(sink.sink, "write", slow)
        lags = [await lag()]
        sink.offer(Record("filed", b"{}"), Counts().open())
        lags += [await lag(), await lag()]
        written.set()
        await until(lambda: sink.counts.acknowledged == 1)
        assert lags[0] == await lag() == 0 < lags[1] < lags[2]


async def test_crossings_of_a_line_are_counted_from_0_on(serve: Serve) -> None:
    name = "visaged_stream_line_crossed_total"
    async with serve() as call:
        places = call.app.overview.streams["filed"].stream.places
        assert (name, "") not in await figures(call)
        places.begin((), (), [("step", "in", "body")])
        assert (await figures(call))[name, ""] == 0
        places.crossed["step", "in", "body"] += 1
        assert (await figures(call))[name, ""] == 1


async def test_subscribers_are_counted_while_they_are_there(serve: Serve) -> None:
    async with serve() as call:
        assert call.app.http is not None

        async def watching() -> Any:
            found = await figures(call)
            return {what: count for (name, what), count in found.items() if name == "visaged_subscribers" and count}

        async with aiohttp.ClientSession(call.app.http.url) as client, client.get("/streams/filed/events") as response:
            assert response.status == 200
            assert await watching() == {"events": 1}
        await until(lambda: not sum(call.app.overview.watches.watching.values()))
        assert await watching() == {}
