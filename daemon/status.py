"""What `/status` shows: the state of every stream and sink, what became of every frame and record, and how fast."""

import importlib.metadata
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from daemon.flow.delivery import Delivery
from daemon.flow.engine import Engine
from daemon.flow.history import LONG_S, SHORT_S, Growth
from daemon.flow.overview import Overview
from daemon.flow.receipts import ACKNOWLEDGED, RECEIVED, Became, Counts
from daemon.flow.stream import Stream
from daemon.flow.supervisor import State, Supervisor
from daemon.flow.timing import Timing
from daemon.history.history import History
from daemon.wire.v2 import Places, rfc3339

if TYPE_CHECKING:
    from daemon.kafka.consumer import Consumer  # with aiokafka

VERSION = importlib.metadata.version("visaged")
WINDOWS = {"last_10_s": SHORT_S, "last_60_s": LONG_S}


class Shows(Protocol):
    """What shows the streams elsewhere."""

    error: str | None
    """Why it does not; None: it does."""


class Status:
    """Looks at what is there when it is called."""

    def __init__(
        self, overview: Overview, history: History | None = None, homes: Mapping[str, Shows] | None = None
    ) -> None:
        """`homes`: by which Home Assistants the streams are shown, by the names of the sinks."""
        self._overview = overview
        self._history = history
        self._homes = homes or {}
        self._began = time.monotonic()

    def __call__(self) -> dict[str, Any]:
        overview = self._overview
        workers = overview.engine.workers
        return {
            "version": VERSION,
            "uptime": round(time.monotonic() - self._began, 3),
            "resident_bytes": overview.resident_bytes,
            "engine": _engine(overview.engine),
            "http": {
                "processors": _processors(overview.http, workers),
                "watching": dict(overview.watches.watching),
                "refused": overview.watches.refused,
            },
            "streams": {name: _stream(supervisor, workers) for name, supervisor in overview.streams.items()},
            "consumers": {name: _consumer(supervisor, workers) for name, supervisor in overview.consumers.items()},
            "sinks": {name: _sink(delivery) for name, delivery in overview.sinks.items()},
            "home_assistant": {name: {"error": home.error} for name, home in self._homes.items()},
            "history": None if self._history is None else _history(self._history),
        }

    def stream(self, name: str) -> dict[str, Any]:
        """One row of the streams. Raises KeyError."""
        return _stream(self._overview.streams[name], self._overview.engine.workers)


def _engine(engine: Engine) -> dict[str, Any]:
    return {
        "workers": engine.workers,
        "busy": {name: _rounded(engine.busy_share(seconds)) for name, seconds in WINDOWS.items()},
        "busy_seconds": _rounded(engine.busy_seconds),
        "hung": engine.hung,
        "abandoned": engine.abandoned,
    }


def _supervised(supervisor: Supervisor[Any], workers: int) -> dict[str, Any]:
    counts = supervisor.stream.counts
    return {
        "state": supervisor.state,
        "error": supervisor.error,
        "restarts": supervisor.restarts,
        "next_attempt": _rounded(supervisor.next_attempt),
        "frames": _counts(counts),
        "untaken": counts.untaken,
        **_pace(counts),
        "last_frame": _time(counts.received_at),
        "last_document": _time(counts.acknowledged_at),
        "processors": _processors(supervisor.stream.timing, workers),
    }


def _stream(supervisor: Supervisor[Stream], workers: int) -> dict[str, Any]:
    stream = supervisor.stream
    video, shots, looks, places = stream.video, stream.shots, stream.looks, stream.places
    width, height = video.size or (None, None)
    growth = stream.counts.history.growth(SHORT_S)
    return (
        {"name": stream.title, "labels": dict(stream.labels)}
        | _supervised(supervisor, workers)
        | {
            "video": {
                "codec": video.codec,
                "width": width,
                "height": height,
                "fps": None if growth is None else _rounded(growth.rate(RECEIVED)),
                "cpu_seconds": _rounded(video.cpu_seconds),
            },
            "pictures_withheld": dict(looks.withheld),
            "looks": {"made": dict(looks.looks), "predicted": dict(looks.predictions)},
            "places": Places(places.now, places.entered, places.crossed).members(),
            "shots": {
                "made": shots.acknowledged,
                "waiting": shots.pending,
                "shed": dict(shots.dropped),
                "failed": dict(shots.failed),
            },
            "events_lost": 0 if stream.watched is None else stream.watched.lost,
        }
    )


