"""Spans, in OpenTelemetry's words: when each step of a frame's or a request's way began and how it ended.

Their times are those that are measured anyway, and nothing is sent from here: a whole trace is handed on when its root
has ended. Where nothing is traced, or a trace is not sampled, there is no span, and all of this costs a look at that.
"""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final, Literal

from daemon.wire.trace import SAMPLED, TraceContext, new_trace

Value = str | int | float | bool
Attributes = Mapping[str, Value]
Kind = Literal["INTERNAL", "SERVER", "PRODUCER", "CONSUMER"]
"""What is at the other end of a span."""

LOW_BITS: Final = 16
"""Hexadecimal digits of a trace id, its last, by which it is sampled: OpenTelemetry's TraceIdRatioBased."""
MOST_SPANS: Final = 256
"""Of a trace: what is beyond is counted by its root, as `visaged.spans_left_out`."""


@dataclass(slots=True, eq=False)
class Trace:
    """One root and all its steps. Steps may join it from any thread."""

    write: "Callable[[Trace], None]"
    spans: "list[Span]" = field(default_factory=list)
    """The first one is the root."""
    left_out: int = 0
    epoch: float = field(default_factory=lambda: time.time() - time.monotonic())
    """What makes Unix time of a span's."""

    def add(self, span: "Span") -> None:
        if len(self.spans) < MOST_SPANS:
            self.spans.append(span)
        else:
            self.left_out += 1


@dataclass(slots=True, eq=False)
class Span:
    """A step; it belongs to whoever is at it."""

    trace: Trace
    name: str
    kind: Kind
    context: TraceContext
    parent_id: str
    """Empty: it has none."""
    began: float
    """On time.monotonic()'s clock, as `ended`."""
    attributes: dict[str, Value]
    ended: float = math.inf
    error: str | None = None
    """What it failed by, in a word: no message, which may hold what is secret. None: it did not."""

    @property
    def root(self) -> "Span":
        return self.trace.spans[0]

    def step(
        self,
        name: str,
        *,
        kind: Kind = "INTERNAL",
        began: float | None = None,
        attributes: Attributes | None = None,
    ) -> "Span":
        """One within this one; `began`: None: now."""
        return _begun(self.trace, name, kind, self.context.child(), self.context.span_id, began, attributes)

    def end(self, error: str | None = None) -> None:
        """Now. With the root the trace is handed on, whatever has not ended by then."""
        self.ended, self.error = time.monotonic(), error
        if self is self.root:
            self.trace.write(self.trace)


class Tracer:
    """Begins the traces that are sampled: `ratio` of those that begin here, and those that are sampled already."""

    def __init__(self, ratio: float, write: Callable[[Trace], None]) -> None:
        """`ratio`: 0 to 1. `write` is called in the thread in which a root ends."""
        self._below = round(ratio * 16**LOW_BITS)
        self._write = write

    def begin(
        self,
        name: str,
        *,
        kind: Kind = "INTERNAL",
        came: TraceContext | None = None,
        began: float | None = None,
        attributes: Attributes | None = None,
    ) -> Span | None:
        """A root, whose parent is what `came`; None: it is not sampled."""
        context = new_trace(SAMPLED) if came is None else came.child()
        sampled = int(context.trace_id[-LOW_BITS:], 16) < self._below if came is None else came.sampled
        if not sampled:
            return None
        return _begun(Trace(self._write), name, kind, context, "" if came is None else came.span_id, began, attributes)


SPAN: Final = ContextVar[Span | None]("span", default=None)
"""What is being done here; None: nothing that is traced. Tasks, and jobs of workers, inherit it."""


def messaging(system: str, operation: str, destination: str | None = None) -> dict[str, Value]:
    """What OpenTelemetry's semantic conventions say of a record: "send" or "process", and by which topic."""
    about: dict[str, Value] = {
        "messaging.system": system,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
    }
    return about if destination is None else about | {"messaging.destination.name": destination}


def step(name: str) -> contextlib.AbstractContextManager[None]:
    """A step of what is being done here; an exception ends it as its error."""
    span = SPAN.get()
    return _NOTHING if span is None else _step(span, name)


def within(span: Span | None) -> contextlib.AbstractContextManager[None]:
    """What is done meanwhile is a part of this; None: of what it is part of anyway."""
    return _NOTHING if span is None else _within(span)


_NOTHING: Final = contextlib.nullcontext()


@contextlib.contextmanager
def _within(span: Span) -> Iterator[None]:
    token = SPAN.set(span)
    try:
        yield
    finally:
        SPAN.reset(token)


@contextlib.contextmanager
def _step(parent: Span, name: str) -> Iterator[None]:
    span = parent.step(name)
    with _within(span):
        try:
            yield
        except BaseException as err:
            span.end(error=type(err).__name__)
            raise
    span.end()


def _begun(
    trace: Trace,
    name: str,
    kind: Kind,
    context: TraceContext,
    parent_id: str,
    began: float | None,
    attributes: Attributes | None,
) -> Span:
    since = time.monotonic() if began is None else began
    span = Span(trace, name, kind, context, parent_id, since, dict(attributes or {}))
    trace.add(span)
    return span
