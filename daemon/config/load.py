"""The configuration: one YAML file, and VISAGED_ variables of the environment, which win over it.

The only reader of configuration files and of the environment. One ConfigError lists every mistake:
the line, the key, what was expected and what came; for an unknown key, the nearest known one.
"""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from daemon.errors import ConfigError
from daemon.http.settings import HttpSettings
from daemon.kafka.settings import EXACTLY_ONCE, ConsumerSettings
from daemon.nearest import nearest
from daemon.sources import SOURCES
from daemon.sources.settings import SourceSettings
from daemon.sources.url import host_of, redacted, scheme_of
from daemon.work.settings import (
    PLACES,
    ProcessorSettings,
    WorkSettings,
    by_processor,
    in_order_of_work,
    mistakes_of_chain,
)
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
    shots_share: float = Field(
        0.2,
        gt=0,
        lt=1,
        description="Share of the workers' time, 0 to 1, that is kept for the shots of cameras' tracks when all "
        "workers are busy. More: ages, templates and the like come sooner, and fewer frames are looked at.",
    )


class ModelSettings(Section):
    directory: Path | None = Field(None, description="A folder with manifests/ and files/; nothing: visaged's own.")
    provider: Literal["cpu", "cuda", "auto"] = Field(
        "cpu",
        description="Where models run. cuda needs onnxruntime-gpu in onnxruntime's place and is refused where it can't "
        "be had; auto takes it where it can.",
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


Key = tuple[str, ...]
Mistake = tuple[Key, str]
"""Where in the configuration, and what is wrong there."""


def load(path: Path | None, overrides: Mapping[str, Any] | None = None) -> Config:
    """Reads and checks the configuration; without a file it is the defaults and the environment.

    `overrides` win over the file, and the environment over both. Raises ConfigError.
    """
    data = _merged(_read_yaml(path)[0] if path else {}, overrides or {})
    mistakes: list[Mistake] = []
    try:
        config: Config | None = Config(**data)
    except SettingsError as err:
        raise ConfigError(f"{ENV_PREFIX} variables: {err}: sections and lists stand there as JSON") from None
    except ValidationError as err:
        mistakes = [mistake for error in err.errors() for mistake in _explain(error)]
        config = _without(data, [key for key, _ in mistakes])
    wrong = {key[:2] for key, _ in mistakes}
    mistakes += _unknown_variables(os.environ)
    if config is not None:
        mistakes += _contradictions(config, wrong)
        if not mistakes:
            return config
    raise refusal(path, mistakes)


def refusal(path: Path | None, mistakes: Iterable[Mistake]) -> ConfigError:
    """Names each mistake with the line of the file, or the variable, where it is."""
    lines = _read_yaml(path)[1] if path else {}
    told = (f"{_place(path, lines, key)}: {message}" for key, message in mistakes)
    return ConfigError("\n".join(dict.fromkeys(told)))


def _without(data: Mapping[str, Any], wrong: Iterable[Key]) -> Config | None:
    """What is left without the entries (`streams.door`) that are wrong somewhere; None: that is wrong too."""
    left: dict[str, Any] = {
        section: dict(value) if isinstance(value, dict) else value for section, value in data.items()
    }
    for section, *below in wrong:
        entries = left.get(section)
        if below and isinstance(entries, dict):
            entries.pop(below[0], None)
        else:
            left.pop(section, None)
    try:
        return Config(**left)
    except ValidationError:
        return None


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
        raise ConfigError(f"{path}: expected a mapping of settings, got {_kind(data)}")
    for name in data:
        if not isinstance(name, str):
            raise ConfigError(f"{path}: {name}: expected a name, got {_kind(name)}")
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


EXPECTED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "float_parsing": "a number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "model_attributes_type": "a mapping",
    "model_type": "a mapping",
    "path_type": "a path",
    "string_type": "text (a number in quotes)",
    "tuple_type": "a list",
}
"""By pydantic's type of an error, of which its own words are Python's."""


def _explain(error: ErrorDetails) -> Iterator[Mistake]:
    """In YAML's words. Nothing for what only follows from another error."""
    key, place = _walk(error["loc"])
    value = error["input"]
    match error["type"]:
        case "extra_forbidden":
            yield key, "unknown key" + nearest(key[-1], place.siblings)
        case "missing":
            yield key, "expected a value, got nothing"
        case "union_tag_not_found":
            yield (*key, "type"), f"expected one of {', '.join(place.types)}, got nothing"
        case "union_tag_invalid":
            yield (*key, "type"), f"unknown type {value['type']}" + nearest(str(value["type"]), place.types)
        case "too_short" if len(value) >= error["ctx"]["min_length"]:
            pass  # pydantic leaves out the items that are wrong, and counts the others
        case "too_short":
            yield key, f"expected {error['ctx']['min_length']} or more, got {len(value)}"
        case "too_long":
            yield key, f"expected {error['ctx']['max_length']} at most, got {len(value)}"
        case "value_error":
            for message in str(error["ctx"]["error"]).splitlines():
                yield key, message if ", got " in message else message + _got(value, place)
        case kind if kind in EXPECTED:
            shown = _got(value, place) or f", got {_kind(value)}"
            yield key, f"expected {EXPECTED[kind]}{shown}"
        case _:
            yield key, error["msg"][0].lower() + error["msg"][1:] + _got(value, place)


