"""The configuration: one YAML file, and VISAGED_ variables of the environment, which win over it.

The only reader of configuration files and of the environment. One ConfigError lists every mistake:
the line, the key, what was expected and what came; for an unknown key, the nearest known one.
"""

import difflib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from daemon.errors import ConfigError
from daemon.http.settings import HttpSettings
from daemon.kafka.settings import EXACTLY_ONCE, ConsumerSettings
from daemon.sources import SOURCES
from daemon.sources.settings import SourceSettings
from daemon.sources.url import redacted, scheme_of
from daemon.work.settings import PLACES, ProcessorSettings, WorkSettings, by_processor, in_order_of_work
from processors.chain import requirements
from processors.registry import PROCESSORS
from sinks import SinkSettings
from sinks.kafka_settings import KafkaCluster, KafkaSettings, cluster_of

ENV_PREFIX = "VISAGED_"
ENV_DELIMITER = "__"


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LogSettings(Section):
    level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least grave lines to write.")


class EngineSettings(Section):
    workers: int | None = Field(
        None, ge=1, description="Threads that run the models, all streams and HTTP together; nothing: one a core."
    )
    hang_timeout: float = Field(
        60.0,
        gt=0,
        description="Seconds after which the work on a frame or a request counts as hung: its model is terminated, or "
        "its thread replaced. After three of these the daemon ends, to be started afresh.",
    )


class ModelSettings(Section):
    directory: Path | None = Field(None, description="A folder with manifests/ and files/; nothing: visaged's own.")
    provider: Literal["cpu", "cuda", "auto"] = Field(
        "cpu",
        description="Where models run. cuda needs onnxruntime-gpu in onnxruntime's place and is refused where it can't "
        "be had; auto takes it where it can.",
    )


class StreamSettings(SourceSettings, WorkSettings):
    pass


class Config(BaseSettings):
    """All that can be configured."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix=ENV_PREFIX,
        env_nested_delimiter=ENV_DELIMITER,
        env_parse_none_str="null",
    )

    log: LogSettings = Field(LogSettings(), description="Log lines, written to standard error.")
    engine: EngineSettings = Field(EngineSettings(), description="The workers.")
    models: ModelSettings = Field(ModelSettings(), description="Where models come from and where they run.")
    processors: ProcessorSettings = Field(ProcessorSettings(), description="Settings of the processors.")
    http: HttpSettings | None = Field(HttpSettings(), description="The HTTP services; null: none.")
    streams: dict[str, StreamSettings] = Field({}, description="Streams by id, which is the key of their records.")
    clusters: dict[str, KafkaCluster] = Field({}, description="Kafka clusters, by a name of your choice.")
    consumers: dict[str, ConsumerSettings] = Field(
        {}, description="Frames that come from Kafka, by a name of your choice."
    )
    sinks: dict[str, SinkSettings] = Field({}, description="Where documents go, by a name of your choice.")
    state_dir: Path | None = Field(
        None,
        description="A folder for what must outlive a crash: which tracks have appeared and not left. Nothing: none.",
    )
    stop_timeout: float = Field(
        20.0,
        gt=0,
        description="Seconds that a stop may take; what has not reached a sink by then is counted as dropped.",
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
        """By the processors' registered names."""
        return by_processor(self.processors)


Mistake = tuple[tuple[str, ...], str]
"""Where in the configuration, and what is wrong there."""


