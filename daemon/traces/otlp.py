"""Traces as OTLP has them: the only module that knows opentelemetry-proto (the extra `otel`).

https://opentelemetry.io/docs/specs/otlp/, over HTTP, in binary Protobuf.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from daemon.flow import spans
from daemon.flow.spans import Attributes, Trace, Value
from daemon.traces.settings import TracesSettings
from sinks.base import Record, SinkError
from sinks.http_client import HttpClient

RETRIABLE: Final = frozenset({429, 502, 503, 504})
"""The specification's: whatever else is refused must not be sent again."""
SPANS_REFUSED: Final = "spans_refused"
"""A note of the sink's: spans of a request that was taken."""


class Encoder:
    """Makes of each trace a whole request; several of them, one behind the other, are one request too."""

    def __init__(self, resource: Attributes, version: str) -> None:
        self._resource = Resource(attributes=_attributes(resource))
        self._scope = InstrumentationScope(name="visaged", version=version)

    def __call__(self, trace: Trace) -> bytes:
        spans = [_span(trace, span) for span in tuple(trace.spans)]  # a worker that was given up may still add some
        of_scope = ScopeSpans(scope=self._scope, spans=spans)
        request = ExportTraceServiceRequest(
            resource_spans=[ResourceSpans(resource=self._resource, scope_spans=[of_scope])]
        )
        return bytes(request.SerializeToString())


class OtlpSink:
    """Loses nothing that the receiver answered with success; may repeat what was under way when no answer came.

    What the receiver refuses for good is refused. Of a request that it took in part, its own count is noted.
    """

    def __init__(self, settings: TracesSettings) -> None:
        self.counts: Counter[str] = Counter()
        self._settings = settings
        self._client = HttpClient(settings.endpoint, settings.tls, settings.timeout)

    async def open(self) -> None:
        await self._client.open()

    async def check(self) -> None:
        """Asks whether an HTTP server answers, by OPTIONS, without `headers`. Raises SinkError."""
        await self._client.check()

    async def write(self, records: Sequence[Record]) -> None:
        answer = await self._client.post(b"".join(record.value for record in records), self._headers)
        if answer.status in RETRIABLE:
            raise SinkError(self._refusal(answer.words), retriable=True, retry_after=answer.retry_after)
        if answer.status >= 300:
            refused = [(record, f"refused: {answer.words}") for record in records]
            raise SinkError(self._refusal(answer.words), retriable=False, refused=refused)
        if refused_spans := _refused(answer.body):
            self.counts[SPANS_REFUSED] += refused_spans

    async def close(self) -> None:
        await self._client.close()

    @property
    def _headers(self) -> Mapping[str, str]:
        own = {name: value.get_secret_value() for name, value in self._settings.headers.items()}
        return own | {"Content-Type": "application/x-protobuf"}

    def _refusal(self, words: str) -> str:
        return f"{self._client.shown}: {words}"


def _refused(answer: bytes) -> int:
    """Spans, as an answer of success says; none where it says nothing that can be read."""
    try:
        return int(ExportTraceServiceResponse.FromString(answer).partial_success.rejected_spans)
    except DecodeError:
        return 0


def _span(trace: Trace, span: spans.Span) -> Span:
    attributes, error, context = span.attributes, span.error, span.context
    if span is span.root and trace.left_out:
        attributes = {**attributes, "visaged.spans_left_out": trace.left_out}
    if error is not None:
        attributes = {**attributes, "error.type": error}
    return Span(
        trace_id=bytes.fromhex(context.trace_id),
        span_id=bytes.fromhex(context.span_id),
        trace_state=context.tracestate,
        parent_span_id=bytes.fromhex(span.parent_id),
        flags=int(context.flags, 16),
        name=span.name,
        kind=Span.SpanKind.Value(f"SPAN_KIND_{span.kind}"),
        start_time_unix_nano=_nanoseconds(trace, span.began),
        end_time_unix_nano=_nanoseconds(trace, min(span.ended, span.root.ended)),
        attributes=_attributes(attributes),
        status=None if error is None else Status(code=Status.STATUS_CODE_ERROR),
    )


def _nanoseconds(trace: Trace, clock: float) -> int:
    return round((trace.epoch + clock) * 1e9)


def _attributes(attributes: Attributes) -> list[KeyValue]:
    return [KeyValue(key=key, value=_value(value)) for key, value in attributes.items()]


def _value(value: Value) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
    return AnyValue(string_value=value)
