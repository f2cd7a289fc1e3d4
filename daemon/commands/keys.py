"""`visaged keys`: makes keys for HTTP, and shows those of a configuration."""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from daemon.commands.output import print_json, print_table
from daemon.config.model import Config
from daemon.errors import ConfigError, nearest
from daemon.http.access.keys import digest, new_key
from daemon.http.access.settings import KEY_NAME, ROLES, KeySettings
from daemon.wire.codec import encode

COLUMNS = ("name", "roles", "streams", "rate", "concurrent", "sha256")
KEPT_MODE = 0o640  # the group may read a key: a program that asks with it is not always the user who made it
DIGITS = 12  # of a hash, to tell one from another


def new(name: str, roles: Sequence[str], streams: Sequence[str], folder: Path | None) -> int:
    """Prints a key, which is written down nowhere, and its line of the configuration. Raises ConfigError.

    With a folder the key and its hash are in two files there instead; a key that is there already stays.
    """
    if not re.fullmatch(KEY_NAME, name):
        raise ConfigError(f"NAME: expected letters, digits, `.`, `_` and `-`, a letter first, got {name!r}")
    for role in roles:
        if role not in ROLES:
            raise ConfigError(f"--role: unknown role {role}" + nearest(role, ROLES))
    key = new_key()
    if folder is not None:
        _keep(name, key, folder)
        return 0
    settings: dict[str, Any] = {"sha256": digest(key), "roles": roles} | ({"streams": streams} if streams else {})
    sys.stdout.write(
        f"{key}\n\n"
        "# The key above is shown this once. In the configuration, under http and keys, its line is:\n"
        f"{encode(name).decode()}: {_yaml(settings)}\n"
    )
    return 0


def _keep(name: str, key: str, folder: Path) -> None:
    """The hash first: a key that is there has one. Raises ConfigError."""
    kept, hashed = folder / f"{name}.key", folder / f"{name}.sha256"
    if kept.exists():
        sys.stdout.write(f"{kept} is there, and stays\n")
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in ((hashed, digest(key)), (kept, key)):
            path.unlink(missing_ok=True)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, KEPT_MODE), "w") as file:
                file.write(f"{text}\n")
    except OSError as err:
        raise ConfigError(f"--folder: {folder}: the key can't be written: {err.strerror}") from err
    sys.stdout.write(f"{kept} has the key, and the configuration takes sha256: ${{file:{hashed}}}\n")


def show(config: Config, *, json: bool) -> int:
    """A line for each key; as JSON with its whole hash."""
    keys = {} if config.http is None else config.http.keys
    if json:
        print_json(
            [{"name": name} | {column: getattr(key, column) for column in COLUMNS[1:]} for name, key in keys.items()]
        )
    else:
        print_table([COLUMNS, *(_row(name, key) for name, key in keys.items())])
    return 0


def _row(name: str, key: KeySettings) -> tuple[str, ...]:
    limits = ("-" if limit is None else f"{limit:g}" for limit in (key.rate, key.concurrent))
    return (name, ",".join(key.roles), ",".join(key.streams) or "-", *limits, key.sha256[:DIGITS])


def _yaml(settings: Mapping[str, Any]) -> str:
    """JSON values are YAML's too."""
    return f"{{{', '.join(f'{name}: {encode(value).decode()}' for name, value in settings.items())}}}"
