"""`visaged history`: asks a daemon that runs, over HTTP, what it has kept, and to delete it (docs/history.md)."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from urllib.parse import urlencode

from daemon.commands.streams import Daemon
from daemon.errors import RequestRefused
from daemon.wire.codec import Members, encode

PAGE = 1000

Filter = Mapping[str, str | Sequence[str]]
"""Of the query, as /history takes it."""


def list_(daemon: Daemon, wanted: Filter, limit: int) -> int:
    """The newest, a line of JSON each."""
    for event in islice(_events(daemon, wanted), limit):
        sys.stdout.write(encode(event).decode() + "\n")
    return 0


def delete(daemon: Daemon, wanted: Filter, *, everything: bool) -> int:
    """Raises RequestRefused where nothing is said of what."""
    query = {**wanted, "all": "1"} if everything else wanted
    sys.stdout.write(f"{_ask(daemon, 'DELETE', query)['deleted']} events are deleted\n")
    return 0


def _events(daemon: Daemon, wanted: Filter) -> Iterator[Members]:
    query: dict[str, str | Sequence[str]] = {**wanted, "limit": str(PAGE)}
    while True:
        page = _ask(daemon, "GET", query)
        yield from page["events"]
        if page["next"] is None:
            return
        query["after"] = page["next"]


def _ask(daemon: Daemon, method: str, query: Filter) -> Members:
    answer = daemon.ask(method, f"/history?{urlencode(query, doseq=True)}")
    if answer.status == 404:
        raise RequestRefused(answer.body["detail"])
    body: Members = answer.body
    return body
