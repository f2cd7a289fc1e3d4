"""W3C Trace Context (https://www.w3.org/TR/trace-context/): which trace something is of, and which step of it."""

import os
import re
from typing import Final, NamedTuple

TRACE: Final = ("traceparent", "tracestate")
"""The names of the headers."""
TRACEPARENT: Final = re.compile(
    # Version ff and ids of zeros are invalid; what a later version adds behind the flags is not ours to pass on.
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?P<trace>(?!0{32})[0-9a-f]{32})-(?P<span>(?!0{16})[0-9a-f]{16})"
    r"-(?P<flags>[0-9a-f]{2})"
)
TRACESTATE: Final = re.compile(r"[ -~]{1,512}")
SAMPLED: Final = "01"
NOT_SAMPLED: Final = "00"

Headers = tuple[tuple[str, bytes], ...]


class TraceContext(NamedTuple):
    """A span of a trace."""

    trace_id: str
    """32 hexadecimal digits."""
    span_id: str
    """16 of them."""
    flags: str
    tracestate: str = ""
    """As it came; empty: none did."""

    @classmethod
    def read(cls, traceparent: str, tracestate: str = "") -> "TraceContext | None":
        """None: no valid traceparent. Without a tracestate that is not valid."""
        parent = TRACEPARENT.fullmatch(traceparent)
        if parent is None:
            return None
        state = tracestate if TRACESTATE.fullmatch(tracestate) else ""
        return cls(parent["trace"], parent["span"], parent["flags"], state)

    @property
    def sampled(self) -> bool:
        """Whether somebody before us keeps it."""
        return bool(int(self.flags, 16) & 1)

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"

    @property
    def headers(self) -> Headers:
        """Of what is made in this span."""
        parent = ("traceparent", self.traceparent.encode())
        return (parent, ("tracestate", self.tracestate.encode())) if self.tracestate else (parent,)

    def child(self) -> "TraceContext":
        """Another span of the same trace."""
        return self._replace(span_id=os.urandom(8).hex())


def new_trace(flags: str = NOT_SAMPLED) -> TraceContext:
    return TraceContext(os.urandom(16).hex(), os.urandom(8).hex(), flags)


def trace_headers(came: tuple[str, str] | None) -> Headers:
    """The headers of a document: a child in the trace of what `came` (traceparent, tracestate).

    The same trace id and flags, and an id of its own as the next one's parent. None, or no valid traceparent: a trace
    of its own, not sampled.
    """
    parent = None if came is None else TraceContext.read(*came)
    return (new_trace() if parent is None else parent.child()).headers
