"""The boundary around aiohttp: POST requests to one server, and what went wrong in our words."""

import asyncio
import contextlib
import os
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final, NamedTuple

import aiohttp
from yarl import URL

from sinks.base import SinkError
from sinks.tls import Tls

SAME_REQUEST: Final = frozenset({307, 308})
"""Redirects after which a POST is still one."""
MOST_REDIRECTS: Final = 3
ANSWER_BYTES: Final = 65_536
"""Of an answer that are read, so that the connection can be used again."""


class Answer(NamedTuple):
    status: int
    retry_after: float
    """Seconds that the server asks to wait; 0: it asks for nothing that can be read."""
    body: bytes
    """Its first ANSWER_BYTES, or as many as came."""

    @property
    def words(self) -> str:
        phrase = HTTPStatus(self.status).phrase if self.status in set(HTTPStatus) else "unknown"
        return f"{self.status} {phrase}"


class HttpClient:
    """One connection at a time, which open() does not make yet. Belongs to the event loop's thread."""

    def __init__(self, url: str, tls: Tls, timeout: float) -> None:
        """`timeout`: seconds in which a request must be answered."""
        self._url = URL(url)
        self.shown = str(self._url.origin())
        """For messages: the path may be a secret."""
        self._tls = tls
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Raises SinkError, which is not retriable: a certificate cannot be used. May be called again."""
        if self._session is not None:
            return
        try:
            tls = await asyncio.to_thread(self._tls.context) if self._url.scheme == "https" else True
        except OSError as err:
            raise SinkError(f"the certificates for {self.shown}: {err}", retriable=False) from err
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls, limit=1),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self._timeout),
            headers={"User-Agent": "visaged"},
        )

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """The answer, of any status but a redirect that is followed. Raises SinkError where none came: retriable."""
        url = self._url
        for _ in range(1 + MOST_REDIRECTS):
            answer, location = await self._asked("POST", url, body, headers)
            if answer.status not in SAME_REQUEST:
                return answer
            url = self._redirected(url, location)
        raise SinkError(f"{self.shown}: more than {MOST_REDIRECTS} redirects", retriable=True)

    async def check(self) -> None:
        """Asks whether an HTTP server answers, by OPTIONS and without a login; it is closed then. Raises SinkError."""
        await self.open()
        try:
            await self._asked("OPTIONS", self._url)
        finally:
            await self.close()

    async def _asked(
        self, method: str, url: URL, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[Answer, str]:
        """The answer, and where it leads to."""
        if self._session is None:
            raise SinkError(f"{self.shown}: closed", retriable=True)
        try:
            async with self._session.request(
                method, url, data=body, headers=headers, allow_redirects=False
            ) as response:
                return await _answer(response), response.headers.get("Location", "")
        except (aiohttp.ClientError, OSError) as err:  # TimeoutError is an OSError
            raise SinkError(f"{self.shown}: {_words(err)}", retriable=True) from err

    def _redirected(self, url: URL, location: str) -> URL:
        try:
            target = url.join(URL(location))
        except ValueError:
            target = URL()
        is_secured = (url.scheme, target.scheme) == ("http", "https") and url.host == target.host
        if location and (is_secured or (target.is_absolute() and target.origin() == url.origin())):
            return target
        message = "redirects to another host, which is not followed: configure that one if it is meant"
        raise SinkError(f"{self.shown}: {message}", retriable=True)


async def _answer(response: aiohttp.ClientResponse) -> Answer:
    body = b""
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):  # the answer itself is there
        body = await response.content.read(ANSWER_BYTES)
    return Answer(response.status, _retry_after(response.headers), body)


def _retry_after(headers: Mapping[str, str]) -> float:
    """Seconds (RFC 9110, section 10.2.3)."""
    said = headers.get("Retry-After", "")
    if said.isdecimal():
        return float(said[:9])
    try:
        return max(parsedate_to_datetime(said).timestamp() - time.time(), 0.0)
    except (ValueError, OverflowError):
        return 0.0


def _words(error: Exception) -> str:
    match error:
        case TimeoutError():
            return "no answer in time"
        case aiohttp.ClientConnectorCertificateError():
            return f"its certificate is not trusted: {error.certificate_error}"
        case aiohttp.ClientConnectorSSLError():
            return "it does not speak TLS as we do (is it http:// in place of https://?)"
        case aiohttp.ClientOSError() if error.errno is not None and error.errno > 0:
            return os.strerror(error.errno).lower()
        case aiohttp.ClientConnectorDNSError():
            return "no such host"
    return "it closed the connection"
