"""What `/metrics` shows, for Prometheus: the same as /status, of the same objects, by Prometheus' conventions.

Rates and quantiles are left to Prometheus, which makes them of the counters and histograms. The only module that knows
`prometheus_client`.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Any, TypeVar, get_args

from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from daemon.flow import delivery, supervisor
from daemon.flow.delivery import Delivery
from daemon.flow.overview import Overview
from daemon.flow.place_counts import PlaceCounts
from daemon.flow.receipts import Counts
from daemon.flow.stream import Stream
from daemon.flow.supervisor import Supervisor
from daemon.flow.timing import BOUNDS_S, Histogram, Spent, Timing
from daemon.history.history import History
from daemon.http.served import Requests
from daemon.status import VERSION, Shows, consumer_state

BUCKETS = (*map(str, BOUNDS_S), "+Inf")
PARTITION_COUNTERS = {
    "dead_letters": "Records that went to the dead letters.",
    "offsets_lost": "Offsets that the broker had no more when their turn came.",
    "reopened": "Openings after a failure.",
}
"""Of a partition's row in /status."""


class Metrics:
    """Answers scrapes. What is there is read in the event loop's thread, and written out in another."""

    def __init__(
        self,
        overview: Overview,
        history: History | None = None,
        homes: Mapping[str, Shows] | None = None,
        requests: Requests | None = None,
    ) -> None:
        """`homes`: by which Home Assistants the streams are shown, by the names of the sinks."""
        self._overview = overview
        self._history = history
        self._homes = homes or {}
        self._requests = requests or Requests()

    async def answer(self, request: web.Request) -> web.Response:
        families = list(collect(self._overview))
        if self._history is not None:
            families += _kept(self._history)
        families.append(_services(self._requests))
        shown = _each(self._homes, lambda home: float(home.error is None))
        families.append(_gauge("visaged_home_assistant_shown", "1: the streams are shown.", ("sink",), shown))
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        text = await asyncio.to_thread(lambda: encode(registry_of(families)))
        return web.Response(body=text, headers={"Content-Type": content_type})


class _Collected(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def registry_of(families: Iterable[Metric]) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)  # memory, CPU, descriptors and start time, under their usual names
    registry.register(_Collected(families))
    return registry


def collect(overview: Overview) -> Iterator[Metric]:
    """All families of metrics but those of the process."""
    yield _gauge("visaged_build_info", "The version that runs.", ("version",), [((VERSION,), 1)])
    engine = overview.engine
    yield _gauge("visaged_workers", "Threads that run the models.", (), [((), engine.workers)])
    yield _counter("visaged_workers_busy_seconds", "All workers' time at work.", (), [((), engine.busy_seconds)])
    yield _counter("visaged_workers_hung", "Jobs that did not end in time.", (), [((), engine.hung)])
    yield _counter("visaged_workers_abandoned", "Threads given up with a job.", (), [((), engine.abandoned)])
    requests = [((name,), spent) for name, spent in overview.http.spent.items()]
    yield from _processors("visaged_http", ("processor",), requests)
    watching = [((what,), number) for what, number in overview.watches.watching.items()]
    yield _gauge("visaged_subscribers", "Clients that watch streams, by what they watch.", ("watch",), watching)
    text = "Clients for which there was no room (http.max_subscribers)."
    yield _counter("visaged_subscribers_refused", text, (), [((), overview.watches.refused)])
    yield from _supervised("stream", overview.streams, {key: one.state for key, one in overview.streams.items()})
    yield from _streams({name: one.stream for name, one in overview.streams.items()})
    states = {key: consumer_state(one) for key, one in overview.consumers.items()}
    yield from _supervised("consumer", overview.consumers, states)
    yield from _partitions(overview.consumers)
    yield from _sinks(overview.sinks)


def _services(requests: Requests) -> Metric:
    text, labels = "From the headers of a request to a service to the answer.", ("service", "version", "status")
    return _histogram("visaged_http_request_seconds", text, labels, requests.took.items())


