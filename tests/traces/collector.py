"""A receiver of OTLP over HTTP, and what it has taken, read by the protocol's own messages."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

from tests.sinks.receiver import Receiver


class Taken(NamedTuple):
    """A span."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    began: int
    """Unix nanoseconds, as `ended`."""
    ended: int
    status: str
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]
    tracestate: str


class Collector(Receiver):
    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def spans(self) -> list[Taken]:
        return [span for body in self.taken for span in spans_of(body)]

    def trace_of(self, root: str) -> list[Taken]:
        """All spans of the one trace whose root has this name; the root is the first."""
        (first,) = [span for span in self.spans if span.name == root]
        others = [span for span in self.spans if span.trace_id == first.trace_id and span is not first]
        return [first, *(span for span in others if span.span_id != first.span_id)]


def spans_of(body: bytes) -> list[Taken]:
    request = ExportTraceServiceRequest.FromString(body)
    return [
        _taken(span, of_resource.resource.attributes)
        for of_resource in request.resource_spans
        for of_scope in of_resource.scope_spans
        for span in of_scope.spans
    ]


def _taken(span: trace_pb2.Span, resource: Iterable[KeyValue]) -> Taken:
    return Taken(
        span.name,
        trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        trace_pb2.Status.StatusCode.Name(span.status.code).removeprefix("STATUS_CODE_"),
        _attributes(span.attributes),
        _attributes(resource),
        span.trace_state,
    )


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    return None if kind is None else getattr(value, kind)