def _consumer(supervisor: "Supervisor[Consumer]", workers: int) -> dict[str, Any]:
    consumer, row = supervisor.stream, _supervised(supervisor, workers)
    row["state"] = state = consumer_state(supervisor)
    if consumer.error or state in ("running", "standby"):
        row["error"] = consumer.error
    row["dead_letters"] = {"error": consumer.letters_error, "records": _counts(consumer.letters)}
    partitions = consumer.partitions.items()
    row["partitions"] = {f"{tp.topic}-{tp.partition}": partition.status() for tp, partition in partitions}
    return row


def consumer_state(supervisor: "Supervisor[Consumer]") -> State:
    """Of a run the consumer knows better, but for what comes of it."""
    state, of_run = supervisor.state, supervisor.stream.state
    if state == "starving":
        return state if of_run == "running" else of_run
    return of_run if state in ("connecting", "running") else state


def _sink(delivery: Delivery) -> dict[str, Any]:
    counts = delivery.counts
    return {
        "state": delivery.state,
        "error": delivery.error,
        "retries": delivery.retries,
        "records": _counts(counts),
        **_pace(counts),
        "last_record": _time(counts.acknowledged_at),
        "notes": dict(delivery.sink.counts),
    }


def _history(history: History) -> dict[str, Any]:
    """What is kept; what became of the events on their way is among the sinks."""
    figures = history.figures
    return {
        "events": figures.events,
        "pictures": figures.pictures,
        "bytes": figures.bytes,
        "oldest": _time(figures.oldest),
        "removed": dict(history.removed),
    }


def _pace(counts: Counts) -> dict[str, Any]:
    quantiles = counts.latency.quantiles()
    return {
        "rates": {name: _rates(counts.history.growth(seconds)) for name, seconds in WINDOWS.items()},
        "latency": None if quantiles is None else {"p50": _rounded(quantiles.p50), "p95": _rounded(quantiles.p95)},
    }


def _rates(growth: Growth[Became] | None) -> dict[str, Any] | None:
    """A second. None: it is too early to say."""
    if growth is None:
        return None
    rates: dict[str, Any] = {
        "received": _rounded(growth.rate(RECEIVED)),
        "acknowledged": _rounded(growth.rate(ACKNOWLEDGED)),
        "skipped": {},
        "dropped": {},
        "failed": {},
    }
    for became in growth.by:
        how, reason = became
        if reason and (rate := growth.rate(became)):
            rates[how][reason] = _rounded(rate)
    return rates


def _processors(timing: Timing, workers: int) -> dict[str, Any]:
    """What each has taken, and the part of all workers' time in the last minute."""
    growth = timing.history.growth(LONG_S)
    return {
        name: {
            "calls": spent.calls,
            "seconds": _rounded(spent.seconds),
            "cpu_seconds": _rounded(spent.cpu_seconds),
            "share": None if growth is None else _rounded(growth.rate(name) / workers),
        }
        for name, spent in timing.spent.items()
    }


def _rounded(figure: float | None) -> float | None:
    return None if figure is None else round(figure, 3)


def _time(at: float | None) -> str | None:
    return None if at is None else rfc3339(at)


def _counts(counts: Counts) -> dict[str, Any]:
    return {
        "received": counts.received,
        "acknowledged": counts.acknowledged,
        "skipped": dict(counts.skipped),
        "dropped": dict(counts.dropped),
        "failed": dict(counts.failed),
        "pending": counts.pending,
    }
