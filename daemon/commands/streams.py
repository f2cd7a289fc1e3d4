"""`visaged streams`: asks a daemon that runs, over HTTP, to add, change and remove streams (docs/control.md)."""

import contextlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from daemon.client.blocking import Client
from daemon.commands.output import print_json
from daemon.errors import ConfigError, InvalidDocument, NotFound, words
from daemon.wire.codec import Members, parse

GAP = "gap"
FILE = "@"  # before a path, in the place of a value


def client_of(url: str, key_file: Path | None) -> Client:
    """Raises ConfigError."""
    key = None if key_file is None else content(key_file, "--key-file")
    try:
        return Client(url, key)
    except ValueError as err:
        raise ConfigError(f"--url, --key-file: {err}") from None


def list_(client: Client, states: Sequence[str], labels: Sequence[str], *, json: bool) -> int:
    found = list(client.streams.list(states=states, labels=labels))
    if json:
        print_json([one.json for one in found])
        return 0
    for one in found:
        words = (one.id, one.state, one.origin, one.settings.get("name") or "", one.error or "")
        sys.stdout.write("\t".join(words) + "\n")
    return 0


def show(client: Client, stream: str) -> int:
    print_json(client.streams.get(stream).json)
    return 0


def add(client: Client, stream: str, assignments: Sequence[str]) -> int:
    """Raises RequestRefused (412) where there is such a stream."""
    print_json(client.streams.set(stream, _without_nulls(_patch(assignments)), new=True).settings)
    return 0


def set_(client: Client, stream: str, assignments: Sequence[str]) -> int:
    """Changes what is named alone; adds the stream where there is none."""
    patch = _patch(assignments)
    try:
        client.streams.get(stream)
    except NotFound:
        changed = client.streams.set(stream, _without_nulls(patch), new=True)
    else:
        changed = client.streams.patch(stream, patch)
    print_json(changed.settings)
    return 0


def remove(client: Client, stream: str) -> int:
    client.streams.remove(stream)
    return 0


def act(client: Client, stream: str, action: str) -> int:
    streams = client.streams
    actions = {"pause": streams.pause, "resume": streams.resume, "restart": streams.restart}
    sys.stdout.write(f"{stream}: {actions[action](stream).state}\n")
    return 0


def check(client: Client, stream: str) -> int:
    """1 where no picture comes."""
    found = client.streams.check(stream)
    print_json(found.json)
    return 0 if found.ok else 1


def watch(client: Client, stream: str | None, types: str | None) -> int:
    """What is seen, a line each, until it is interrupted, or the stream is removed (NotFound)."""
    with contextlib.suppress(KeyboardInterrupt):
        for event in client.events(stream, types=types.split(",") if types else ()):
            out, text = (sys.stderr, f"gap: {event.text}") if event.type == GAP else (sys.stdout, event.text)
            out.write(f"{text}\n")
            out.flush()
    return 0


def export(client: Client) -> int:
    """What was added at run time, as `apply` takes it; passwords are not read back."""
    print_json({"streams": {one.id: one.settings for one in client.streams.list() if one.origin == "run-time"}})
    return 0


def apply(client: Client, path: Path, *, prune: bool) -> int:
    """Makes what was added at run time equal to a file. Raises ConfigError and RequestFailed."""
    from daemon.config.load import read_streams  # heavy, as those are who read it
    from daemon.control.credentials import apart, shown

    wanted = read_streams(path)
    there = {one.id: one for one in client.streams.list()}
    for stream, settings in wanted.items():
        found = there.get(stream)
        if found is not None and found.settings == shown(apart(settings)) and "password" not in settings:
            sys.stdout.write(f"{stream}: as it was\n")
            continue
        client.streams.set(stream, settings)
        sys.stdout.write(f"{stream}: {'added' if found is None else 'set'}\n")
    for stream, found in there.items():
        if prune and stream not in wanted and found.origin == "run-time":
            client.streams.remove(stream)
            sys.stdout.write(f"{stream}: removed\n")
    return 0


def content(path: Path, key: str) -> str:
    """Without the end of the last line. Raises ConfigError."""
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeError) as err:
        raise ConfigError(f"{key}: cannot read {path}: {words(err)}") from None


def _patch(assignments: Sequence[str]) -> Members:
    """KEY=VALUE, a key below another as labels.site=depot. Raises ConfigError."""
    patch: Members = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not key or not equals:
            raise ConfigError(f"expected KEY=VALUE, got {key[:100]}")
        *above, last = key.split(".")
        place = patch
        for part in above:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise ConfigError(f"{key}: {part} was given a value before")
        place[last] = content(Path(text[1:]), key) if text.startswith(FILE) else _value(text)
    return patch


def _value(text: str) -> Any:
    """JSON, where it is that; else text."""
    try:
        return parse(text.encode())
    except InvalidDocument:
        return text


def _without_nulls(patch: Mapping[str, Any]) -> Members:
    return {key: value for key, value in patch.items() if value is not None}
