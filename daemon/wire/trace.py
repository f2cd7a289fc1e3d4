"""W3C Trace Context (https://www.w3.org/TR/trace-context/): which trace a document is of."""

import os
import re
from typing import Final

TRACE: Final = ("traceparent", "tracestate")
"""The names of the headers."""
TRACEPARENT: Final = re.compile(
    # Version ff and ids of zeros are invalid; what a later version adds behind the flags is not ours to pass on.
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?P<trace>(?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-(?P<flags>[0-9a-f]{2})"
)
TRACESTATE: Final = re.compile(r"[ -~]{1,512}")

Headers = tuple[tuple[str, bytes], ...]


def trace_headers(came: tuple[str, str] | None) -> Headers:
    """The headers of a document: a child in the trace of what `came` (traceparent, tracestate).

    The same trace id and flags, and an id of its own as the next one's parent. None, or no valid traceparent: a trace
    of its own, not sampled.
    """
    traceparent, tracestate = came or ("", "")
    parent = TRACEPARENT.fullmatch(traceparent)
    if parent is None:
        return (("traceparent", _traceparent(os.urandom(16).hex(), "00")),)
    child = ("traceparent", _traceparent(parent["trace"], parent["flags"]))
    return (child, ("tracestate", tracestate.encode())) if TRACESTATE.fullmatch(tracestate) else (child,)


def _traceparent(trace: str, flags: str) -> bytes:
    return f"00-{trace}-{os.urandom(8).hex()}-{flags}".encode()