def _kept(history: History) -> Iterator[Metric]:
    figures = history.figures
    yield _gauge("visaged_history_events", "Events that are kept.", (), [((), figures.events)])
    yield _gauge("visaged_history_pictures", "Pictures of theirs that are kept.", (), [((), figures.pictures)])
    text = "What both take of the disk, without the database's log."
    yield _gauge("visaged_history_bytes", text, (), [((), figures.bytes)])
    if figures.oldest is not None:
        text = "When the oldest event was."
        yield _gauge("visaged_history_oldest_timestamp_seconds", text, (), [((), figures.oldest)])
    removed = [((why,), float(count)) for why, count in dict(history.removed).items()]
    yield _counter("visaged_history_removed", "Events that are kept no longer.", ("reason",), removed)


Labels = tuple[str, ...]
Rows = Iterable[tuple[Labels, float]]
"""Values of the labels, and the figure."""
T = TypeVar("T")


def _each(of: Mapping[str, T], figure: Callable[[T], float | None]) -> Rows:
    """A row for each that has the figure, under its name."""
    return [((name,), found) for name, one in of.items() if (found := figure(one)) is not None]


def _counter(name: str, text: str, labels: Labels, rows: Rows) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for values, figure in rows:
        family.add_metric(values, figure)
    return family


def _gauge(name: str, text: str, labels: Labels, rows: Rows) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, figure in rows:
        family.add_metric(values, figure)
    return family


def _histogram(name: str, text: str, labels: Labels, rows: Iterable[tuple[Labels, Histogram]]) -> Metric:
    family = HistogramMetricFamily(name, text, labels=labels)
    for values, histogram in rows:
        counts, total = histogram.read()
        family.add_metric(values, list(zip(BUCKETS, accumulate(counts), strict=True)), sum_value=total)
    return family


def _states(name: str, label: str, states: Mapping[str, str], known: Iterable[str]) -> Metric:
    rows = [((key, state), float(state == now)) for key, now in states.items() for state in known]
    return _gauge(name, "1 for the state that it is in, 0 for the others.", (label, "state"), rows)


def _counts(label: str, noun: str, of: Mapping[str, Counts]) -> Iterator[Metric]:
    """received = acknowledged + skipped + dropped + failed + pending."""
    prefix, labels = f"visaged_{label}_{noun}", (label,)
    yield _counter(f"{prefix}_received", f"How many {noun} came.", labels, _each(of, lambda one: one.received))
    text = f"How many {noun} have arrived where they were to go."
    yield _counter(f"{prefix}_acknowledged", text, labels, _each(of, lambda one: one.acknowledged))
    yield _gauge(f"{prefix}_pending", f"How many {noun} are under way.", labels, _each(of, lambda one: one.pending))
    yield _by_reason(f"{prefix}_skipped", f"How many {noun} were passed over.", label, of, lambda one: one.skipped)
    yield _by_reason(f"{prefix}_dropped", f"How many {noun} were let go.", label, of, lambda one: one.dropped)
    yield _by_reason(f"{prefix}_failed", f"How many {noun} broke.", label, of, lambda one: one.failed)


def _by_reason(
    name: str, text: str, label: str, of: Mapping[str, T], reasons: Callable[[T], Mapping[str, int]]
) -> Metric:
    rows = [((key, reason), float(count)) for key, one in of.items() for reason, count in dict(reasons(one)).items()]
    return _counter(name, text, (label, "reason"), rows)


def _by_class(name: str, text: str, of: Mapping[str, Stream], counts: Callable[[Stream], Mapping[str, int]]) -> Metric:
    rows = [((key, which), float(count)) for key, one in of.items() for which, count in dict(counts(one)).items()]
    return _counter(name, text, ("stream", "class"), rows)


