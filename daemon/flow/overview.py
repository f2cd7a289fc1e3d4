"""All that runs, looked at once a second: what /status and /metrics show, and who starves."""

import asyncio
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from daemon.flow.delivery import Delivery
from daemon.flow.engine import Engine
from daemon.flow.history import INTERVAL_S, SHORT_S
from daemon.flow.receipts import Counts
from daemon.flow.stream import Stream
from daemon.flow.supervisor import Supervisor
from daemon.flow.timing import Timing
from daemon.flow.watched import Watches
from daemon.logs import about


class Overview:
    """Streams, consumers and sinks may join and leave the mappings. Belongs to the event loop's thread."""

    def __init__(
        self,
        engine: Engine,
        streams: Mapping[str, Supervisor[Stream]],
        consumers: Mapping[str, Supervisor[Any]],
        sinks: Mapping[str, Delivery],
        http: Timing,
        watches: Watches,
    ) -> None:
        self.engine = engine
        self.streams = streams
        self.consumers = consumers
        self.sinks = sinks
        self.http = http
        """Of the requests' processors."""
        self.watches = watches
        self.resident_bytes: int | None = None
        """Memory of this process; None: it has not been looked at, or the system does not say."""

    async def run(self) -> None:
        """Until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._sample())
            group.create_task(self._weigh())

    async def _sample(self) -> None:
        while True:
            self.sample()
            await asyncio.sleep(INTERVAL_S)

    async def _weigh(self) -> None:
        """By itself: where sinks' writes hang there may be no thread for it, and that is to be told."""
        while True:
            self.resident_bytes = await asyncio.to_thread(_resident_bytes)
            await asyncio.sleep(INTERVAL_S)

    def sample(self) -> None:
        self.engine.sample()
        self.http.sample()
        for counts in self._counts():
            counts.sample()
        busy = self.engine.busy_share(SHORT_S)
        for label, supervisors in (("stream", self.streams), ("consumer", self.consumers)):
            for name, supervisor in supervisors.items():
                supervisor.stream.timing.sample()
                with about(**{label: name}):
                    supervisor.watch(busy)

    def _counts(self) -> Iterator[Counts]:
        for supervisor in self.streams.values():
            yield supervisor.stream.counts
        for consumer in self.consumers.values():
            yield consumer.stream.counts
        for delivery in self.sinks.values():
            yield delivery.counts


def _resident_bytes() -> int | None:
    try:
        _, resident, *_ = Path("/proc/self/statm").read_text(encoding="ascii").split()  # proc(5), in pages
    except OSError:
        return None
    return int(resident) * os.sysconf("SC_PAGE_SIZE")
