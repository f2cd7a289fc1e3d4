"""The settings of the configuration file: Config and the sections that no other package owns."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_origin

from pydantic import BaseModel, Field, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from configs.section import Section
from daemon.control.settings import StreamDefaults, StreamSettings, with_defaults
from daemon.history.settings import HistorySettings
from daemon.http.settings import HttpSettings
from daemon.kafka.settings import ConsumerSettings
from daemon.logs import LogFormat
from daemon.traces.settings import TracesSettings
from daemon.work.privacy import PrivacySettings
from daemon.work.settings import ProcessorSettings, by_processor
from sinks import SinkSettings
from sinks.kafka_settings import KafkaCluster

ENV_PREFIX = "VISAGED_"
ENV_DELIMITER = "__"


class LogSettings(Section):
    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The log level: less severe lines are not written."
    )
    format: LogFormat = Field(
        "text",
        description="text is for people. json is for collectors: an object a line, with the ids of stream, consumer, "
        "sink, request and trace as members of their own (docs/operations.md).",
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
        0.05,
        gt=0,
        lt=1,
        description="Share of what HTTP leaves of the workers' time, 0 to 1, that is kept for the best shots of "
        "cameras' tracks while all workers are busy: 0.05 is a twentieth, some 40 shots a minute on two cores. With "
        "more, ages, templates and the like come sooner, but fewer frames are looked at. See `http.share`.",
    )


class ModelSettings(Section):
    directory: Path | None = Field(
        None, description="A folder with manifests/ and files/. null: the models that come with visaged."
    )
    provider: Literal["cpu", "cuda", "openvino", "auto"] = Field(
        "cpu",
        description="Where models run. cpu is onnxruntime on the CPU. cuda needs an NVIDIA GPU and the package "
        "onnxruntime-gpu in place of onnxruntime; openvino, which runs on the CPU too, needs the extra "
        "visaged[openvino]. Without them the daemon does not start. Models that OpenVINO cannot open stay on "
        "onnxruntime. auto uses cuda where it is available; otherwise, on the CPU, it measures each model by "
        "onnxruntime and, if it is installed, by OpenVINO, and takes the faster one. That takes up to 20 seconds at "
        "the first start; with a `state_dir` it is remembered for this CPU and these versions. `visaged models "
        "--config` shows what each model runs by.",
    )
    precision: Literal["f32", "bf16"] = Field(
        "f32",
        description="The lowest precision that OpenVINO may compute with. bf16 (bfloat16) is less exact; models that "
        "lose accuracy by it stay at f32. It is made for CPUs with AMX: without AMX most models are slower at bf16, "
        "and provider auto takes it for those alone that it makes faster. It needs provider openvino or auto. With "
        "openvino the daemon does not start on a CPU that has no bf16.",
    )

    @model_validator(mode="after")
    def _precision_has_its_provider(self) -> "ModelSettings":
        if self.precision != "f32" and self.provider not in ("openvino", "auto"):
            raise ValueError(
                f"expected provider openvino or auto where precision is {self.precision}, got {self.provider}"
            )
        return self


def name_in_variables(name: str) -> str:
    """How a name of the user's choice stands in an environment variable, in lower case."""
    return re.sub(r"[^a-z0-9]", "_", name.lower())


class _Environment(EnvSettingsSource):
    """Variables in the words of the file: VISAGED_STREAMS__FRONT_DOOR__FPS is of its stream Front-Door."""

    def __init__(self, settings_cls: type[BaseSettings], file: Mapping[str, Any]) -> None:
        super().__init__(settings_cls)
        self._file = file

    def __call__(self) -> dict[str, Any]:
        return {section: self._named(section, value) for section, value in super().__call__().items()}

    def _named(self, section: str, entries: Any) -> Any:
        field, known = self.settings_cls.model_fields.get(section), self._file.get(section)
        if field is None or get_origin(field.annotation) is not dict:
            return entries
        if not isinstance(entries, dict) or not isinstance(known, dict):
            return entries
        names = {name_in_variables(str(name)): name for name in known}
        return {name if name in known else names.get(name_in_variables(name), name): of for name, of in entries.items()}


def _with_privacy(data: dict[str, Any]) -> dict[str, Any]:
    """Gives `privacy` to the defaults of streams, which have it from there, and to each consumer."""
    privacy, defaults, consumers = data.get("privacy"), data.get("defaults", {}), data.get("consumers")
    if not isinstance(privacy, dict) or not isinstance(defaults, dict):
        return data
    given = data | {"defaults": with_defaults({"privacy": privacy}, defaults)}
    if isinstance(consumers, dict):
        given["consumers"] = {name: with_defaults({"privacy": privacy}, one) for name, one in consumers.items()}
    return given


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
    defaults: StreamDefaults = Field(
        StreamDefaults(),
        description="Settings of all streams: any key of a stream but `source` and `name`. A stream's own win, key by "
        "key.",
    )
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
    privacy: PrivacySettings = Field(
        PrivacySettings(),
        description="What leaves of people, for all streams, consumers and `visaged process`: docs/privacy.md. Keys of "
        "a stream's or a consumer's own `privacy` win.",
    )
    state_dir: Path | None = Field(
        None,
        description="A folder for what must survive a crash: which tracks have appeared and not left. One daemon at "
        "a time has it; a second one waits `stop_timeout` for it and then ends with status 1. null: nothing is kept, "
        "and after a crash no `left` events are sent for these tracks.",
    )
    history: HistorySettings | None = Field(
        None,
        description="Keep the events of streams' tracks and places, with their pictures, in `state_dir`, to be looked "
        "up over HTTP (`/history`). null: none are kept, also where there is a `state_dir`, as they are about people.",
    )
    traces: TracesSettings | None = Field(
        None,
        description="Send traces of frames, Kafka records and requests to a receiver of OpenTelemetry's protocol: what "
        "each step of their way took (docs/operations.md). It needs the extra visaged[otel]. null: none are kept.",
    )
    stop_timeout: float = Field(
        20.0,
        gt=0,
        description="Seconds that a stop may take in all: streams, consumers, sinks, requests and workers. Half of "
        "them is for the frames under way, the rest for the sinks, which stop writing up to 4 seconds before the end. "
        "Records that have not reached a sink by then are dropped and counted, requests that are not answered are cut "
        "off. Let the service manager wait 10 seconds longer before it kills the daemon.",
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
        file = init_settings.init_kwargs if isinstance(init_settings, InitSettingsSource) else {}
        return _Environment(settings_cls, file), init_settings

    @model_validator(mode="before")
    @classmethod
    def _give_defaults(cls, data: dict[str, Any]) -> dict[str, Any]:
        data = _with_privacy(data)
        defaults, streams = data.get("defaults"), data.get("streams")
        if not isinstance(defaults, dict) or not isinstance(streams, dict):
            return data
        return data | {"streams": {name: with_defaults(defaults, stream) for name, stream in streams.items()}}

    def processor_settings(self) -> Mapping[str, BaseModel]:
        """The processors' settings, by the names in PROCESSORS."""
        return by_processor(self.processors)
