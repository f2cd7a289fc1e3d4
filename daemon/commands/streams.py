"""`visaged streams`: asks a daemon that runs, over HTTP, to add, change and remove streams (docs/control.md)."""

import contextlib
import http.client
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import SERVICE_UNAVAILABLE
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from daemon.commands.output import print_json
from daemon.config.load import read_streams
from daemon.control.credentials import apart, shown
from daemon.errors import ConfigError, InvalidDocument, RequestRefused
from daemon.wire.codec import Members, encode, parse

TIMEOUT_S = 60.0
SILENT_S = 30.0  # twice the time after which a daemon sends a comment
RETRY_S = 2.0
GAP = "gap"
PAGE = 1000
JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
FILE = "@"  # before a path, in the place of a value


class _NoRedirect(HTTPRedirectHandler):
    """A key must not go to another server."""

    def redirect_request(self, *_: Any) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Any
    etag: str | None


@dataclass(frozen=True, slots=True)
class Event:
    """A server-sent event."""

    id: str | None
    """The last that came."""
    type: str
    data: str | None
    """None: it brings an id alone."""


class Daemon:
    """One that runs, by its URL."""

    def __init__(self, url: str, key_file: Path | None) -> None:
        """Raises ConfigError."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise ConfigError("--url: expected http://HOST:PORT or https://HOST:PORT, without a key or password in it")
        self._url = url.rstrip("/")
        self._key = None if key_file is None else _content(key_file, "--key-file")
        self._opener = build_opener(_NoRedirect)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Raises RequestRefused, but for 404: there is no such stream."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            sent.setdefault("Content-Type", JSON)
        data = None if body is None else encode(body)
        try:
            with self._opener.open(self._request(method, path, data, sent), timeout=TIMEOUT_S) as response:
                return _answer(response.status, response.read(), response.headers.get("ETag"))
        except HTTPError as err:
            answer = _answer(err.code, err.read(), None)
            if err.code == 404:
                return answer
            raise RequestRefused(f"{self._url}: {err.code}: {_told(answer.body)}") from None
        except (OSError, http.client.HTTPException) as err:
            reason = err.reason if isinstance(err, URLError) else err
            raise RequestRefused(f"{self._url}: no answer: {reason}: does a daemon listen there?") from err
        except InvalidDocument as err:
            raise RequestRefused(f"{self._url}: expected JSON as an answer: is it visaged?") from err

    def events(self, path: str) -> "Iterator[Event]":
        """Server-sent events; cut off, it goes on where it was. Raises RequestRefused where it may not, or no more."""
        last_id: str | None = None
        while True:
            sent = {} if last_id is None else {"Last-Event-ID": last_id}
            try:
                with self._opener.open(self._request("GET", path, None, sent), timeout=SILENT_S) as response:
                    for event in _events(response):
                        last_id = event.id or last_id
                        if event.data is not None:
                            yield event
            except HTTPError as err:
                told = _told(_answer(err.code, err.read(), None).body)
                if err.code != SERVICE_UNAVAILABLE or last_id is None:  # else it is being started anew
                    raise RequestRefused(f"{self._url}: {err.code}: {told}") from None
            except (OSError, http.client.HTTPException) as err:
                if last_id is None:  # it has never answered
                    raise RequestRefused(f"{self._url}: no answer: {err}: does a daemon listen there?") from err
            time.sleep(RETRY_S)

    def _request(self, method: str, path: str, data: bytes | None, headers: Mapping[str, str]) -> Request:
        key = {} if self._key is None else {"Authorization": f"Bearer {self._key}"}
        return Request(  # noqa: S310  # http(s), by the constructor
            f"{self._url}{path}", data, {**headers, **key}, method=method
        )

    def stream(self, stream: str, method: str = "GET", path: str = "", body: Any = None, **headers: str) -> Answer:
        """Raises RequestRefused, also where there is none."""
        answer = self.ask(method, f"{_path(stream)}{path}", body, **headers)
        if answer.status == 404:
            raise RequestRefused(_told(answer.body))
        return answer

    def streams(self, states: Sequence[str] = (), labels: Sequence[str] = ()) -> Iterator[Members]:
        """All, by id."""
        after: str | None = ""
        while after is not None:
            asked = [
                ("limit", PAGE),
                ("after", after),
                *(("state", one) for one in states),
                *(("label", one) for one in labels),
            ]
            body = self.ask("GET", f"/streams?{urlencode(asked)}").body
            yield from body["streams"]
            after = body["next"]


def list_(daemon: Daemon, states: Sequence[str], labels: Sequence[str], *, json: bool) -> int:
    found = list(daemon.streams(states, labels))
    if json:
        print_json(found)
        return 0
    for one in found:
        settings = one["settings"]
        words = (one["id"], one["state"], one["origin"], settings.get("name") or "", one["error"] or "")
        sys.stdout.write("\t".join(words) + "\n")
    return 0


def show(daemon: Daemon, stream: str) -> int:
    print_json(daemon.stream(stream).body)
    return 0


def set_(daemon: Daemon, stream: str, assignments: Sequence[str]) -> int:
    """Changes what is named alone; adds the stream where there is none."""
    patch = _patch(assignments)
    if daemon.ask("GET", _path(stream)).status == 404:
        answer = daemon.stream(stream, "PUT", body=_without_nulls(patch), If_None_Match="*")
    else:
        answer = daemon.stream(stream, "PATCH", body=patch, Content_Type=MERGE_PATCH)
    print_json(answer.body["settings"])
    return 0


def remove(daemon: Daemon, stream: str) -> int:
    daemon.stream(stream, "DELETE")
    return 0


def act(daemon: Daemon, stream: str, action: str) -> int:
    """pause, resume, restart."""
    sys.stdout.write(f"{stream}: {daemon.stream(stream, 'POST', f'/{action}').body['state']}\n")
    return 0


def check(daemon: Daemon, stream: str) -> int:
    """1 where no picture comes."""
    found = daemon.stream(stream, "POST", "/check").body
    print_json(found)
    return 0 if found["ok"] else 1


def watch(daemon: Daemon, stream: str | None, types: str | None) -> int:
    """What is seen, a line each, until it is interrupted, or the stream is removed (RequestRefused)."""
    path = "/events" if stream is None else f"{_path(stream)}/events"
    query = "" if types is None else f"?{urlencode({'types': types})}"
    with contextlib.suppress(KeyboardInterrupt):
        for event in daemon.events(f"{path}{query}"):
            out, text = (sys.stderr, f"gap: {event.data}") if event.type == GAP else (sys.stdout, event.data)
            out.write(f"{text}\n")
            out.flush()
    return 0


def export(daemon: Daemon) -> int:
    """What was added at run time, as `apply` takes it; passwords are not read back."""
    print_json({"streams": {one["id"]: one["settings"] for one in daemon.streams() if one["origin"] == "run-time"}})
    return 0


def apply(daemon: Daemon, path: Path, *, prune: bool) -> int:
    """Makes what was added at run time equal to a file. Raises ConfigError and RequestRefused."""
    wanted = read_streams(path)
    there = {one["id"]: one for one in daemon.streams()}
    for stream, settings in wanted.items():
        found = there.get(stream)
        if found is not None and found["settings"] == shown(apart(settings)) and "password" not in settings:
            sys.stdout.write(f"{stream}: as it was\n")
            continue
        answer = daemon.stream(stream, "PUT", body=settings)
        sys.stdout.write(f"{stream}: {'added' if answer.status == 201 else 'set'}\n")
    for stream, found in there.items():
        if prune and stream not in wanted and found["origin"] == "run-time":
            daemon.stream(stream, "DELETE")
            sys.stdout.write(f"{stream}: removed\n")
    return 0


def _events(lines: Iterable[bytes]) -> Iterator[Event]:
    """As daemon/http/streams/events.py writes them: each has one line of data at most."""
    last_id, kind, data = None, "message", None
    for line in lines:
        name, _, value = line.decode().rstrip("\r\n").partition(": ")
        match name:
            case "id":
                last_id = value
            case "event":
                kind = value
            case "data":
                data = value
            case "":
                yield Event(last_id, kind, data)
                kind, data = "message", None


def _path(stream: str) -> str:
    return f"/streams/{quote(stream, safe='')}"


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
        place[last] = _content(Path(text[1:]), key) if text.startswith(FILE) else _value(text)
    return patch


def _value(text: str) -> Any:
    """JSON, where it is that; else text."""
    try:
        return parse(text.encode())
    except InvalidDocument:
        return text


def _without_nulls(patch: Mapping[str, Any]) -> Members:
    return {key: value for key, value in patch.items() if value is not None}


def _content(path: Path, key: str) -> str:
    """Without the end of the last line."""
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeError) as err:
        raise ConfigError(f"{key}: cannot read {path}: {getattr(err, 'strerror', None) or err}") from None


def _answer(status: int, body: bytes, etag: str | None) -> Answer:
    return Answer(status, parse(body) if body else None, etag)


def _told(body: Any) -> str:
    """What a daemon says of a refusal."""
    detail = body.get("detail") if isinstance(body, dict) else None
    if not isinstance(detail, list):
        return str(detail)
    return "; ".join(f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in detail)
