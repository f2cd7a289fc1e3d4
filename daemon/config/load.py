"""Reads the configuration: a YAML file, and environment variables that begin with VISAGED_ and override it.

No other module reads configuration files or the environment. One ConfigError lists all mistakes, each with its line,
key, what was expected and what came; for an unknown key also the nearest known one.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_settings import SettingsError

from daemon.config.contradictions import contradictions
from daemon.config.explain import Key, Mistake, explain, kind_of, walk
from daemon.config.model import ENV_DELIMITER, ENV_PREFIX, Config
from daemon.errors import ConfigError, nearest


def load(path: Path | None, overrides: Mapping[str, Any] | None = None) -> Config:
    """Reads and checks the configuration. Without a path only defaults and the environment count.

    `overrides` override the file, and the environment overrides both. Raises ConfigError.
    """
    data = _merged(_read_yaml(path)[0] if path else {}, overrides or {})
    mistakes: list[Mistake] = []
    try:
        config: Config | None = Config(**data)
    except SettingsError as err:
        raise ConfigError(f"{ENV_PREFIX} variables: {err}: sections and lists stand there as JSON") from None
    except ValidationError as err:
        mistakes = [mistake for error in err.errors() for mistake in explain(error)]
        config = _without(data, [key for key, _ in mistakes])
    wrong = {key[:2] for key, _ in mistakes}
    mistakes += _unknown_variables(os.environ)
    if config is not None:
        mistakes += contradictions(config, wrong)
        if not mistakes:
            return config
    raise refusal(path, mistakes)


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
    variable = ENV_PREFIX + ENV_DELIMITER.join(key).upper()
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
