"""`visaged keys`: makes keys for HTTP, and shows those of a configuration."""

import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from daemon.config.model import Config
from daemon.errors import ConfigError, nearest
from daemon.http.access.keys import digest, new_key
from daemon.http.access.settings import KEY_NAME, ROLES, KeySettings
from daemon.wire.codec import encode

COLUMNS = ("name", "roles", "streams", "rate", "concurrent", "sha256")
DIGITS = 12  # of a hash, to tell one from another


def new(name: str, roles: Sequence[str], streams: Sequence[str]) -> int:
    """Prints a key, which is written down nowhere, and its line of the configuration. Raises ConfigError."""
    if not re.fullmatch(KEY_NAME, name):
        raise ConfigError(f"NAME: expected letters, digits, `.`, `_` and `-`, a letter first, got {name!r}")
    for role in roles:
        if role not in ROLES:
            raise ConfigError(f"--role: unknown role {role}" + nearest(role, ROLES))
    key = new_key()
    settings: dict[str, Any] = {"sha256": digest(key), "roles": roles} | ({"streams": streams} if streams else {})
    sys.stdout.write(
        f"{key}\n\n"
        "# The key above is shown this once. In the configuration, under http and keys, its line is:\n"
        f"{encode(name).decode()}: {_yaml(settings)}\n"
    )
    return 0


def show(config: Config) -> int:
    """A line for each key."""
    keys = {} if config.http is None else config.http.keys
    rows = [COLUMNS, *(_row(name, key) for name, key in keys.items())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        sys.stdout.write("  ".join(map(str.ljust, row, widths)).rstrip() + "\n")
    return 0


def _row(name: str, key: KeySettings) -> tuple[str, ...]:
    limits = ("-" if limit is None else f"{limit:g}" for limit in (key.rate, key.concurrent))
    return (name, ",".join(key.roles), ",".join(key.streams) or "-", *limits, key.sha256[:DIGITS])


def _yaml(settings: Mapping[str, Any]) -> str:
    """JSON values are YAML's too."""
    return f"{{{', '.join(f'{name}: {encode(value).decode()}' for name, value in settings.items())}}}"
