"""The sinks by their `type` in the configuration."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field

from sinks.base import Sink
from sinks.file import FileSettings, FileSink
from sinks.kafka_settings import KafkaSettings
from sinks.stdout import StdoutSettings, StdoutSink


def _kafka(settings: KafkaSettings) -> Sink:
    from sinks.kafka import KafkaSink  # with aiokafka, which only those load who use it

    return KafkaSink(settings)


SINKS: dict[str, Callable[[Any], Sink]] = {
    "kafka": _kafka,
    "file": FileSink,
    "stdout": StdoutSink,
}
"""Each makes a sink of its own settings."""

SinkSettings = Annotated[KafkaSettings | FileSettings | StdoutSettings, Field(discriminator="type")]


def make_sink(settings: SinkSettings) -> Sink:
    return SINKS[settings.type](settings)
