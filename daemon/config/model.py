"""The settings of the configuration file: Config and the sections that no other package owns."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from configs.section import Section
from daemon.http.settings import HttpSettings
from daemon.kafka.settings import ConsumerSettings
from daemon.sources import SOURCES
from daemon.sources.settings import SourceSettings
from daemon.sources.url import host_of, scheme_of
from daemon.work.settings import ProcessorSettings, WorkSettings, by_processor
from sinks import SinkSettings
from sinks.kafka_settings import KafkaCluster

ENV_PREFIX = "VISAGED_"
ENV_DELIMITER = "__"


class LogSettings(Section):
    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The log level: less severe lines are not written."
    )


class EngineSettings(Section):
    workers: int | None = Field(
        None, ge=1, description="Threads that run the models, shared by all streams and HTTP. null: one per core."
    )
    hang_timeout: float = Field(
        60.0,
        gt=0,
        description="Seconds. Work on one frame or request that takes longer counts as hung. If a model is running, "
        "that run is terminated. If the work does not end then, its thread is given up and another one takes its "
        "place. When three threads have been given up in models within an hour the daemon exits with status 1, so that "
        "it can be started again. Keep it far above what the slowest picture takes, or good work is given up too.",
    )
    shots_share: float = Field(
        0.2,
        gt=0,
        lt=1,
        description="Share of what HTTP leaves of the workers' time, 0 to 1, that is kept for the best shots of "
        "cameras' tracks while all workers are busy: 0.2 is a quarter of what all streams together get. With more, "
        "ages, templates and the like come sooner, but fewer frames are looked at. See `http.share`.",
    )


class ModelSettings(Section):
    directory: Path | None = Field(
        None, description="A folder with manifests/ and files/. null: the models that come with visaged."
    )
    provider: Literal["cpu", "cuda", "auto"] = Field(
        "cpu",
        description="Where models run. cuda needs an NVIDIA GPU and the package onnxruntime-gpu in place of "
        "onnxruntime; without them the daemon does not start. auto uses cuda where it is available, "
        "otherwise the CPU.",
    )


class StreamSettings(SourceSettings, WorkSettings):
    @field_validator("source")
    @classmethod
    def _can_be_called(cls, source: str) -> str:
        scheme = scheme_of(source)
        if scheme not in SOURCES:
            known = ", ".join(f"{known}://" for known in SOURCES if known)
            raise ValueError(f"expected {known} or a path, got {scheme}://")
        if scheme and not host_of(source):
            raise ValueError(f"expected a host after {scheme}://")
        return source


class Config(Section, BaseSettings):
    """The whole configuration."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter=ENV_DELIMITER,
        env_parse_none_str="null",
    )

    log: LogSettings = Field(LogSettings(), description="Log lines. They go to standard error.")
    engine: EngineSettings = Field(EngineSettings(), description="The threads that run the models.")
    models: ModelSettings = Field(ModelSettings(), description="Where models come from and where they run.")
    processors: ProcessorSettings = Field(
        ProcessorSettings(), description="Settings of the processors, for all streams, consumers and HTTP services."
    )
    http: HttpSettings | None = Field(HttpSettings(), description="The HTTP services. null: no HTTP.")
    streams: dict[str, StreamSettings] = Field(
        {}, description="Streams, by an id of your choice. The id is the key of their records."
    )
    clusters: dict[str, KafkaCluster] = Field(
        {}, description="Kafka clusters, by a name of your choice. Sinks and consumers refer to it."
    )
    consumers: dict[str, ConsumerSettings] = Field(
        {}, description="Frames that come from Kafka, by a name of your choice."
    )
    sinks: dict[str, SinkSettings] = Field({}, description="Where documents go, by a name of your choice.")
    state_dir: Path | None = Field(
        None,
        description="A folder for what must survive a crash: which tracks have appeared and not left. One daemon at "
        "a time has it; a second one waits `stop_timeout` for it and then ends with status 1. null: nothing is kept, "
        "and after a crash no `left` events are sent for these tracks.",
    )
    stop_timeout: float = Field(
        20.0,
        gt=0,
        description="Seconds that streams, consumers and sinks may take at a stop. Half of them is for the frames "
        "under way, the rest for the sinks, which stop writing up to 4 seconds before the end. Records that have not "
        "reached a sink by then are dropped and counted. `http.stop_timeout` comes on top: let the service manager "
        "wait 10 seconds longer than both together before it kills the daemon.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings

    def processor_settings(self) -> Mapping[str, BaseModel]:
        """The processors' settings, by the names in PROCESSORS."""
        return by_processor(self.processors)
