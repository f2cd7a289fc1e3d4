"""What `/status` shows: the state of every stream and sink, and what became of every frame and record."""

import importlib.metadata
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from daemon.flow.delivery import Delivery
from daemon.flow.engine import Engine
from daemon.flow.receipts import Counts
from daemon.flow.stream import Stream
from daemon.flow.supervisor import Supervisor

if TYPE_CHECKING:
    from daemon.kafka.consumer import Consumer  # with aiokafka

VERSION = importlib.metadata.version("visaged")


class Status:
    """Looks at what is there when it is called; streams may join and leave the mapping."""

    def __init__(
        self,
        engine: Engine,
        supervisors: Mapping[str, Supervisor[Stream]],
        deliveries: Mapping[str, Delivery],
        consumers: "Mapping[str, Supervisor[Consumer]]",
    ) -> None:
        self._engine = engine
        self._supervisors = supervisors
        self._consumers = consumers
        self._deliveries = deliveries
        self._began = time.monotonic()

    def __call__(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "uptime": round(time.monotonic() - self._began, 3),
            "engine": {
                "workers": self._engine.workers,
                "hung": self._engine.hung,
                "abandoned": self._engine.abandoned,
            },
            "streams": {name: _stream(supervisor) for name, supervisor in self._supervisors.items()},
            "consumers": {name: _consumer(supervisor) for name, supervisor in self._consumers.items()},
            "sinks": {name: _sink(delivery) for name, delivery in self._deliveries.items()},
        }


def _stream(supervisor: Supervisor[Any]) -> dict[str, Any]:
    return {
        "state": supervisor.state,
        "error": supervisor.error,
        "restarts": supervisor.restarts,
        "frames": _counts(supervisor.stream.counts),
    }


def _consumer(supervisor: "Supervisor[Consumer]") -> dict[str, Any]:
    consumer, row = supervisor.stream, _stream(supervisor)
    if row["state"] in ("connecting", "running"):  # of a run, which knows better
        row["state"] = consumer.state
        if consumer.error or consumer.state == "running":
            row["error"] = consumer.error
    partitions = consumer.partitions.items()
    row["partitions"] = {f"{tp.topic}-{tp.partition}": partition.status() for tp, partition in partitions}
    return row


def _sink(delivery: Delivery) -> dict[str, Any]:
    return {
        "state": delivery.state,
        "error": delivery.error,
        "retries": delivery.retries,
        "records": _counts(delivery.counts),
        "notes": dict(delivery.sink.counts),
    }


def summary(counts: Counts, noun: str) -> str:
    """E.g. "12 frames, 10 acknowledged, 2 dropped (stopped: 2)"."""
    ended = {"skipped": counts.skipped, "dropped": counts.dropped, "failed": counts.failed}
    others = [f"{reasons.total()} {how} ({_listed(reasons)})" for how, reasons in ended.items() if reasons]
    pending = [f"{counts.pending} pending"] if counts.pending else []
    return ", ".join([f"{counts.received} {noun}", f"{counts.acknowledged} acknowledged", *others, *pending])


def _listed(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{reason}: {count}" for reason, count in reasons.items())


def _counts(counts: Counts) -> dict[str, Any]:
    return {
        "received": counts.received,
        "acknowledged": counts.acknowledged,
        "skipped": dict(counts.skipped),
        "dropped": dict(counts.dropped),
        "failed": dict(counts.failed),
        "pending": counts.pending,
    }
