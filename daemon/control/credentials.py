"""A camera's login in what is sent and shown: it is written and never read back."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from daemon.errors import InvalidDocument, Problem
from daemon.sources.url import HIDDEN, parsed, redacted
from daemon.wire.codec import Members

REFERENCE = "${"
KEPT_ONLY = "a hidden one is kept only while scheme, host, port and username stay the same: send it anew"
PUBLIC_OPTIONS = frozenset(
    {
        "analyzeduration",
        "buffer_size",
        "fflags",
        "fifo_size",
        "max_delay",
        "probesize",
        "reorder_queue_size",
        "tls_verify",
        "use_wallclock_as_timestamps",
    }
)
"""Of FFmpeg's, those that name no file, no address and no secret: a stream that is added at run time may set them."""


def shown(members: Mapping[str, Any]) -> Members:
    """What is answered of a stream's settings."""
    return {key: _shown(key, value) for key, value in members.items()}


def merged(before: Mapping[str, Any], patch: Mapping[str, Any]) -> Members:
    """A JSON merge patch (RFC 7396) over what was: null removes a key."""
    result = dict(before)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            below = result.get(key)
            result[key] = merged(below if isinstance(below, dict) else {}, value)
        else:
            result[key] = value
    return result


def apart(sent: Mapping[str, Any]) -> Members:
    """With the login of the source as username and password, where it has these in itself alone."""
    source = sent.get("source")
    url = parsed(source) if isinstance(source, str) else None
    if url is None or not url.login or not url.is_right or {"username", "password"} & sent.keys():
        return dict(sent)
    user, colon, password = url.login.partition(":")
    login = {"username": unquote(user)} | ({"password": unquote(password)} if colon else {})
    return {**sent, "source": url._replace(login="").at(url.host), **login}


def restored(sent: Mapping[str, Any], before: Mapping[str, Any] | None, *, inherits: bool = False) -> Members:
    """With what was hidden in the place of what hides it. `inherits`: its password is that of before.

    Raises InvalidDocument where it may not be kept.
    """
    result, before = dict(sent), before or {}
    if problems := list(_unkept(result, before, inherits=inherits)):
        raise InvalidDocument(problems)
    if _is_hidden(result.get("source")):
        result["source"] = before["source"]
    if result.get("password") == HIDDEN:
        result["password"] = before["password"]
    return result


def _unkept(sent: Mapping[str, Any], before: Mapping[str, Any], *, inherits: bool) -> Iterator[Problem]:
    source = sent.get("source")
    if sent.get("username") == HIDDEN:
        yield _problem("username", "expected the username itself, got ***")
    if _is_hidden(source) and (source != shown(before).get("source") or sent.get("username") != before.get("username")):
        yield _problem("source", f"expected the address itself, got one with ***: {KEPT_ONLY}")
    elif sent.get("password") == HIDDEN or inherits:
        hidden = before["source"] if _is_hidden(source) else source
        if "password" not in before or _called({**sent, "source": hidden}) != _called(before):
            yield _problem("password", f"expected the password itself: {KEPT_ONLY}")


def _called(members: Mapping[str, Any]) -> tuple[object, ...]:
    """Who gets the password."""
    source = members.get("source")
    url = parsed(source) if isinstance(source, str) else None
    return () if url is None else (url.scheme, url.host.lower(), url.port, members.get("username"))


def _is_hidden(source: object) -> bool:
    return isinstance(source, str) and HIDDEN in source


def _problem(key: str, message: str) -> Problem:
    return Problem((key,), message[0].upper() + message[1:], "hidden")


def _shown(key: str, value: Any) -> Any:
    match key, value:
        case "password", str() if not value.startswith(REFERENCE):
            return HIDDEN
        case "source", str():
            return redacted(value)
        case "ffmpeg_options", dict():
            return {name: option if name in PUBLIC_OPTIONS else HIDDEN for name, option in value.items()}
        case _:
            return value