def _got(value: Any, place: "Place") -> str:
    """Nothing where it is long or may be a secret."""
    if place.is_secret or isinstance(value, dict | list | tuple):
        return ""
    if value is None or isinstance(value, bool):
        return f", got {_kind(value)}"
    return f", got {redacted(value)!r}" if isinstance(value, str) else f", got {value}"


def _kind(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list() | tuple():
            return "a list"
        case dict():
            return "a mapping"
        case _:
            return f"a {type(value).__name__}"  # YAML's date, datetime, set


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
            place = Place(_bare(arguments[1] if get_origin(place.kind) is dict else arguments[0]), ())
            continue
        fields = {name: field for section in _sections(place.kind) for name, field in section.model_fields.items()}
        place = Place(_bare(fields[key[-1]].annotation) if key[-1] in fields else None, tuple(fields))
    return tuple(key), place


def _bare(kind: Any) -> Any:
    """An annotation without its metadata and without `| None`."""
    if get_origin(kind) is Annotated:
        return _bare(get_args(kind)[0])
    members = [member for member in get_args(kind) if member is not NoneType]
    return _bare(members[0]) if len(members) == 1 and NoneType in get_args(kind) else kind


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


def _unknown_variables(environ: Mapping[str, str]) -> Iterator[Mistake]:
    for variable in environ:
        if variable.upper().startswith(ENV_PREFIX):
            key = variable[len(ENV_PREFIX) :].lower().split(ENV_DELIMITER)
            known, place = _walk(key)
            if place.kind is None:
                yield tuple(key), "unknown key" + nearest(known[-1], place.siblings)


def _contradictions(config: Config, wrong: Collection[Key]) -> Iterator[Mistake]:
    """What no value shows by itself. `wrong`: sections and entries that `config` lacks because they are."""
    if config.http is None and not config.streams and not config.consumers and not wrong:
        yield ("streams",), "expected a stream where http is null, got nothing to do"
    sinks, clusters = _names("sinks", config.sinks, wrong), _names("clusters", config.clusters, wrong)
    for name, stream in config.streams.items():
        key = ("streams", name)
        yield from _mistakes_of_tracking(key, stream)
        yield from _mistakes_of_sinks(key, stream.sinks, sinks)
    for name, sink in config.sinks.items():
        if isinstance(sink, KafkaSettings):
            yield from _mistakes_of_cluster(("sinks", name), sink.cluster, clusters)
    for name, consumer in config.consumers.items():
        key = ("consumers", name)
        yield from _mistakes_of_tracking(key, consumer)
        yield from _mistakes_of_sinks(key, consumer.sinks, sinks)
        yield from _mistakes_of_cluster(key, consumer.cluster, clusters)
        if consumer.delivery == EXACTLY_ONCE:
            yield from _mistakes_of_transactions(config, key, consumer)
    yield from _mistakes_of_loops(config)


def _names(section: str, entries: Iterable[str], wrong: Collection[Key]) -> Collection[str] | None:
    """All names of a section, those of wrong entries too; None: the section is wrong as a whole."""
    if (section,) in wrong:
        return None
    return [*entries, *(key[1] for key in wrong if key[0] == section)]


def _mistakes_of_tracking(key: Key, work: WorkSettings) -> Iterator[Mistake]:
    if work.tracking is None:
        return
    for name in work.tracking.per:
        if name not in work.chain:
            yield (*key, "tracking", "per"), f"{name} is not in the chain" + nearest(name, work.chain)
        elif PROCESSORS[name].makes & PLACES and work.tracking.per[name] != "frame":
            yield (*key, "tracking", "per"), f"expected {name} on every frame: it finds what is elsewhere on the next"
    for mistake in mistakes_of_chain(in_order_of_work(work)):
        yield (*key, "tracking", "per"), f"where what runs more often goes first, {mistake}"


def _mistakes_of_sinks(key: Key, sinks: Sequence[str] | None, known: Collection[str] | None) -> Iterator[Mistake]:
    if known is None:
        return
    if not known:
        yield key, "expected a sink to send its documents to, got no sinks"
        return
    for sink in sinks or ():
        if sink not in known:
            yield (*key, "sinks"), f"unknown sink {sink}" + nearest(sink, known)


def _mistakes_of_cluster(key: Key, cluster: str | None, known: Collection[str] | None) -> Iterator[Mistake]:
    if known is None:
        return
    if cluster is not None and cluster not in known:
        yield (*key, "cluster"), f"unknown cluster {cluster}" + nearest(cluster, known)
    elif cluster is None and len(known) != 1:
        expected = f"one of {', '.join(known)}" if known else "a cluster (`clusters` has none)"
        yield (*key, "cluster"), f"expected {expected}, got nothing"


def _mistakes_of_transactions(config: Config, key: Key, consumer: ConsumerSettings) -> Iterator[Mistake]:
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


def _mistakes_of_loops(config: Config) -> Iterator[Mistake]:
    """What a consumer writes must not come back to it, directly or through others."""
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
    """The topics that a consumer's records and documents go to: where that is said, cluster and topic."""
    key = ("consumers", name)
    yield (*key, "dead_letter_topic"), consumer.cluster, consumer.dead_letter_topic
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
        return False  # which has been said
    return clusters[0].bootstrap_servers == clusters[1].bootstrap_servers
