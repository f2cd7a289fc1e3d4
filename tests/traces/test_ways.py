"""The daemon with a receiver of OTLP: a whole way of a frame, of a request and of a Kafka record."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from daemon.commands.run import App
from daemon.config.model import Config
from daemon.http.services.catalogue import services
from tests.brokers import ApacheKafka, records_of
from tests.http.calls import document
from tests.kafka_frames import Frames, strip
from tests.photos import file_of
from tests.traces.collector import Collector, Taken
from tests.waiting import until
from tests.worked import ROOT

pytestmark = pytest.mark.slow

PARENT_ID = "00f067aa0ba902b7"
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE_ID}-{PARENT_ID}-01"
SECRET = "Bearer not-for-attributes"  # noqa: S105


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    monkeypatch.setattr("daemon.commands.run.TRACES_S", 30.0)  # a busy machine may not send all in a stop's two seconds
    collector = Collector()
    await collector.start()
    yield collector
    await collector.stop()


@asynccontextmanager
async def running(collector: Collector, ratio: float = 1.0, **others: Any) -> AsyncIterator[App]:
    """A daemon that has sent all its traces when it has ended."""
    traces = {"endpoint": collector.endpoint, "sampling_ratio": ratio, "headers": {"Authorization": SECRET}}
    app, stop = App(Config(**{"engine": {"workers": 1}, "traces": traces, **others})), asyncio.Event()
    task = asyncio.create_task(app.run(stop))
    try:
        await until(lambda: app._loaded or task.done())
        yield app
    finally:
        stop.set()
        await task


def within_its_root(trace: list[Taken]) -> bool:
    root, *others = trace
    return all(root.began <= span.began <= span.ended <= root.ended for span in others)


def names_below(trace: list[Taken], parent: str) -> list[str]:
    (span_id,) = [span.span_id for span in trace if span.name == parent]
    return [span.name for span in sorted(trace, key=lambda span: span.began) if span.parent_id == span_id]


async def test_a_frame_from_its_file_to_the_answer_of_the_sink(collector: Collector, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "one.jpg").write_bytes(file_of("astronaut"))
    stream = {
        "source": str(tmp_path / "pictures"),
        "chain": ["face-detector", "face-fitter", "age-estimator", "template-extractor"],
    }
    out = tmp_path / "out.jsonl"
    async with running(
        collector, http=None, streams={"door": stream}, sinks={"out": {"type": "file", "path": out}}
    ) as app:
        await until(lambda: app.overview.sinks["out"].counts.acknowledged == 1)
        assert app.overview.sinks["traces"].counts.received >= 1
    trace = collector.trace_of("frame")
    root = trace[0]
    assert (root.parent_id, root.kind, root.status) == ("", "INTERNAL", "UNSET")
    assert root.attributes == {"visaged.stream": "door", "visaged.frame": 0, "visaged.ending": "acknowledged"}
    assert names_below(trace, "frame") == ["queue", "decode", *stream["chain"], "tell", "send out"]
    assert within_its_root(trace)
    assert root.resource["service.name"] == "visaged"
    assert {request.headers["Authorization"] for request in collector.requests} == {SECRET}
    assert not any(SECRET.encode() in request.body for request in collector.requests)


async def test_a_request_through_its_chain(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "face-detector-face-fitter"
    monkeypatch.setattr("daemon.commands.run.services", lambda module: {name: services(module)[name]})
    body = document("v2", file_of("astronaut"))
    sent = {"traceparent": TRACEPARENT, "tracestate": "vendor=1", "Authorization": SECRET}
    async with (
        running(collector, ratio=0.0, http={"port": 0}) as app,
        aiohttp.ClientSession(app.http.url if app.http else "") as client,
    ):
        for headers in (sent, {}):  # the second one begins a trace, and is not sampled
            async with client.post(f"/{name}/v2/process/sample?secret=1", json=body, headers=headers) as response:
                assert response.status == 200, await response.text()
                assert response.headers.get("traceparent") == headers.get("traceparent")
        async with client.get("/healthz", headers=sent):
            pass
    route = f"/{name}/v2/process/sample"
    trace = collector.trace_of(f"POST {route}")
    assert len(collector.spans) == len(trace)
    root = trace[0]
    assert (root.trace_id, root.parent_id, root.tracestate) == (TRACE_ID, PARENT_ID, "vendor=1")
    assert root.kind == "SERVER"
    assert len(root.attributes["visaged.request_id"]) == 32
    assert root.attributes == {
        "visaged.request_id": root.attributes["visaged.request_id"],
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.route": route,
        "url.path": route,
        "url.scheme": "http",
    }
    assert names_below(trace, root.name) == ["receive", "queue", "answer"]
    assert names_below(trace, "answer") == ["face-detector", "face-fitter"]
    assert within_its_root(trace)


@pytest.mark.parametrize("delivery", ["at_least_once", "exactly_once"])
async def test_a_kafka_record_in_the_trace_that_it_came_with(
    collector: Collector, apache_kafka: ApacheKafka, delivery: str
) -> None:
    frames = Frames(apache_kafka.address(), partitions=1)
    await frames.create()
    await frames.send([("door", strip(1))], headers=[("traceparent", TRACEPARENT.encode()), ("tracestate", b"a=1")])
    async with running(collector, ratio=0.0, **frames.configuration(delivery)) as app:
        await until(lambda: app.overview.consumers["frames"].stream.counts.acknowledged == 1)
    name = f"process {frames.source}"
    trace = collector.trace_of(name)
    root = trace[0]
    assert (root.trace_id, root.parent_id, root.tracestate) == (TRACE_ID, PARENT_ID, "a=1")
    assert root.kind == "CONSUMER"
    assert root.attributes == {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": frames.source,
        "messaging.destination.partition.id": "0",
        "messaging.consumer.group.name": frames.group,
        "messaging.kafka.offset": 0,
        "visaged.stream": "door",
        "visaged.ending": "acknowledged",
    }
    (sending,) = [span for span in trace if span.kind == "PRODUCER"]
    assert sending.attributes["messaging.destination.name"] == frames.out
    assert [*names_below(trace, name)[:2], sending.parent_id] == ["queue", "decode", root.span_id]
    assert within_its_root(trace)
    (record,) = await records_of(frames.servers, frames.out)
    assert dict(record.headers)["traceparent"] == f"00-{TRACE_ID}-{root.span_id}-01".encode()
    assert dict(record.headers)["tracestate"] == b"a=1"


async def test_a_receiver_that_hangs_delays_no_stop(
    collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.commands.run.TRACES_S", 0.2)
    (tmp_path / "one.jpg").write_bytes(file_of("astronaut"))
    collector.reads.clear()
    streams = {"door": {"source": str(tmp_path), "chain": ["face-detector"]}}
    sinks = {"out": {"type": "file", "path": tmp_path / "out.jsonl"}}
    async with running(collector, http=None, streams=streams, sinks=sinks) as app:
        traces = app.overview.sinks["traces"].counts
        await until(lambda: traces.received == 1)
        stopping = time.monotonic()
    collector.reads.set()
    assert time.monotonic() - stopping < 5
    assert traces.dropped == {"traces: stopped": 1}


def test_without_them_nothing_of_opentelemetry_is_loaded() -> None:
    program = """
import asyncio, sys
from daemon.commands.run import App
from daemon.config.model import Config

async def main():
    stop = asyncio.Event()
    stop.set()
    await App(Config(http={"port": 0}, engine={"workers": 1})).run(stop)

import daemon.commands.run
daemon.commands.run.services = lambda _: {}
asyncio.run(main())
print(*(name for name in sys.modules if name.startswith(("opentelemetry", "google", "daemon.traces"))))
"""
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["daemon.traces", "daemon.traces.settings"]
