"""`visaged check --connect`: asks what the configuration names, over the network, and changes nothing there."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple, Protocol

from daemon.config.explain import Key, Mistake
from daemon.config.model import Config
from daemon.control.settings import StreamSettings
from daemon.errors import SourceError
from daemon.kafka.settings import EXACTLY_ONCE, ConsumerSettings
from daemon.sources import make_source
from daemon.sources.probe import expect_video
from daemon.sources.url import scheme_of
from daemon.work.settings import WorkSettings
from sinks.base import SinkError
from sinks.kafka_client import check_connection, client_arguments
from sinks.kafka_rights import Right, makes_topics, refused_group, refused_topics
from sinks.kafka_settings import KafkaCluster, KafkaSettings, cluster_of
from sinks.mqtt import MqttSink
from sinks.mqtt_settings import MqttSettings
from sinks.webhook import WebhookSink
from sinks.webhook_settings import WebhookSettings

FURTHER_S = 1.0  # beyond the time-outs of the camera itself


Maker = Literal["run", "brokers"] | None


class Need(NamedTuple):
    """A topic that we want to read or write; `made_by`: who makes it where it is missing; None: nobody."""

    key: Key
    cluster: KafkaCluster
    topic: str
    right: Right
    made_by: Maker


async def refusals(config: Config, note: Callable[[str], object]) -> list[Mistake]:
    """What does not answer, or does not let us: brokers, their rights, webhooks, cameras, all at the same time.

    Also what takes traces. `note` is told what is no refusal, but to be known.
    """
    cameras = [
        _camera(("streams", name, "source"), stream)
        for name, stream in config.streams.items()
        if scheme_of(stream.source)
    ]
    clusters = [_cluster(config, name, note) for name in config.clusters]
    sinks = [
        _sink(("sinks", name), WebhookSink(settings) if isinstance(settings, WebhookSettings) else MqttSink(settings))
        for name, settings in config.sinks.items()
        if isinstance(settings, WebhookSettings | MqttSettings)
    ]
    if config.traces is not None:
        from daemon.traces.otlp import OtlpSink  # with opentelemetry, which only those load who use it

        sinks.append(_sink(("traces", "endpoint"), OtlpSink(config.traces)))
    return [mistake for found in await asyncio.gather(*clusters, *sinks, *cameras) for mistake in found]


async def _cluster(config: Config, name: str, note: Callable[[str], object]) -> list[Mistake]:
    cluster = config.clusters[name]
    sinks = [sink for sink in config.sinks.values() if isinstance(sink, KafkaSettings)]
    idempotent = any(sink.idempotent for sink in sinks if cluster_of(sink.cluster, config.clusters) is cluster)
    try:
        await check_connection(cluster, await client_arguments(cluster), idempotent=idempotent)
        needs = [need for need in _needs(config) if need.cluster is cluster]
        found = [mistake for right in Right for mistake in await _topics(cluster, needs, right, note)]
        for consumer_name, consumer in config.consumers.items():
            if cluster_of(consumer.cluster, config.clusters) is cluster:
                refused = await refused_group(cluster, consumer.group)
                found += [(("consumers", consumer_name, "group"), refused)] if refused else []
    except SinkError as err:
        return [(("clusters", name), str(err))]
    return found


class _Checked(Protocol):
    async def check(self) -> None:
        """Raises SinkError."""


async def _sink(key: Key, sink: _Checked) -> list[Mistake]:
    try:
        await sink.check()
    except SinkError as err:
        return [(key, str(err))]
    return []


async def _topics(
    cluster: KafkaCluster, needs: list[Need], right: Right, note: Callable[[str], object]
) -> list[Mistake]:
    wanted = [need for need in needs if need.right == right]
    if not wanted:
        return []
    refused = await refused_topics(cluster, {need.topic: right for need in wanted})
    missing = [need for need in wanted if need.topic in refused and refused[need.topic].is_missing]
    made = [need for need in missing if need.made_by == "run"]
    asked_for = [need for need in missing if need.made_by == "brokers"]
    if asked_for and await makes_topics(cluster) is not False:
        made += asked_for
        for topic in dict.fromkeys(need.topic for need in asked_for):
            note(f"topic {topic} does not exist yet: run asks the brokers to make it")
    return [(need.key, refused[need.topic].words) for need in wanted if need.topic in refused and need not in made]


def _needs(config: Config) -> Iterator[Need]:
    for name, sink in config.sinks.items():
        if isinstance(sink, KafkaSettings):
            cluster = cluster_of(sink.cluster, config.clusters)
            yield Need(("sinks", name, "topic"), cluster, sink.topic, Right.WRITE, _maker(sink))
    for section, works in (("streams", config.streams), ("consumers", config.consumers)):
        for name, work in works.items():
            yield from _written(config, (section, name), work)
    for name, consumer in config.consumers.items():
        cluster = cluster_of(consumer.cluster, config.clusters)
        made: Maker = None if consumer.create_topics is None else "run"
        for topic in consumer.topics:
            yield Need(("consumers", name, "topics"), cluster, topic, Right.READ, made)
        letters = consumer.dead_letters.topic
        yield Need(("consumers", name, "dead_letters", "topic"), cluster, letters, Right.WRITE, made)


def _written(config: Config, key: Key, work: WorkSettings) -> Iterator[Need]:
    """The topics of its own that a stream or a consumer writes to in its sinks."""
    topics: list[tuple[Key, str]] = [] if work.topic is None else [((*key, "topic"), work.topic)]
    if work.tracking is not None and work.tracking.events is not None:
        topics.append(((*key, "tracking", "events", "topic"), work.tracking.events.topic))
    for name in work.sinks or config.sinks:
        sink = config.sinks[name]
        if isinstance(sink, KafkaSettings):
            cluster = cluster_of(sink.cluster, config.clusters)
            yield from (Need(place, cluster, topic, Right.WRITE, _maker(sink, work)) for place, topic in topics)


def _maker(sink: KafkaSettings, work: WorkSettings | None = None) -> Maker:
    if isinstance(work, ConsumerSettings) and work.delivery == EXACTLY_ONCE:  # which writes without the sink
        return None if work.create_topics is None else "run"
    return "brokers" if sink.create_topic is None else "run"


async def _camera(key: Key, settings: StreamSettings) -> list[Mistake]:
    within = settings.open_timeout + settings.read_timeout + FURTHER_S
    try:
        await expect_video(make_source(settings, key[1]), settings.source, within)
    except SourceError as err:
        return [(key, str(err))]
    except Exception as err:  # noqa: BLE001  # told, as the others are still asked
        return [(key, repr(err))]
    return []
