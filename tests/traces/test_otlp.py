"""What is sent of traces, and what is made of each answer."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from daemon.flow.delivery import BACKLOG
from daemon.flow.spans import MOST_SPANS, Span, Tracer
from daemon.traces.otlp import SPANS_REFUSED, Encoder, OtlpSink
from daemon.traces.settings import TracesSettings
from daemon.traces.traces import Traces
from sinks.base import Record, SinkError
from tests.brokers import free_port
from tests.sinks.receiver import Answer
from tests.traces.collector import Collector, spans_of
from tests.waiting import until
from tests.worked import ROOT

ENCODE = Encoder({"service.name": "visaged"}, "1.2.3")


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    collector = Collector()
    await collector.start()
    yield collector
    await collector.stop()


@pytest.fixture
async def sink(collector: Collector) -> AsyncIterator[OtlpSink]:
    sink = OtlpSink(TracesSettings(endpoint=collector.endpoint))
    await sink.open()
    yield sink
    await sink.close()


def root(name: str = "frame", **attributes: str | int | float | bool) -> Span:
    span = Tracer(1.0, lambda _: None).begin(name, attributes=attributes)
    assert span is not None
    return span


def record(name: str = "frame") -> Record:
    span = root(name)
    span.end()
    return Record("", ENCODE(span.trace))


def test_what_has_not_ended_ends_with_its_root() -> None:
    span = root()
    hung = span.step("face-detector")
    span.end(error="WorkerHung")
    hung.end()
    first, second = spans_of(ENCODE(span.trace))
    assert (first.ended, first.status, first.attributes) == (second.ended, "ERROR", {"error.type": "WorkerHung"})
    assert (second.status, second.parent_id) == ("UNSET", first.span_id)


def test_attributes_keep_their_types_and_a_trace_says_what_it_left_out() -> None:
    span = root(text="a", whole=-3, real=0.5, flag=True)
    for _ in range(MOST_SPANS):
        span.step("queue").end()
    span.end()
    first, *others = spans_of(ENCODE(span.trace))
    assert first.attributes == {"text": "a", "whole": -3, "real": 0.5, "flag": True, "visaged.spans_left_out": 1}
    assert (first.attributes["flag"], type(first.attributes["flag"])) == (True, bool)
    assert len(others) == MOST_SPANS - 1


async def test_a_batch_is_one_request(sink: OtlpSink, collector: Collector) -> None:
    await sink.write([record("a"), record("b")])
    (request,) = collector.requests
    assert (request.path, request.headers["Content-Type"]) == ("/v1/traces", "application/x-protobuf")
    assert [(span.name, span.resource) for span in collector.spans] == [
        ("a", {"service.name": "visaged"}),
        ("b", {"service.name": "visaged"}),
    ]


@pytest.mark.parametrize(
    ("answer", "retriable", "retry_after"),
    [
        (Answer(429, {"Retry-After": "7"}), True, 7),
        (Answer(503), True, 0),
        (Answer(400), False, 0),
        (Answer(401), False, 0),
        (Answer(500), False, 0),
        (Answer(302), False, 0),
    ],
)
async def test_what_is_refused_for_good_is_not_sent_again(
    sink: OtlpSink, collector: Collector, answer: Answer, retriable: bool, retry_after: float
) -> None:
    collector.answers.append(answer)
    records = [record(), record()]
    with pytest.raises(SinkError) as caught:
        await sink.write(records)
    error = caught.value
    assert (error.retriable, error.retry_after) == (retriable, retry_after)
    assert [refused for refused, _ in error.refused] == ([] if retriable else records)
    assert f"{collector.endpoint}: {answer.status} " in str(error)


async def test_the_receiver_of_the_docs_prints_the_steps() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert program.count("4318") == 1
    port = free_port()
    shown = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program.replace("4318", str(port))),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert shown.stdout is not None
    traces = Traces(TracesSettings(endpoint=f"http://127.0.0.1:{port}", sampling_ratio=1.0), "1.2.3")
    running = asyncio.create_task(traces.delivery.run())
    try:
        root = traces.tracer.begin("frame")
        assert root is not None
        root.step("face-detector").end()
        root.end()
        lines = [(await asyncio.wait_for(shown.stdout.readline(), 10)).decode() for _ in range(2)]
        assert [re.sub(r"\d+\.\d", "1.0", line) for line in lines] == [
            f"{root.context.trace_id} {name} 1.0 ms\n" for name in ("frame", "face-detector")
        ]
    finally:
        shown.terminate()
        await shown.wait()
        await traces.delivery.close(1)
        await running


@pytest.mark.parametrize("body", [b"", b"\xff\xff", b"{}"])
async def test_an_answer_that_says_nothing_is_success(sink: OtlpSink, collector: Collector, body: bytes) -> None:
    collector.answers.append(Answer(200, body=body))
    await sink.write([record()])
    assert not sink.counts


async def test_spans_that_the_receiver_left_out_are_counted(sink: OtlpSink, collector: Collector) -> None:
    partial = ExportTraceServiceResponse(partial_success=ExportTracePartialSuccess(rejected_spans=3))
    collector.answers.append(Answer(200, body=partial.SerializeToString()))
    await sink.write([record()])
    assert sink.counts == {SPANS_REFUSED: 3}


async def test_a_receiver_that_is_away_holds_nobody_up_and_what_is_lost_is_counted(collector: Collector) -> None:
    traces = Traces(TracesSettings(endpoint=collector.endpoint, sampling_ratio=1.0), "1.2.3")
    await collector.stop()
    running = asyncio.create_task(traces.delivery.run())

    def end_one() -> None:
        span = traces.tracer.begin("frame")
        assert span is not None
        span.end()

    end_one()
    await until(lambda: traces.delivery.state == "waiting")
    assert "connection refused" in (traces.delivery.error or "")
    for _ in range(BACKLOG + 3):
        end_one()
    counts: Any = traces.delivery.counts
    assert counts.dropped == {"traces: backlog full": 3}
    await collector.start()
    await until(lambda: counts.acknowledged == 1 + BACKLOG)
    assert len({span.trace_id for span in collector.spans}) == 1 + BACKLOG
    await traces.delivery.close(1)
    await running