def _latency(label: str, text: str, of: Mapping[str, Counts]) -> Metric:
    rows = [((key,), counts.latency.histogram) for key, counts in of.items()]
    return _histogram(f"visaged_{label}_latency_seconds", text, (label,), rows)


def _supervised(
    label: str, of: Mapping[str, Supervisor[Any]], states: Mapping[str, supervisor.State]
) -> Iterator[Metric]:
    """Of streams and of consumers."""
    prefix, labels = f"visaged_{label}", (label,)
    counts = {key: one.stream.counts for key, one in of.items()}
    timings: dict[str, Timing] = {key: one.stream.timing for key, one in of.items()}
    yield from _counts(label, "frames", counts)
    text = "Acknowledged frames of which no sink takes anything."
    untaken = _each(counts, lambda one: one.untaken)
    yield _counter(f"visaged_{label}_frames_untaken", text, (label,), untaken)
    yield _latency(label, "From a frame's capture to its acknowledgement.", counts)
    yield from _stages(label, timings)
    rows = [((key, name), spent) for key, timing in timings.items() for name, spent in timing.spent.items()]
    yield from _processors(prefix, (label, "processor"), rows)
    yield _states(f"{prefix}_state", label, states, get_args(supervisor.State))
    yield _counter(f"{prefix}_restarts", "Runs that failed.", labels, _each(of, lambda one: one.restarts))
    text = "Time to the next attempt, of those that wait for it."
    yield _gauge(f"{prefix}_next_attempt_seconds", text, labels, _each(of, lambda one: one.next_attempt))
    text = "When the last frame came."
    yield _gauge(f"{prefix}_last_frame_timestamp_seconds", text, labels, _each(counts, lambda one: one.received_at))
    text, rows_at = "When the last document was acknowledged.", _each(counts, lambda one: one.acknowledged_at)
    yield _gauge(f"{prefix}_last_document_timestamp_seconds", text, labels, rows_at)


def _stages(label: str, of: Mapping[str, Timing]) -> Iterator[Metric]:
    rows = [
        ((key, stage), histogram)
        for key, timing in of.items()
        for stage, histogram in (("wait", timing.wait), ("look", timing.look), ("tell", timing.tell))
    ]
    text = "Of a frame: the wait for a worker, the look at it, the telling of what was seen."
    yield _histogram(f"visaged_{label}_stage_seconds", text, (label, "stage"), rows)


def _processors(prefix: str, labels: Labels, of: Iterable[tuple[Labels, Spent]]) -> Iterator[Metric]:
    name, of = f"{prefix}_processor", list(of)
    yield _counter(f"{name}_calls", "Calls of a processor.", labels, [(key, one.calls) for key, one in of])
    text = "Time of workers in a processor."
    yield _counter(f"{name}_seconds", text, labels, [(key, one.seconds) for key, one in of])
    text = "CPU time of workers in a processor."
    yield _counter(f"{name}_cpu_seconds", text, labels, [(key, one.cpu_seconds) for key, one in of])


