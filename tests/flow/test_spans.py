"""Spans of what goes through a stream, and which of all traces are kept."""

import time
from collections.abc import AsyncIterator

import pytest

from daemon.flow.delivery import Delivery
from daemon.flow.engine import Engine
from daemon.flow.receipts import Counts
from daemon.flow.spans import MOST_SPANS, SPAN, Span, Trace, Tracer, messaging, step, within
from daemon.flow.stream import Stream
from daemon.flow.timing import Timing
from daemon.sources.base import Feed
from daemon.wire.trace import TraceContext
from daemon.work.emission import Emission
from daemon.work.untracked import Untracked
from processors.types import Frame, Sample
from sinks.base import Record
from sinks.stdout import StdoutSettings, StdoutSink
from tests.fakes import CollectingSink, ScriptedSource, Work, frame

IDS = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    engine = Engine(1)
    yield engine
    await engine.close()


def begun(kept: list[Trace], ratio: float = 1.0) -> Span:
    span = Tracer(ratio, kept.append).begin("frame")
    assert span is not None
    return span


@pytest.mark.parametrize("ratio", [0.0, 0.25, 1.0])
def test_of_traces_that_begin_here_a_share_is_kept(ratio: float) -> None:
    tracer, of = Tracer(ratio, print), 2000
    kept = sum(tracer.begin("frame") is not None for _ in range(of))
    assert kept / of == pytest.approx(ratio, abs=0 if ratio in (0, 1) else 0.06)


@pytest.mark.parametrize(("flags", "kept"), [("00", False), ("01", True), ("02", False), ("03", True)])
@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_of_traces_that_came_those_are_kept_that_their_sender_keeps(ratio: float, flags: str, kept: bool) -> None:
    span = Tracer(ratio, print).begin("frame", came=TraceContext(*IDS, flags, "a=1"))
    assert (span is not None) == kept
    if span is not None:
        assert span.parent_id == IDS[1]
        assert span.context == TraceContext(IDS[0], span.context.span_id, flags, "a=1")
        assert span.context.span_id != IDS[1]


def test_steps_lie_within_each_other_and_fail_by_their_error() -> None:
    kept: list[Trace] = []
    root = begun(kept)
    with pytest.raises(ZeroDivisionError), within(root), step("outer"), step("inner"):
        1 / 0  # noqa: B018
    assert SPAN.get() is None
    assert not kept
    root.end()
    (trace,) = kept
    _, outer, inner = trace.spans
    assert [outer.parent_id, inner.parent_id] == [root.context.span_id, outer.context.span_id]
    assert [span.error for span in trace.spans] == [None, "ZeroDivisionError", "ZeroDivisionError"]
    assert root.began <= outer.began <= inner.began <= inner.ended <= outer.ended <= root.ended


def test_outside_of_a_trace_a_step_is_nothing() -> None:
    with step("outer"):
        assert SPAN.get() is None


def test_a_trace_has_a_limit() -> None:
    root = begun([])
    for _ in range(MOST_SPANS + 4):
        root.step("queue").end()
    assert (len(root.trace.spans), root.trace.left_out) == (MOST_SPANS, 5)


async def traced(engine: Engine, script: ScriptedSource, *, work: Work, sink: CollectingSink) -> list[Trace]:
    """Those of one run of a stream."""
    kept: list[Trace] = []
    timing = Timing()

    def make_work(run: str) -> Untracked:
        def document(sample: Sample, _: str) -> Record:
            return Record("door", b"", headers=(("span", span_id().encode()),))

        return Untracked(timing.timed("worker", work), Emission(document, "every", run))

    tracer = Tracer(1.0, kept.append)
    await Stream("door", script, make_work, engine.lane("door"), [sink], 1, tracer=tracer).run()
    return kept


def span_id() -> str:
    span = SPAN.get()
    return "" if span is None else span.root.context.span_id


async def test_a_camera_s_frame_begins_with_its_packet(engine: Engine) -> None:
    async def offer(feed: Feed) -> None:
        captured = frame(7)
        captured.captured_at = time.time() - 2.0
        feed.offer(captured)

    (trace,) = await traced(engine, ScriptedSource(offer), work=Work(), sink=CollectingSink())
    assert [span.name for span in trace.spans] == ["frame", "read", "queue", "worker", "tell"]
    root, read = trace.spans[:2]
    assert root.began == read.began
    assert read.ended - read.began == pytest.approx(2.0, abs=0.5)
    assert trace.epoch + root.began == pytest.approx(time.time() - 2.0, abs=0.5)
    assert root.attributes == {"visaged.stream": "door", "visaged.frame": 7, "visaged.ending": "acknowledged"}


async def test_a_frame_that_breaks_says_where(engine: Engine) -> None:
    def broken(_: Frame) -> None:
        raise ZeroDivisionError("of a face that no trace is to name")

    async def put(feed: Feed) -> None:
        await feed.put(frame(0))

    (trace,) = await traced(engine, ScriptedSource(put), work=Work(broken), sink=CollectingSink())
    assert {span.name: span.error for span in trace.spans} == {
        "frame": "ZeroDivisionError",
        "queue": None,
        "worker": "ZeroDivisionError",
    }
    assert trace.spans[0].attributes["visaged.ending"] == "failed"


async def test_a_document_knows_the_span_of_its_frame(engine: Engine) -> None:
    async def put(feed: Feed) -> None:
        for index in range(2):
            await feed.put(frame(index))

    sink = CollectingSink()
    kept = await traced(engine, ScriptedSource(put), work=Work(), sink=sink)
    roots = [trace.spans[0].context.span_id.encode() for trace in kept]
    assert [dict(record.headers)["span"] for record in sink.records] == roots


async def test_what_a_sink_does_with_a_record_is_a_span_of_its_frame() -> None:
    kept: list[Trace] = []
    about = messaging("kafka", "send", "frames")
    delivery = Delivery("out", StdoutSink(StdoutSettings(type="stdout")), backlog=1, destination=about)
    first, second = begun(kept), begun(kept)
    for span in (first, second):
        delivery.offer(Record("door", b""), Counts().open(span=span))
    await delivery.close(0)
    by_root = {trace.spans[0]: trace.spans[1] for trace in kept}
    assert by_root.keys() == {first, second}
    reasons = [by_root[root].attributes["visaged.reason"] for root in (first, second)]
    assert reasons == ["out: backlog full", "out: stopped"]
    sending = by_root[first]
    assert (sending.name, sending.kind, sending.error) == ("send out", "PRODUCER", None)
    assert sending.attributes.items() >= {**about, "visaged.sink": "out", "visaged.ending": "dropped"}.items()
