"""Documents to an HTTP server, as POST requests."""

import asyncio
import base64
import hashlib
import hmac
import math
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from sinks.base import Record, SinkError
from sinks.http_client import Answer, HttpClient
from sinks.webhook_settings import WebhookSettings, key_of

TOO_LARGE: Final = 413
OF_THE_DOCUMENT: Final = frozenset({400, 409, 422})
"""By these a receiver refuses what was sent. Any other refusal is of the URL, the login or the server: it may pass."""
REMEDIES: Final[Mapping[int, str]] = {
    **dict.fromkeys((301, 302, 303), "it has moved: set `url` to where it is"),
    **dict.fromkeys((401, 403), "it wants another login: see `headers`"),
    **dict.fromkeys((404, 405, 410), "nothing takes documents at this path of `url`"),
}


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """A record on its way. `sent` is what goes in its place; `alone`: in a request of its own."""

    record: Record
    sent: Record
    alone: bool = False


class WebhookSink:
    """Loses nothing that the receiver answered with success; may repeat what was under way when no answer came.

    Repeats and new requests come in the order of the documents. A request that was sent again bears the same
    webhook-id. What the receiver finds too large is sent in smaller batches, alone, and without its pictures; what it
    then still refuses, or says is wrong (400, 409, 422), is refused. All else may pass, and is tried again.
    """

    def __init__(self, settings: WebhookSettings) -> None:
        self.counts: Counter[str] = Counter()
        self._settings = settings
        self._client = HttpClient(settings.url, settings.tls, settings.timeout)
        self._most_bytes = math.inf
        """Of a batch of several, as the receiver has taught."""

    async def open(self) -> None:
        self._most_bytes = math.inf
        await self._client.open()

    async def check(self) -> None:
        """Asks whether an HTTP server answers, by OPTIONS, without `headers`. Raises SinkError."""
        await self._client.check()

    async def write(self, records: Sequence[Record]) -> None:
        refused = [(record, "no value") for record in records if record.tombstone]
        waiting = deque(_Part(record, record) for record in records if not record.tombstone)
        try:
            while waiting:
                await self._send_first(waiting, refused)
        except SinkError as err:
            left = [part.record for part in waiting]
            raise SinkError(
                str(err), retriable=True, unwritten=left, refused=refused, retry_after=err.retry_after
            ) from err
        if refused:
            message = f"{self._client.shown}: {len(refused)} documents were refused"
            raise SinkError(message, retriable=False, refused=refused)

    async def close(self) -> None:
        await self._client.close()

    async def _send_first(self, waiting: deque[_Part], refused: list[tuple[Record, str]]) -> None:
        """Takes off `waiting` what is done with. Raises SinkError where that may succeed later."""
        parts = self._batch(waiting)
        body, headers = await asyncio.to_thread(self._request, parts)
        status = await self._post(body, headers)
        for _ in parts:
            waiting.popleft()
        if status < 300:
            self.counts.update(part.record.note for part in parts if part.sent is not part.record)
        elif len(parts) > 1 and status == TOO_LARGE:
            self._most_bytes = len(body) // 2
            waiting.extendleft(reversed(parts))
        elif len(parts) > 1:
            waiting.extendleft(replace(part, alone=True) for part in reversed(parts))
        elif status == TOO_LARGE and (smaller := parts[0].sent.smaller) is not None:
            sent = replace(parts[0].sent, value=smaller, smaller=None)
            waiting.appendleft(replace(parts[0], sent=sent, alone=True))
        else:
            reason = "too large" if status == TOO_LARGE else "refused by the receiver"
            refused.append((parts[0].record, reason))

    def _batch(self, waiting: deque[_Part]) -> list[_Part]:
        """The first of those that wait, and those behind it that go in one request with it."""
        parts, size = [waiting[0]], len(waiting[0].sent.value)
        for part in islice(waiting, 1, self._settings.batch):
            size += len(part.sent.value) + 1
            if parts[0].alone or part.alone or size > self._most_bytes:
                break
            parts.append(part)
        return parts

    def _request(self, parts: Sequence[_Part]) -> tuple[bytes, Mapping[str, str]]:
        """The body and the headers."""
        body = parts[0].sent.value
        headers = {name: value.get_secret_value() for name, value in self._settings.headers.items()}
        kind = "application/json"
        if self._settings.as_cloud_events:
            kind = "application/cloudevents+json"
        elif self._settings.batch == 1:
            headers |= _attributes(parts[0].sent)
        if self._settings.batch > 1:
            body = b"[" + b",".join(part.sent.value for part in parts) + b"]"
            kind = kind.replace("cloudevents", "cloudevents-batch")
        headers |= {"Content-Type": kind} | self._signature(body)
        return body, headers

    def _signature(self, body: bytes) -> dict[str, str]:
        """The same body has the same id, so that a receiver knows what was sent again."""
        ident, now = f"msg_{hashlib.sha256(body).hexdigest()[:32]}", str(int(time.time()))
        headers = {"webhook-id": ident, "webhook-timestamp": now}
        if self._settings.secret is not None:
            headers["webhook-signature"] = signature(key_of(self._settings.secret), ident, now, body)
        return headers

    async def _post(self, body: bytes, headers: Mapping[str, str]) -> int:
        """The status of an answer that is of what was sent. Raises SinkError for all that may pass."""
        answer = await self._client.post(body, headers)
        if answer.status < 300 or answer.status == TOO_LARGE or answer.status in OF_THE_DOCUMENT:
            return answer.status
        raise SinkError(self._refusal(answer), retriable=True, retry_after=answer.retry_after)

    def _refusal(self, answer: Answer) -> str:
        remedy = REMEDIES.get(answer.status)
        return f"{self._client.shown}: {answer.words}" + (f" ({remedy})" if remedy else "")


def signature(key: bytes, ident: str, timestamp: str, body: bytes) -> str:
    """Of Standard Webhooks 1.0, symmetric."""
    digest = hmac.digest(key, f"{ident}.{timestamp}.".encode() + body, "sha256")
    return f"v1,{base64.b64encode(digest).decode()}"


def _attributes(record: Record) -> Mapping[str, str]:
    """The CloudEvents attributes of a document that is the body (binary mode)."""
    headers = ((name.replace("ce_", "ce-", 1), value or b"") for name, value in record.headers)
    return {
        name: value.decode("ascii", "replace")
        for name, value in headers
        if name.startswith("ce-") or name in ("traceparent", "tracestate")
    }