def _streams(of: Mapping[str, Stream]) -> Iterator[Metric]:
    label, labels = "stream", ("stream",)
    text = "Frames that were looked at for faces or bodies, of streams that are tracked."
    yield _by_class("visaged_stream_looks", text, of, lambda one: one.looks.looks)
    text = "Frames on which faces or bodies were predicted in the place of a look."
    yield _by_class("visaged_stream_predictions", text, of, lambda one: one.looks.predictions)
    text = "Frames of which no picture may leave, as somebody who is to be hidden may be on it."
    yield _by_reason("visaged_stream_pictures_withheld", text, label, of, lambda one: one.looks.withheld)
    made = _each(of, lambda one: one.shots.acknowledged)
    yield _counter("visaged_stream_shots_made", "Shots of tracks that were worked on.", labels, made)
    waiting = _each(of, lambda one: one.shots.pending)
    yield _gauge("visaged_stream_shots_waiting", "Shots of tracks that wait or are worked on.", labels, waiting)
    text = "Shots of tracks for which there was no room."
    yield _by_reason("visaged_stream_shots_shed", text, label, of, lambda one: one.shots.dropped)
    text = "Shots of tracks that broke."
    yield _by_reason("visaged_stream_shots_failed", text, label, of, lambda one: one.shots.failed)
    yield from _places(of)
    watched = {name: stream.watched for name, stream in of.items() if stream.watched is not None}
    text = "Events that subscribers lost, as they read too slowly."
    yield _counter("visaged_stream_events_lost", text, labels, _each(watched, lambda one: one.lost))
    videos = {name: stream.video for name, stream in of.items()}
    info = [((name, video.codec or "", *map(str, video.size)), 1.0) for name, video in videos.items() if video.size]
    yield _gauge("visaged_stream_video_info", "What the source brings.", (label, "codec", "width", "height"), info)
    text = "CPU time of reading and decoding, which is not the workers'."
    yield _counter("visaged_stream_video_cpu_seconds", text, labels, _each(videos, lambda one: one.cpu_seconds))


def _places(of: Mapping[str, Stream]) -> Iterator[Metric]:
    def rows(figures: Callable[[PlaceCounts], Mapping[Any, int]]) -> Rows:
        return [((name, *key), number) for name, one in of.items() for key, number in figures(one.places).items()]

    zone = ("stream", "zone", "class")
    yield _gauge("visaged_stream_zone_objects", "How many are in a zone.", zone, rows(lambda one: one.now))
    text = "How many have entered a zone, of streams that are tracked."
    yield _counter("visaged_stream_zone_entered", text, zone, rows(lambda one: one.entered))
    text, line = "How many have crossed a line.", ("stream", "line", "direction", "class")
    yield _counter("visaged_stream_line_crossed", text, line, rows(lambda one: one.crossed))


def _partitions(of: Mapping[str, Supervisor[Any]]) -> Iterator[Metric]:
    labels = ("consumer", "topic", "partition")
    rows = [
        ((name, tp.topic, str(tp.partition)), partition.status())
        for name, one in of.items()
        for tp, partition in one.stream.partitions.items()
    ]
    for figure, text in PARTITION_COUNTERS.items():
        name = f"visaged_consumer_partition_{figure}"
        yield _counter(name, text, labels, [(key, status[figure]) for key, status in rows])
    text = "Records that have come and are not done."
    pending = [(key, status["pending"]) for key, status in rows]
    yield _gauge("visaged_consumer_partition_pending", text, labels, pending)
    text = "Offsets up to the partition's end that are not done."
    lag = [(key, status["lag"]) for key, status in rows if status["lag"] is not None]
    yield _gauge("visaged_consumer_partition_lag", text, labels, lag)


def _sinks(of: Mapping[str, Delivery]) -> Iterator[Metric]:
    label, labels = "sink", ("sink",)
    counts = {key: one.counts for key, one in of.items()}
    yield from _counts(label, "records", counts)
    yield _latency(label, "From handing a record over to its acknowledgement.", counts)
    yield _states("visaged_sink_state", label, {key: one.state for key, one in of.items()}, get_args(delivery.State))
    yield _counter("visaged_sink_retries", "Attempts after a failed one.", labels, _each(of, lambda one: one.retries))
    text = "Since the oldest record that waits or is being written was handed over."
    yield _gauge("visaged_sink_lag_seconds", text, labels, _each(of, lambda one: one.lag))
    text, rows = "When the last record was acknowledged.", _each(counts, lambda one: one.acknowledged_at)
    yield _gauge("visaged_sink_last_record_timestamp_seconds", text, labels, rows)
    notes = [((key, note), float(count)) for key, one in of.items() for note, count in one.sink.counts.items()]
    yield _counter("visaged_sink_notes", "What was done to records beside writing them.", (label, "note"), notes)
