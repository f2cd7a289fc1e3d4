"""Mistakes between settings: each value is right by itself, but two of them do not go together."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from daemon.config.explain import Key, Mistake
from daemon.config.model import Config
from daemon.control.settings import StreamSettings
from daemon.errors import ConfigError, Problem, nearest
from daemon.history.settings import NAME as HISTORY
from daemon.http.settings import HttpSettings
from daemon.kafka.settings import EXACTLY_ONCE, ConsumerSettings
from daemon.traces.settings import NAME as TRACES
from daemon.traces.settings import is_installed
from daemon.work.places.settings import PlaceSettings, classes_of
from daemon.work.privacy import hidden_by
from daemon.work.settings import (
    IN_PIXELS,
    Often,
    WorkSettings,
    found_by,
    in_order_of_work,
    is_detector,
    mistakes_of_chain,
)
from processors.registry import PROCESSORS
from processors.template_extractor import Template
from sinks.file import FileSettings
from sinks.kafka_settings import KafkaSettings, cluster_of

OF_A_PRODUCER = ("compression", "linger", "idempotent")


def contradictions(config: Config, wrong: Collection[Key]) -> Iterator[Mistake]:
    """All such mistakes. `wrong`: sections and entries that are wrong by themselves and so are not in `config`."""
    if config.http is None and not config.streams and not config.consumers and not wrong:
        yield ("streams",), "expected a stream where http is null, got nothing to do"
    if config.http is not None and not any(section == "http" for section, *_ in wrong):
        yield from _mistakes_of_access(config.http)
    sinks, clusters = _names("sinks", config.sinks, wrong), _names("clusters", config.clusters, wrong)
    for name, stream in config.streams.items():
        yield from _mistakes_of_stream(("streams", name), stream, sinks, watched=config.http is not None)
        yield from _mistakes_of_shots(("streams", name), stream, shots=keeps_shots(config))
    for name, sink in config.sinks.items():
        if isinstance(sink, KafkaSettings):
            yield from _mistakes_of_cluster(("sinks", name), sink.cluster, clusters)
    for name, consumer in config.consumers.items():
        key = ("consumers", name)
        yield from _mistakes_of_tracking(key, consumer)
        yield from _mistakes_of_shots(key, consumer, shots=False)
        yield from _mistakes_of_privacy(key, consumer)
        yield from _mistakes_of_sinks(key, consumer.sinks, sinks)
        yield from _mistakes_of_cluster(key, consumer.cluster, clusters)
        if consumer.delivery == EXACTLY_ONCE:
            yield from _mistakes_of_transactions(config, key, consumer)
            yield from _mistakes_of_one_producer(config, key, consumer)
    yield from _mistakes_of_files(config)
    yield from _mistakes_of_loops(config)
    yield from _mistakes_of_history(config, wrong)
    yield from _mistakes_of_traces(config)


def keeps_shots(config: Config) -> bool:
    """Of streams."""
    return config.history is not None and config.history.shots is not None


def _mistakes_of_access(http: HttpSettings) -> Iterator[Mistake]:
    """Certificates are read now, so that one that cannot be used is refused before anything is started or replaced."""
    if http.unguarded is not None:
        yield ("http", "host"), http.unguarded
    if http.tls is not None:
        try:
            http.tls.context()
        except ConfigError as err:
            yield ("http", "tls"), str(err)


def contradictions_of(
    _: str, stream: StreamSettings, sinks: Collection[str], *, shots: bool = False
) -> Iterator[Problem]:
    """Of a stream that does not come from the file; `sinks`: those that there are; `shots`: whether they are kept."""
    mistakes = (
        *_mistakes_of_stream((), stream, sinks, watched=True),
        *_mistakes_of_shots((), stream, shots=shots),
    )
    for key, message in mistakes:
        yield Problem(key, message[0].upper() + message[1:], "value_error")


def _mistakes_of_stream(
    key: Key, stream: StreamSettings, sinks: Collection[str] | None, *, watched: bool
) -> Iterator[Mistake]:
    """`watched`: over HTTP, so that it may do without a sink."""
    yield from _mistakes_of_tracking(key, stream)
    yield from _mistakes_of_privacy(key, stream)
    yield from _mistakes_of_exceptions(key, stream)
    yield from _mistakes_of_places(key, stream)
    yield from _mistakes_of_sinks(key, stream.sinks, sinks, may_have_none=watched)


def _mistakes_of_privacy(key: Key, work: WorkSettings) -> Iterator[Mistake]:
    privacy, makers = work.privacy, [name for name in work.chain if Template in PROCESSORS[name].makes]
    if makers and not privacy.templates:
        yield (*key, "chain"), f"expected no {makers[0]} where privacy.templates is false, got it"
    lacking = hidden_by(privacy.hide, ()) - found_by(work.chain)
    events = None if work.tracking is None else work.tracking.events
    asks = "image" if work.image != "none" else "tracking.events.image" if events and events.image else None
    if asks and lacking:
        yield (
            (*key, "chain"),
            f"expected {' and '.join(f'{label}-detector' for label in sorted(lacking))} where privacy.hide is "
            f"{privacy.hide} and {asks} wants pictures, got none: nobody would know whom to hide",
        )


def _mistakes_of_exceptions(key: Key, stream: StreamSettings) -> Iterator[Mistake]:
    excepted, zones = stream.privacy.excepted, [zone.name for zone in stream.zones]
    if excepted and stream.privacy.hide is None:
        yield (*key, "privacy", "except"), "expected hide beside except, got none"
    for zone in excepted:
        if zone not in zones:
            yield (*key, "privacy", "except"), f"unknown zone {zone}" + nearest(zone, zones)


def _names(section: str, entries: Iterable[str], wrong: Collection[Key]) -> Collection[str] | None:
    """All names in a section, including those of wrong entries; None if the section itself is wrong."""
    if (section,) in wrong:
        return None
    return dict.fromkeys([*entries, *(key[1] for key in wrong if key[0] == section)])


def _mistakes_of_tracking(key: Key, work: WorkSettings) -> Iterator[Mistake]:
    if work.tracking is None:
        return
    for name, how in work.tracking.per.items():
        if mistake := _mistake_of_often(work, name, how):
            yield (*key, "tracking", "per"), mistake
    for mistake in mistakes_of_chain(in_order_of_work(work)):
        yield (*key, "tracking", "per"), f"where what runs more often goes first, {mistake}"


def _mistakes_of_places(key: Key, stream: StreamSettings) -> Iterator[Mistake]:
    """Who was where before is known of tracks alone."""
    if stream.lines and stream.tracking is None:
        yield (*key, "lines"), "expected tracking beside lines, got none: who crosses a line is known of tracks alone"
    has_events = stream.tracking is not None and stream.tracking.events is not None
    for index, zone in enumerate(stream.zones):
        if zone.loitering is not None and not has_events:
            yield (*key, "zones", str(index), "loitering"), "expected tracking.events beside loitering, got none"
    for section, places in {"zones": stream.zones, "lines": stream.lines}.items():
        for index, place in enumerate(places):
            for label in _not_found(place, stream.chain):
                message = f"expected a class that a detector of the chain finds, got {label}"
                yield (*key, section, str(index), "classes"), message


def _not_found(place: PlaceSettings, chain: Sequence[str]) -> Sequence[str]:
    """The classes that nobody in the chain looks for; none of a chain that is wrong itself."""
    found = found_by(chain)
    return [label for label in classes_of(place, found) if found and label not in found]


def _mistake_of_often(work: WorkSettings, name: str, how: Often) -> str | None:
    if name not in work.chain:
        return f"{name} is not in the chain" + nearest(name, work.chain)
    if is_detector(name) and how == "track":
        return f"expected {name} per frame, auto or number of frames, got track: it finds what makes the tracks"
    if not is_detector(name) and how == "auto":
        return f"expected auto for a detector, got it for {name}"
    if PROCESSORS[name].makes & IN_PIXELS and isinstance(how, int):
        return f"expected {name} per frame or track, got {how}: what it finds is elsewhere on the next frame"
    return None


def _mistakes_of_sinks(
    key: Key, sinks: Sequence[str] | None, known: Collection[str] | None, *, may_have_none: bool = False
) -> Iterator[Mistake]:
    if known is None:
        return
    if not (may_have_none or (known if sinks is None else sinks)):
        yield key if sinks is None else (*key, "sinks"), "expected a sink to send its documents to, got no sinks"
    for sink in sinks or ():
        if sink not in known:
            yield (*key, "sinks"), f"unknown sink {sink}" + nearest(sink, known)


def _mistakes_of_files(config: Config) -> Iterator[Mistake]:
    """Each file has one writer."""
    written: dict[Path, str] = {}
    for name, sink in config.sinks.items():
        if isinstance(sink, FileSettings) and (other := written.setdefault(sink.path.resolve(), name)) != name:
            yield ("sinks", name, "path"), f"expected a file of its own, got {sink.path}, which sink {other} writes"


def _mistakes_of_history(config: Config, wrong: Collection[Key]) -> Iterator[Mistake]:
    if config.history is None:
        return
    if config.state_dir is None and ("state_dir",) not in wrong:
        yield ("history",), "expected a `state_dir` in which it is kept, got none"
    if config.http is None and ("http",) not in wrong:
        yield ("history",), "expected `http`, by which alone it can be read and deleted, got http: null"
    if HISTORY in config.sinks:
        yield ("sinks", HISTORY), f"expected another name, as `history` is shown among the sinks, got {HISTORY}"


def _mistakes_of_traces(config: Config) -> Iterator[Mistake]:
    if config.traces is None:
        return
    if not is_installed():
        yield (
            (TRACES,),
            "expected the extra `otel`, which pip install 'visaged[otel]' installs, got none",
        )
    if TRACES in config.sinks:
        yield ("sinks", TRACES), f"expected another name, as `traces` is shown among the sinks, got {TRACES}"


def _mistakes_of_shots(key: Key, work: WorkSettings, *, shots: bool) -> Iterator[Mistake]:
    """The history is of streams alone, not of consumers."""
    if work.tracking is None or work.tracking.events is None or not work.tracking.events.image_url:
        return
    if not shots:
        expected = "a stream, and `history` with `shots` in the configuration, as that is where pictures are kept"
        yield (*key, "tracking", "events", "image_url"), f"expected {expected}, got true"


def _mistakes_of_cluster(key: Key, cluster: str | None, known: Collection[str] | None) -> Iterator[Mistake]:
    if known is None:
        return
    if cluster is not None and cluster not in known:
        yield (*key, "cluster"), f"unknown cluster {cluster}" + nearest(cluster, known)
    elif cluster is None and len(known) != 1:
        expected = f"one of {', '.join(known)}" if known else "a cluster (`clusters` has none)"
        yield (*key, "cluster"), f"expected {expected}, got nothing"


def _mistakes_of_transactions(config: Config, key: Key, consumer: ConsumerSettings) -> Iterator[Mistake]:
    """A transaction covers topics of one cluster only."""
    for name in consumer.sinks or config.sinks:
        sink = config.sinks.get(name)
        if sink is not None and not isinstance(sink, KafkaSettings):
            message = f"expected sinks of type kafka for {EXACTLY_ONCE}, got {name} of type {sink.type}"
            yield (*key, "delivery"), message
        elif sink is not None:
            try:
                same = cluster_of(sink.cluster, config.clusters) is cluster_of(consumer.cluster, config.clusters)
            except LookupError:
                continue  # already reported
            if not same:
                yield (*key, "delivery"), f"expected sinks in the consumer's cluster for {EXACTLY_ONCE}, got {name}"


def _mistakes_of_one_producer(config: Config, key: Key, consumer: ConsumerSettings) -> Iterator[Mistake]:
    """One producer writes to all sinks of a transaction, so what belongs to a producer must be the same in all."""
    sinks = {name: config.sinks.get(name) for name in consumer.sinks or config.sinks}
    of_kafka = {name: sink for name, sink in sinks.items() if isinstance(sink, KafkaSettings)}
    for setting in OF_A_PRODUCER:
        values = {name: getattr(sink, setting) for name, sink in of_kafka.items()}
        if setting == "compression" and consumer.dead_letters.compression is not None:
            values["the dead letters"] = consumer.dead_letters.compression
        if len(set(values.values())) > 1:
            told = ", ".join(f"{name}: {str(value).lower()}" for name, value in values.items())
            yield (*key, "delivery"), f"expected the same {setting} in all sinks for {EXACTLY_ONCE}, got {told}"


def _mistakes_of_loops(config: Config) -> Iterator[Mistake]:
    """A consumer must not read what it has written, directly or through other consumers."""
    ways = [
        (name, reader, key, topic)
        for name, consumer in config.consumers.items()
        for key, cluster, topic in _written(config, name, consumer)
        for reader, other in config.consumers.items()
        if topic in other.topics and _same_brokers(config, cluster, other.cluster)
    ]
    for name, reader, key, topic in ways:
        reached: set[str] = set()
        reaches = {reader}
        while reaches - reached:
            reached |= reaches
            reaches = {further for via, further, *_ in ways if via in reached}
        if name in reached:
            message = f"expected a topic that does not lead back to consumer {name}, got {topic}, which {reader} reads"
            yield key, f"{message}: a record would go round for ever"


def _written(config: Config, name: str, consumer: ConsumerSettings) -> Iterator[tuple[Key, str | None, str]]:
    """The topics a consumer writes to: the key that sets it, the cluster, the topic."""
    key = ("consumers", name)
    of_letters = ("dead_letter_topic",) if consumer.dead_letter_topic else ("dead_letters", "topic")
    yield (*key, *of_letters), consumer.cluster, consumer.dead_letters.topic
    for sink_name in consumer.sinks or config.sinks:
        sink = config.sinks.get(sink_name)
        if not isinstance(sink, KafkaSettings):
            continue
        if consumer.topic is None:
            yield ("sinks", sink_name, "topic"), sink.cluster, sink.topic
        else:
            yield (*key, "topic"), sink.cluster, consumer.topic
        if consumer.tracking is not None and consumer.tracking.events is not None:
            yield (*key, "tracking", "events", "topic"), sink.cluster, consumer.tracking.events.topic


def _same_brokers(config: Config, cluster: str | None, other: str | None) -> bool:
    if cluster == other:
        return True
    try:
        clusters = [cluster_of(name, config.clusters) for name in (cluster, other)]
    except LookupError:
        return False  # already reported
    return clusters[0].bootstrap_servers == clusters[1].bootstrap_servers
