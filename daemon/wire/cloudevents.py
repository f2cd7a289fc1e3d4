"""A document as a CloudEvent in structured mode (CloudEvents 1.0, JSON Event Format)."""

from collections.abc import Iterable
from typing import Final

from daemon.wire.codec import encode
from daemon.wire.trace import TRACE

PREFIX: Final = "ce_"
"""Of the attributes among a record's headers, as the Kafka protocol binding has them."""


def cloud_event(headers: Iterable[tuple[str, bytes | None]], document: bytes) -> bytes:
    """The attributes are taken from the record's headers; `document` is the event's data."""
    attributes = {"datacontenttype": "application/json"}
    for name, value in headers:
        if name.startswith(PREFIX) or name in TRACE:
            attributes[name.removeprefix(PREFIX)] = (value or b"").decode()
    return encode(attributes)[:-1] + b',"data":' + document + b"}"
