"""RTSP 1.0 (RFC 2326) as bytes: requests, responses and who may ask."""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Literal
from urllib.request import parse_http_list, parse_keqv_list

from daemon.simulator.rtp import FRAMING

REALM = "camera"
REASONS = {status.value: status.phrase for status in HTTPStatus} | {
    453: "Not Enough Bandwidth",
    454: "Session Not Found",
    455: "Method Not Valid in This State",
    461: "Unsupported Transport",
}


class RtspError(Exception):
    """A request is answered with this status and these headers."""

    def __init__(self, status: int, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status} {REASONS[status]}")
        self.status = status
        self.headers = headers or {}


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who may look; `scheme` is the one that is asked for and the only one taken."""

    user: str
    password: str = field(repr=False)
    scheme: Literal["basic", "digest"] = "digest"


@dataclass(frozen=True, slots=True)
class Request:
    """Names of headers are in lower case."""

    method: str
    url: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Response:
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    status: int = 200

    def encode(self, request: Request | None) -> bytes:
        """As the answer to `request`, if that could be read."""
        headers = dict(self.headers)
        if request and "cseq" in request.headers:
            headers["CSeq"] = request.headers["cseq"]
        if self.body:
            headers["Content-Length"] = str(len(self.body))
        lines = [f"RTSP/1.0 {self.status} {REASONS[self.status]}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", self.body]).encode()


async def read_request(reader: asyncio.StreamReader, heard: Callable[[], None]) -> Request:
    """The next request; RTCP in between is skipped. Calls `heard` for each message of either kind.

    Raises ValueError or LimitOverrunError for what is not RTSP, IncompleteReadError at the end.
    """
    while True:
        first = await reader.readexactly(1)
        heard()
        if first == b"$":
            _, _, size = FRAMING.unpack(first + await reader.readexactly(FRAMING.size - 1))
            await reader.readexactly(size)
        elif first not in b"\r\n":
            break
    head = first + await reader.readuntil(b"\r\n\r\n")
    start, *lines = head.decode().rstrip().split("\r\n")
    method, url, _ = start.split(" ")
    pairs = (line.split(":", 1) for line in lines)
    headers = {name.strip().lower(): value.strip() for name, value in pairs}
    await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, url, headers)


def challenge(credentials: Credentials, nonce: str) -> str:
    """The WWW-Authenticate header."""
    if credentials.scheme == "basic":
        return f'Basic realm="{REALM}"'
    return f'Digest realm="{REALM}", nonce="{nonce}"'


def is_authorized(request: Request, credentials: Credentials, nonce: str) -> bool:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != credentials.scheme:
        return False
    if credentials.scheme == "basic":
        return _basic_right(given, credentials)
    return _digest_right(given, request.method, credentials, nonce)


def _basic_right(given: str, credentials: Credentials) -> bool:
    expected = base64.b64encode(f"{credentials.user}:{credentials.password}".encode()).decode()
    return hmac.compare_digest(given.strip().encode(), expected.encode())


def _digest_right(given: str, method: str, credentials: Credentials, nonce: str) -> bool:
    """RFC 2617 without qop, as RFC 2069 had it: what cameras use."""
    try:
        fields = parse_keqv_list(parse_http_list(given))
    except ValueError:
        return False
    secret = _md5(f"{credentials.user}:{REALM}:{credentials.password}")
    expected = _md5(f"{secret}:{nonce}:{_md5(method + ':' + fields.get('uri', ''))}")
    return (
        fields.get("username") == credentials.user
        and fields.get("nonce") == nonce
        and hmac.compare_digest(fields.get("response", "").encode(), expected.encode())
    )


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
