"""Addresses of sources: what is in them, how FFmpeg gets them, and how they are shown.

One reading for all three, as lenient as FFmpeg's own (av_url_split), which takes one slash for two and splits at the
first of `/?#`. What is shown never depends on an address being right: what cannot be told apart is not shown.
"""

import contextlib
import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

NETWORK = frozenset({"rtsp", "rtsps", "http", "https"})
PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
HIDDEN = "***"
HOST = re.compile(r"(\[[0-9A-Fa-f:.]+(%\w+)?\]|[\w.-]+)(:(?P<port>\d{1,5}))?")
SECRET = re.compile(
    r"(user|usr|login|account|pass|pwd|psw|secret|token|key|auth|sign|session|cred)[\w.%-]*?(=|:|%3d)|\bpw(=|:|%3d)",
    re.IGNORECASE,
)
"""A key whose value may be a secret; where the value ends is the camera's to know."""
IPV4 = re.compile(r"\d{1,3}(\.\d{1,3}){3}")
REMEDY = "in a user name or password write %2F for /, %3F for ?, %23 for # and %40 for @"


class Url(NamedTuple):
    scheme: str
    """In lower case."""
    login: str
    """What stands before the last @ of the authority: user name and password."""
    authority: str
    """host[:port], where it is right."""
    rest: str
    """Path, query and fragment."""

    @property
    def is_right(self) -> bool:
        return _is_host(self.authority)

    @property
    def host(self) -> str:
        """Without the brackets of an IPv6 address; of an address that is right."""
        return self.authority[: self._port_at].strip("[]")

    @property
    def port(self) -> int | None:
        """The scheme's own, where there is none; None: it has none either."""
        port = self.authority[self._port_at :].removeprefix(":")
        return int(port) if port else PORTS.get(self.scheme)

    @property
    def has_port(self) -> bool:
        return self._port_at < len(self.authority)

    @property
    def _port_at(self) -> int:
        match = HOST.fullmatch(self.authority)
        return len(self.authority) if match is None or match["port"] is None else match.start("port") - 1

    def at(self, host: str) -> str:
        """The URL, called at another host."""
        port = self.authority[self._port_at :]
        login = f"{self.login}@" if self.login else ""
        return f"{self.scheme}://{login}{f'[{host}]' if ':' in host else host}{port}{self.rest}"


def parsed(url: str) -> Url | None:
    """None: a plain path."""
    match = re.fullmatch(r"\s*([A-Za-z][A-Za-z0-9+.-]+):(/{0,2})(.*)", url, re.DOTALL)
    if match is None or not (match[2] or match[1].lower() in NETWORK):
        return None
    authority, rest = _cut(match[3])
    login, _, host = authority.rpartition("@")
    return Url(match[1].lower(), login, host, rest)


def scheme_of(url: str) -> str:
    """The scheme in lower case; empty for a plain path."""
    parts = parsed(url)
    return parts.scheme if parts else ""


def as_address(path: str) -> str | None:
    """The address, without secrets, for which a path lacks the scheme alone; None: it reads like a path."""
    url = parsed(f"rtsp://{path}")
    if url is None or not url.is_right:
        return None
    is_meant = url.has_port or ":" in url.login or IPV4.fullmatch(url.host)
    return redacted(f"rtsp://{path}") if is_meant else None


def misread(path: str) -> str | None:
    """What is said of a path that reads like an address; None: it does not, or there is such a file."""
    meant = as_address(path)
    with contextlib.suppress(OSError, ValueError):  # a name that no file can have
        if Path(path).exists():
            return None
    return meant and f"{meant.removeprefix('rtsp://')} is no address and no file: did you mean {meant}?"


def meant_scheme(scheme: str, known: Iterable[str]) -> str:
    """The end of a message about a scheme that is not among the known ones."""
    close = difflib.get_close_matches(scheme, list(known), n=1, cutoff=0.7)
    return f"; did you mean {close[0]}://?" if close else ""


def with_login(url: str, username: str | None, password: str | None) -> str:
    """As FFmpeg takes it, which decodes the login's %XX."""
    parts = parsed(url)
    if parts is None:
        return url
    login = parts.login
    if username is not None:
        login = quote(username, safe="") + ("" if password is None else f":{quote(password, safe='')}")
    return f"{parts.scheme}://{login}{'@' if login else ''}{parts.authority}{parts.rest}"


def redacted(url: str) -> str:
    """Without what may be a secret: all up to the last @, the query, and what follows a key that may have one."""
    parts = parsed(url)
    before, at, behind = url.rpartition("@")
    if parts is None:
        return _without_secrets(f"{HIDDEN}@{behind}" if ":" in before else url)
    authority, rest = _cut(behind) if at else (parts.authority, parts.rest)
    if not _is_host(authority) and (authority or re.search(r"[:=]", rest)):
        return f"{parts.scheme}://{HIDDEN}"
    path, question, _ = rest.partition("#")[0].partition("?")
    login, query = f"{HIDDEN}@" if at else "", f"?{HIDDEN}" if question else ""
    return f"{parts.scheme}://{login}{authority}{_without_secrets(path)}{query}"


def is_secret_key(name: str) -> bool:
    """Whether what stands under a key of this name may be a secret."""
    return SECRET.search(f"{name}=") is not None


def _cut(text: str) -> tuple[str, str]:
    """The authority, and what follows it."""
    end = re.search(r"[/?#]", text)
    return (text[: end.start()], text[end.start() :]) if end else (text, "")


def _is_host(authority: str) -> bool:
    match = HOST.fullmatch(authority)
    return match is not None and (match["port"] is None or 1 <= int(match["port"]) <= 65535)


def _without_secrets(path: str) -> str:
    key = SECRET.search(path)
    return f"{path[: key.end()]}{HIDDEN}" if key else path
