"""The sinks by their `type` in the configuration. None of them imports its client library before it is opened."""

from typing import Annotated, Any

from pydantic import Field

from sinks.base import Sink
from sinks.file import FileSettings, FileSink
from sinks.kafka import KafkaSettings, KafkaSink
from sinks.stdout import StdoutSettings, StdoutSink

SINKS: dict[str, type[Any]] = {
    "kafka": KafkaSink,
    "file": FileSink,
    "stdout": StdoutSink,
}
"""Each is made from its own settings."""

SinkSettings = Annotated[KafkaSettings | FileSettings | StdoutSettings, Field(discriminator="type")]


def make_sink(settings: SinkSettings) -> Sink:
    sink: Sink = SINKS[settings.type](settings)
    return sink
