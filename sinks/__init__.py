"""The sinks by their `type` in the configuration."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field

from sinks.base import Sink
from sinks.file import FileSettings, FileSink
from sinks.kafka_settings import Clusters, KafkaSettings, cluster_of
from sinks.mqtt_settings import MqttSettings
from sinks.stdout import StdoutSettings, StdoutSink
from sinks.webhook_settings import WebhookSettings


def _kafka(settings: KafkaSettings, clusters: Clusters) -> Sink:
    from sinks.kafka import KafkaSink  # with aiokafka, which only those load who use it

    return KafkaSink(settings, cluster_of(settings.cluster, clusters))


def _mqtt(settings: MqttSettings) -> Sink:
    from sinks.mqtt import MqttSink  # with paho-mqtt

    return MqttSink(settings)


def _webhook(settings: WebhookSettings) -> Sink:
    from sinks.webhook import WebhookSink  # with aiohttp

    return WebhookSink(settings)


SINKS: dict[str, Callable[[Any, Clusters], Sink]] = {
    "kafka": _kafka,
    "file": lambda settings, _: FileSink(settings),
    "stdout": lambda settings, _: StdoutSink(settings),
    "webhook": lambda settings, _: _webhook(settings),
    "mqtt": lambda settings, _: _mqtt(settings),
}
"""Each makes a sink of its own settings and the clusters there are."""

SinkSettings = Annotated[
    KafkaSettings | FileSettings | StdoutSettings | WebhookSettings | MqttSettings, Field(discriminator="type")
]


def make_sink(settings: SinkSettings, clusters: Clusters) -> Sink:
    return SINKS[settings.type](settings, clusters)