def load(path: Path | None, overrides: Mapping[str, Any] | None = None) -> Config:
    """Reads and checks the configuration; without a file it is the defaults and the environment.

    `overrides` win over the file, and the environment over both. Raises ConfigError.
    """
    data, lines = _read_yaml(path) if path else ({}, {})
    try:
        config = Config(**_merged(data, overrides or {}))
    except SettingsError as err:
        raise ConfigError(f"{ENV_PREFIX} variables: {err}: sections and lists stand there as JSON") from None
    except ValidationError as err:
        mistakes = [_explain(error["type"], error["loc"], error["msg"], error.get("input")) for error in err.errors()]
    else:
        mistakes = [*_unknown_variables(os.environ), *_contradictions(config)]
        if not mistakes:
            return config
    raise ConfigError("\n".join(f"{_place(path, lines, key)}: {message}" for key, message in mistakes))


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _read_yaml(path: Path) -> tuple[dict[str, Any], dict[tuple[str, ...], int]]:
    """The file's content, and the line of each of its keys."""
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, yaml.SafeLoader)
        data = yaml.safe_load(text)
    except OSError as err:
        raise ConfigError(f"{path}: {err.strerror}") from err
    except yaml.MarkedYAMLError as err:  # its own words quote the line, where a password may stand
        place = f"{path}:{err.problem_mark.line + 1}" if err.problem_mark else path
        raise ConfigError(f"{place}: not YAML: {err.problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as err:
        raise ConfigError(f"{path}: not YAML: {err}") from err
    if root is None or data is None:
        return {}, {}
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected a mapping of settings, got a {type(data).__name__}")
    for name in data:
        if not isinstance(name, str):
            raise ConfigError(f"{path}: {name}: expected a name, got a {type(name).__name__}")
    lines: dict[tuple[str, ...], int] = {}
    for key, line in _keys(root):
        if key in lines:
            raise ConfigError(f"{path}:{line}: {'.'.join(key)}: stands here a second time, after line {lines[key]}")
        lines[key] = line
    return data, lines


def _keys(node: yaml.Node, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            path = (*above, str(key.value))
            yield path, key.start_mark.line + 1
            yield from _keys(value, path)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield (*above, str(index)), value.start_mark.line + 1
            yield from _keys(value, (*above, str(index)))


def _place(path: Path | None, lines: Mapping[tuple[str, ...], int], key: tuple[str, ...]) -> str:
    """The variable or the file and line that a key comes from, and the key."""
    variable = ENV_PREFIX + ENV_DELIMITER.join(key).upper()
    if variable in map(str.upper, os.environ):
        return variable
    known = next((key[:n] for n in range(len(key), 0, -1) if key[:n] in lines), None)
    line = f":{lines[known]}" if known else ""
    return f"{path}{line}: {'.'.join(key)}" if path else ".".join(key)


def _explain(error_type: str, loc: tuple[str | int, ...], message: str, value: Any) -> Mistake:
    key, place = _walk(loc)
    if error_type == "extra_forbidden":
        return key, "unknown key" + _nearest(key[-1], place.siblings)
    if error_type == "missing":
        return key, "expected a value, got nothing"
    if error_type == "union_tag_not_found":
        return (*key, "type"), f"expected one of {', '.join(place.types)}, got nothing"
    if error_type == "union_tag_invalid":
        return (*key, "type"), f"unknown type {value['type']}" + _nearest(str(value["type"]), place.types)
    message = message[0].lower() + message[1:]
    if place.is_secret or isinstance(value, dict | list | tuple):
        return key, message
    shown = redacted(value) if isinstance(value, str) else value
    return key, f"{message}, got {shown!r}"


class Place(NamedTuple):
    """What the configuration's types say of a key."""

    kind: Any
    """The annotation of its value; None: there is no such key."""
    siblings: tuple[str, ...]
    """The keys that are known there."""

    @property
    def types(self) -> list[str]:
        return [tag for section in _sections(self.kind) if (tag := _tag(section))]

    @property
    def is_secret(self) -> bool:
        """Also what stands where sections belong: it may be a password on the wrong line."""
        is_above_sections = bool(_sections(self.kind)) or get_origin(self.kind) is dict
        return self.kind is None or is_above_sections or SecretStr in (self.kind, *get_args(self.kind))


def _walk(loc: Sequence[str | int]) -> tuple[tuple[str, ...], Place]:
    """The path of keys that an error's location stands for, up to the first unknown one.

    Pydantic puts a sink's type in between, which is no key.
    """
    key: list[str] = []
    place = Place(Config, ())
    for part in loc:
        if place.kind is None:
            break
        if part in place.types:
            place = Place(next(s for s in _sections(place.kind) if _tag(s) == part), ())
            continue
        key.append(str(part))
        if get_origin(place.kind) in (dict, tuple):
            arguments = get_args(place.kind)
            place = Place(arguments[1] if get_origin(place.kind) is dict else arguments[0], ())
            continue
        fields = {name: field for section in _sections(place.kind) for name, field in section.model_fields.items()}
        place = Place(fields[key[-1]].annotation if key[-1] in fields else None, tuple(fields))
    return tuple(key), place


def _sections(kind: Any) -> list[type[BaseModel]]:
    """What an annotation allows of sections, through unions."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [kind]
    if get_origin(kind) in (dict, tuple):
        return []
    return [section for argument in get_args(kind) for section in _sections(argument)]


def _tag(section: type[BaseModel]) -> str | None:
    """A sink's type."""
    field = section.model_fields.get("type")
    return get_args(field.annotation)[0] if field else None


def _nearest(name: str, known: Iterable[str]) -> str:
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; expected one of {', '.join(known)}" if known else ""


def _unknown_variables(environ: Mapping[str, str]) -> Iterator[Mistake]:
    for variable in environ:
        if variable.upper().startswith(ENV_PREFIX):
            key = variable[len(ENV_PREFIX) :].lower().split(ENV_DELIMITER)
            known, place = _walk(key)
            if place.kind is None:
                yield tuple(key), "unknown key" + _nearest(known[-1], place.siblings)


def _contradictions(config: Config) -> Iterator[Mistake]:
    """What no value shows by itself."""
    if config.http is None and not config.streams and not config.consumers:
        yield ("streams",), "expected a stream where http is null, got nothing to do"
    for name, stream in config.streams.items():
        key = ("streams", name)
        if scheme_of(stream.source) not in SOURCES:
            known = ", ".join(f"{scheme}://" for scheme in SOURCES if scheme)
            yield (*key, "source"), f"expected {known} or a path, got {scheme_of(stream.source)}://"
        yield from _mistakes_of_work(key, stream)
        yield from _mistakes_of_sinks(config, key, stream.sinks)
    for name, sink in config.sinks.items():
        if isinstance(sink, KafkaSettings):
            yield from _mistakes_of_cluster(config, ("sinks", name), sink.cluster)
    for name, consumer in config.consumers.items():
        key = ("consumers", name)
        yield from _mistakes_of_work(key, consumer)
        yield from _mistakes_of_sinks(config, key, consumer.sinks)
        yield from _mistakes_of_cluster(config, key, consumer.cluster)
        if consumer.delivery == EXACTLY_ONCE:
            yield from _mistakes_of_transactions(config, key, consumer)


def _mistakes_of_work(key: tuple[str, ...], work: WorkSettings) -> Iterator[Mistake]:
    mistakes = list(check_chain(work.chain))
    for mistake in mistakes:
        yield (*key, "chain"), mistake
    if work.tracking is None:
        return
    for name in work.tracking.per:
        if name not in work.chain:
            yield (*key, "tracking", "per"), f"{name} is not in the chain" + _nearest(name, work.chain)
        elif name in PROCESSORS and PROCESSORS[name].makes & PLACES and work.tracking.per[name] != "frame":
            yield (*key, "tracking", "per"), f"expected {name} on every frame: it finds what is elsewhere on the next"
    if not mistakes:
        for mistake in check_chain(in_order_of_work(work)):
            yield (*key, "tracking", "per"), f"where what runs more often goes first: {mistake}"


def _mistakes_of_sinks(config: Config, key: tuple[str, ...], sinks: Sequence[str] | None) -> Iterator[Mistake]:
    for sink in sinks or ():
        if sink not in config.sinks:
            yield (*key, "sinks"), f"unknown sink {sink}" + _nearest(sink, config.sinks)
    if not config.sinks:
        yield key, "expected a sink to send its documents to, got no sinks"


def _mistakes_of_cluster(config: Config, key: tuple[str, ...], cluster: str | None) -> Iterator[Mistake]:
    if cluster is not None and cluster not in config.clusters:
        yield (*key, "cluster"), f"unknown cluster {cluster}" + _nearest(cluster, config.clusters)
    elif cluster is None and len(config.clusters) != 1:
        known = f"one of {', '.join(config.clusters)}" if config.clusters else "a cluster (`clusters` has none)"
        yield (*key, "cluster"), f"expected {known}, got nothing"


def _mistakes_of_transactions(config: Config, key: tuple[str, ...], consumer: ConsumerSettings) -> Iterator[Mistake]:
    """A transaction spans the topics of one cluster and nothing else."""
    for name in consumer.sinks or config.sinks:
        sink = config.sinks.get(name)
        if sink is not None and not isinstance(sink, KafkaSettings):
            message = f"expected sinks of type kafka for {EXACTLY_ONCE}, got {name} of type {sink.type}"
            yield (*key, "delivery"), message
        elif sink is not None:
            try:
                same = cluster_of(sink.cluster, config.clusters) is cluster_of(consumer.cluster, config.clusters)
            except LookupError:
                continue  # which has been said
            if not same:
                yield (*key, "delivery"), f"expected sinks in the consumer's cluster for {EXACTLY_ONCE}, got {name}"


def check_chain(chain: Sequence[str]) -> Iterator[str]:
    """What is wrong with a stream's chain, by the names of its processors."""
    unknown = [name for name in chain if name not in PROCESSORS]
    for name in unknown:
        yield f"unknown processor {name}" + _nearest(name, PROCESSORS)
    steps: list[Any] = [PROCESSORS[name] for name in chain if name in PROCESSORS]
    if not unknown and (needs := requirements(steps)[0]):
        lacking = ", ".join(sorted(kind.__name__ for kind in needs))
        yield f"expected processors that make {lacking} before those that need it"
