"""The traces as the daemon has them: what begins them, and the queue to their receiver, which holds nobody up."""

import socket
import uuid
from typing import Final

from daemon.flow.delivery import Delivery
from daemon.flow.receipts import Counts
from daemon.flow.spans import Trace, Tracer
from daemon.traces.otlp import Encoder, OtlpSink
from daemon.traces.settings import NAME, TracesSettings
from sinks.base import Record

BATCH: Final = 100
"""Traces in a request, at most: some 200 kB."""
LINGER_S: Final = 0.2


class Traces:
    """Belongs to the event loop's thread."""

    def __init__(self, settings: TracesSettings, version: str) -> None:
        self.tracer = Tracer(settings.sampling_ratio, self._write)
        self.delivery = Delivery(NAME, OtlpSink(settings), batch=BATCH, linger=LINGER_S)
        """Their queue, with what became of all traces."""
        self._handed = Counts()
        resource = {
            "service.name": settings.service_name,
            "service.version": version,
            "service.instance.id": str(uuid.uuid4()),
            "host.name": socket.gethostname(),
        }
        self._encode = Encoder(resource, version)

    def _write(self, trace: Trace) -> None:
        """Of traces that wait the oldest is dropped where there is no room."""
        self.delivery.offer(Record("", self._encode(trace)), self._handed.open())
