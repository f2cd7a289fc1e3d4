"""`visaged check --connect`: asks what the configuration names, over the network, and changes nothing there."""

import asyncio
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from daemon.config.explain import Key, Mistake
from daemon.config.model import Config
from daemon.control.settings import StreamSettings
from daemon.errors import SourceError
from daemon.sources import make_source
from daemon.sources.probe import expect_video
from daemon.sources.url import scheme_of
from daemon.work.settings import WorkSettings
from sinks.base import SinkError
from sinks.kafka_client import check_connection, client_arguments
from sinks.kafka_rights import Right, refused_group, refused_topics
from sinks.kafka_settings import KafkaCluster, KafkaSettings, cluster_of
from sinks.mqtt import MqttSink
from sinks.mqtt_settings import MqttSettings
from sinks.webhook import WebhookSink
from sinks.webhook_settings import WebhookSettings

FURTHER_S = 1.0  # beyond the time-outs of the camera itself


class Need(NamedTuple):
    """A topic that we want to read or write; `may_be_missing` where it will be created."""

    key: Key
    cluster: KafkaCluster
    topic: str
    right: Right
    may_be_missing: bool


async def refusals(config: Config) -> list[Mistake]:
    """What does not answer, or does not let us: brokers, their rights, webhooks, cameras, all at the same time.

    Also what takes traces.
    """
    cameras = [
        _camera(("streams", name, "source"), stream)
        for name, stream in config.streams.items()
        if scheme_of(stream.source)
    ]
    clusters = [_cluster(config, name) for name in config.clusters]
    sinks = [
        _sink(("sinks", name), WebhookSink(settings) if isinstance(settings, WebhookSettings) else MqttSink(settings))
        for name, settings in config.sinks.items()
        if isinstance(settings, WebhookSettings | MqttSettings)
    ]
    if config.traces is not None:
        from daemon.traces.otlp import OtlpSink  # with opentelemetry, which only those load who use it

        sinks.append(_sink(("traces", "endpoint"), OtlpSink(config.traces)))
    return [mistake for found in await asyncio.gather(*clusters, *sinks, *cameras) for mistake in found]


async def _cluster(config: Config, name: str) -> list[Mistake]:
    cluster = config.clusters[name]
    sinks = [sink for sink in config.sinks.values() if isinstance(sink, KafkaSettings)]
    idempotent = any(sink.idempotent for sink in sinks if cluster_of(sink.cluster, config.clusters) is cluster)
    try:
        await check_connection(cluster, await client_arguments(cluster), idempotent=idempotent)
        needs = [need for need in _needs(config) if need.cluster is cluster]
        found = [mistake for right in Right for mistake in await _topics(cluster, needs, right)]
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


async def _topics(cluster: KafkaCluster, needs: list[Need], right: Right) -> list[Mistake]:
    wanted = [need for need in needs if need.right == right]
    if not wanted:
        return []
    refused = await refused_topics(cluster, {need.topic: right for need in wanted})
    return [
        (need.key, refused[need.topic].words)
        for need in wanted
        if need.topic in refused and not (need.may_be_missing and refused[need.topic].is_missing)
    ]


def _needs(config: Config) -> Iterator[Need]:
    for name, sink in config.sinks.items():
        if isinstance(sink, KafkaSettings):
            cluster = cluster_of(sink.cluster, config.clusters)
            yield Need(("sinks", name, "topic"), cluster, sink.topic, Right.WRITE, sink.create_topic is not None)
    for section, works in (("streams", config.streams), ("consumers", config.consumers)):
        for name, work in works.items():
            yield from _written(config, (section, name), work)
    for name, consumer in config.consumers.items():
        cluster, made = cluster_of(consumer.cluster, config.clusters), consumer.create_topics is not None
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
            cluster, made = cluster_of(sink.cluster, config.clusters), sink.create_topic is not None
            yield from (Need(place, cluster, topic, Right.WRITE, made) for place, topic in topics)


async def _camera(key: Key, settings: StreamSettings) -> list[Mistake]:
    within = settings.open_timeout + settings.read_timeout + FURTHER_S
    try:
        await expect_video(make_source(settings, key[1]), settings.source, within)
    except SourceError as err:
        return [(key, str(err))]
    except Exception as err:  # noqa: BLE001  # told, as the others are still asked
        return [(key, repr(err))]
    return []
