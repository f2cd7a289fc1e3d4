"""Puts into a configuration what its file names and does not hold: ${VAR}, ${file:PATH} and password_file.

The file alone may do so. What comes over the network or in variables is taken as it stands: it must not read our
environment, nor our files.
"""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple, TypeVar

from configs.password import PasswordFile, text_of
from daemon.config.explain import Key, Mistake, walk

T = TypeVar("T")

REFERENCE = re.compile(r"\$\$\{|\$\{(?P<name>[^{}]*)(?P<end>\}?)")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
FILE = "file:"
PASSWORD, PASSWORD_FILE = "password", "password_file"  # keys


class Filled(NamedTuple):
    data: dict[str, Any]
    keys: Collection[Key]
    """Of values that came from elsewhere, which are never shown."""
    mistakes: list[Mistake]


def filled(data: Mapping[str, Any], environ: Mapping[str, str]) -> Filled:
    """Also leaves out the keys that are the user's own: they begin with x-."""
    filling = _Filling(environ)
    return Filled(filling.mapping(data, ()), filling.keys, filling.mistakes)


class _Unusable(Exception):
    """Nothing can be put in; why not."""


class _Filling:
    def __init__(self, environ: Mapping[str, str]) -> None:
        self.keys: set[Key] = set()
        self.mistakes: list[Mistake] = []
        self._environ = environ

    def mapping(self, data: Mapping[Any, Any], above: Key) -> dict[Any, Any]:
        values = {
            key: self._value(value, (*above, str(key)))
            for key, value in data.items()
            if not (str(key).startswith("x-") and not _is_known((*above, str(key))))
        }
        if PASSWORD_FILE in values and _is_known((*above, PASSWORD)):
            self._read_password(values, above)
        return values

    def _value(self, value: Any, key: Key) -> Any:
        match value:
            case dict():
                return self.mapping(value, key)
            case list():
                return [self._value(item, (*key, str(index))) for index, item in enumerate(value)]
            case str():
                return self._text(value, key)
            case _:
                return value

    def _text(self, text: str, key: Key) -> str:
        try:
            return REFERENCE.sub(lambda match: self._part(match, key), text)
        except _Unusable as err:
            self.mistakes.append((key, str(err)))
            return text

    def _part(self, match: re.Match[str], key: Key) -> str:
        name = match["name"]
        if name is None:
            return "${"
        self.keys.add(key)
        if not match["end"]:
            raise _Unusable("expected a } after ${ ($${ stands for ${ itself)")
        if name.startswith(FILE):
            return _read(text_of, name.removeprefix(FILE))
        if not VARIABLE.fullmatch(name):
            raise _Unusable("expected ${NAME} of a variable or ${file:PATH} ($${ stands for ${ itself)")
        if name not in self._environ:
            raise _Unusable(f"the variable {name} is not set")
        return self._environ[name]

    def _read_password(self, values: dict[Any, Any], above: Key) -> None:
        path, key = values.pop(PASSWORD_FILE), (*above, PASSWORD_FILE)
        try:
            if PASSWORD in values:
                raise _Unusable("expected password or password_file, got both")
            if not isinstance(path, str):
                raise _Unusable("expected a path")
            values[PASSWORD] = _read(PasswordFile, path)
        except _Unusable as err:
            self.mistakes.append((key, str(err)))
            values.setdefault(PASSWORD, "")
        self.keys.add((*above, PASSWORD))


def _is_known(key: Key) -> bool:
    return walk(key)[1].kind is not None


def _read(kind: Callable[[str], T], path: str) -> T:
    try:
        return kind(path)
    except OSError as err:
        raise _Unusable(f"cannot read {path}: {err.strerror}") from None
    except ValueError:  # no UTF-8, or no path
        raise _Unusable(f"cannot read {path}: expected text in UTF-8") from None
