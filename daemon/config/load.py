"""Reads the configuration: a YAML file, and environment variables that begin with VISAGED_ and override it.

No other module reads configuration files or the environment. One ConfigError lists all mistakes, each with its line,
key, what was expected and what came; for an unknown key also the nearest known one.
"""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_settings import SettingsError

from configs.section import Section
from daemon.config.contradictions import contradictions
from daemon.config.explain import PUT_IN, Key, Mistake, explain, is_put_in, kind_of, walk
from daemon.config.fill import filled
from daemon.config.model import ENV_DELIMITER, ENV_PREFIX, Config, name_in_variables
from daemon.errors import ConfigError, nearest


def load(path: Path | None, overrides: Mapping[str, Any] | None = None) -> Config:
    """Reads and checks the configuration. Without a path only defaults and the environment count.

    `overrides` override the file, and the environment overrides both. Raises ConfigError.
    """
    file = filled(_read_yaml(path)[0] if path else {}, os.environ)
    data = _merged(file.data, overrides or {})
    mistakes = list(file.mistakes)
    try:
        config: Config | None = Config(**data)
    except SettingsError as err:
        raise ConfigError(f"{ENV_PREFIX} variables: {err}: sections and lists stand there as JSON") from None
    except ValidationError as err:
        told = {key for key, _ in mistakes}
        found = [mistake for error in err.errors() for mistake in explain(error, file.keys)]
        mistakes += [one for one in found if one[0] not in told and not _is_of_defaults(one, found)]
        config = _without(data, [key for key, _ in mistakes])
    wrong = {key[:2] for key, _ in mistakes}
    mistakes += _unknown_variables(os.environ)
    if config is not None:
        mistakes += [_shown(mistake, file.keys) for mistake in contradictions(config, wrong)]
        if not mistakes:
            return config
    raise refusal(path, mistakes)


def _is_of_defaults(mistake: Mistake, others: Iterable[Mistake]) -> bool:
    """Whether an entry has it from above, where it is told: a stream from `defaults`, and all from `privacy`."""
    (section, *at), message = mistake
    above = {
        "streams": (("defaults", *at[1:]), tuple(at[1:])),
        "consumers": (tuple(at[1:]),),
        "defaults": (tuple(at),),
    }
    return any((key, message) in others for key in above.get(section, ()))


def _shown(mistake: Mistake, put_in: Collection[Key]) -> Mistake:
    key, message = mistake
    return key, PUT_IN if len(key) > 2 and is_put_in(key, put_in) else message


def read_streams(path: Path) -> Mapping[str, Any]:
    """The `streams` of a YAML file as they stand there, which a daemon is to check. Raises ConfigError."""
    streams = _read_yaml(path)[0].get("streams")
    if not isinstance(streams, dict) or not all(isinstance(one, dict) for one in streams.values()):
        raise ConfigError(f"{path}: expected `streams` with settings by id")
    return {str(name): settings for name, settings in streams.items()}


def changed_keys(before: Section, after: Section, above: Key = ()) -> Iterator[Key]:
    """The settings that differ, each by its own key; an entry that is of one of them alone by the entry's."""
    for name in type(before).model_fields:
        mine, others = getattr(before, name), getattr(after, name)
        if mine == others:
            continue
        if isinstance(mine, Section) and type(mine) is type(others):
            yield from changed_keys(mine, others, (*above, name))
        elif isinstance(mine, dict) and isinstance(others, dict):
            yield from ((*above, name, key) for key in {**mine, **others} if mine.get(key) != others.get(key))
        else:
            yield (*above, name)


def refusal(path: Path | None, mistakes: Iterable[Mistake]) -> ConfigError:
    """One error for all mistakes, each with its line in the file or its environment variable."""
    lines = _read_yaml(path)[1] if path else {}
    told = (f"{_place(path, lines, key)}: {message}" for key, message in mistakes)
    return ConfigError("\n".join(dict.fromkeys(told)))


def _without(data: Mapping[str, Any], wrong: Iterable[Key]) -> Config | None:
    """The configuration without entries (`streams.door`) that contain a mistake; None if it is still wrong."""
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


def _read_yaml(path: Path) -> tuple[dict[str, Any], dict[Key, int]]:
    """The content of the file, and the line number of each key."""
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, yaml.SafeLoader)
        if (loop := _loop(root)) is not None:
            raise ConfigError(f"{path}:{loop.start_mark.line + 1}: not YAML that can be read: it contains itself (*)")
        data = yaml.safe_load(text)
    except OSError as err:
        raise ConfigError(f"{path}: {err.strerror}") from err
    except yaml.MarkedYAMLError as err:  # its own words quote the line, where a password may stand
        place = f"{path}:{err.problem_mark.line + 1}" if err.problem_mark else path
        raise ConfigError(f"{place}: not YAML: {err.problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as err:
        raise ConfigError(f"{path}: not YAML: {err}") from err
    except ValueError as err:  # of a date that no calendar has
        raise ConfigError(f"{path}: not YAML: {err}: text that only looks like another value stands in quotes") from err
    except RecursionError:
        raise ConfigError(f"{path}: not YAML that can be read: it is nested too deep") from None
    if root is None or data is None:
        return {}, {}
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected a mapping of settings, got {kind_of(data)}")
    for name in data:
        if not isinstance(name, str):
            raise ConfigError(f"{path}: {name}: expected a name, got {kind_of(name)}")
    lines: dict[Key, int] = {}
    for key, line in _keys(root):
        if key in lines:
            raise ConfigError(f"{path}:{line}: {'.'.join(key)}: stands here a second time, after line {lines[key]}")
        lines[key] = line
    return data, lines


def _loop(node: yaml.Node | None, above: tuple[yaml.Node, ...] = ()) -> yaml.Node | None:
    """A node that is inside itself by an alias, which YAML allows."""
    if node in above:
        return node
    below: Iterable[yaml.Node] = ()
    if isinstance(node, yaml.MappingNode):
        below = (part for pair in node.value for part in pair)
    elif isinstance(node, yaml.SequenceNode):
        below = node.value
    return next((loop for part in below if (loop := _loop(part, (*above, node)))), None)  # type: ignore[arg-type]


def _keys(node: yaml.Node, above: Key = ()) -> Iterator[tuple[Key, int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            path = (*above, str(key.value))
            yield path, key.start_mark.line + 1
            yield from _keys(value, path)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield (*above, str(index)), value.start_mark.line + 1
            yield from _keys(value, (*above, str(index)))


def _place(path: Path | None, lines: Mapping[Key, int], key: Key) -> str:
    """The environment variable that sets a key; otherwise the file, the line and the key."""
    variable = ENV_PREFIX + ENV_DELIMITER.join(map(name_in_variables, key)).upper()
    if variable in map(str.upper, os.environ):
        return variable
    known = next((key[:n] for n in range(len(key), 0, -1) if key[:n] in lines), None)
    line = f":{lines[known]}" if known else ""
    return f"{path}{line}: {'.'.join(key)}" if path else ".".join(key)


def _unknown_variables(environ: Mapping[str, str]) -> Iterator[Mistake]:
    for variable in environ:
        if variable.upper().startswith(ENV_PREFIX):
            key = variable[len(ENV_PREFIX) :].lower().split(ENV_DELIMITER)
            known, place = walk(key)
            if place.kind is None:
                yield tuple(key), "unknown key" + nearest(known[-1], place.siblings)
