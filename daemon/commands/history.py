"""`visaged history`: asks a daemon that runs, over HTTP, what it has kept, and to delete it (docs/history.md)."""

import sys
from collections.abc import Mapping
from typing import Any

from daemon.client.blocking import Client
from daemon.wire.codec import encode

Filter = Mapping[str, Any]
"""As the client takes it."""


def list_(client: Client, wanted: Filter, limit: int) -> int:
    """The newest, a line of JSON each."""
    for event in client.history.list(**wanted, limit=limit):
        sys.stdout.write(encode(event.json).decode() + "\n")
    return 0


def delete(client: Client, wanted: Filter, *, everything: bool) -> int:
    """Raises RequestRefused where nothing is said of what."""
    sys.stdout.write(f"{client.history.delete(**wanted, everything=everything)} events are deleted\n")
    return 0
