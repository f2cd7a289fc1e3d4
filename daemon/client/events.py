"""Server-sent events (WHATWG HTML, section 9.2), and going on where they were cut off. No I/O is done here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from daemon.client.calls import path
from daemon.client.documents import Frame, Gap, PlaceEvent, TrackEvent, View, event_of
from daemon.client.server import EVENT_STREAM, Call
from daemon.errors import InvalidDocument, NoAnswer, RequestFailed, RequestRefused, UnexpectedAnswer
from daemon.wire.codec import Members, parse

SILENT_S: Final = 30.0
"""Twice the time after which a daemon sends a comment: it has gone then."""
RETRY_S: Final = 2.0
"""Until it says another."""
PASSING: Final = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,  # the key's places, as long as the connection that was cut has one
        HTTPStatus.BAD_GATEWAY,  # of a proxy in front, while the daemon is away
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
"""Refusals of one that was let in before, after which it is asked again."""


@dataclass(frozen=True, slots=True)
class Event:
    """What a daemon tells."""

    id: str | None
    """The last that came: where to go on behind it."""
    type: str
    """`frame`, `track`, `place` or `gap`."""
    text: str = field(repr=False)
    """The JSON as it came."""

    @property
    def json(self) -> Members:
        """Raises UnexpectedAnswer."""
        return self.data.json

    @property
    def data(self) -> Frame | TrackEvent | PlaceEvent | Gap | View:
        """A View is of a type that a later version tells of. Raises UnexpectedAnswer."""
        try:
            return event_of(self.type, parse(self.text.encode()))
        except (InvalidDocument, TypeError) as err:
            raise UnexpectedAnswer(f"the data of the event {self.id} ({self.type}) is no JSON object") from err


class Parser:
    """Bytes, as they come, to events and what else is told."""

    def __init__(self, last_id: str | None = None) -> None:
        self.last_id = last_id
        """Of what has come whole: where to go on."""
        self.retry_s: float | None = None
        """Seconds to wait before going on, once they are told."""
        self._rest = b""
        self._id = last_id
        self._type = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> Iterator[Event]:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            yield from self._take(line.removesuffix(b"\r").decode("utf-8", "replace"))

    def _take(self, line: str) -> Iterator[Event]:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "id":
                self._id = value
            case "event":
                self._type = value
            case "data":
                self._data.append(value)
            case "retry" if value.isascii() and value.isdigit():
                self.retry_s = int(value) / 1000
            case "" if not line:
                yield from self._dispatch()

    def _dispatch(self) -> Iterator[Event]:
        """An id without data is no event, and is kept all the same."""
        self.last_id = self._id
        if self._data:
            yield Event(self.last_id, self._type or "message", "\n".join(self._data))
        self._type, self._data = "", []


class Subscription:
    """What streams see, from one connection to the next. Ends where the daemon refuses to go on."""

    def __init__(self, stream: str | None, types: Sequence[str], after: str | None) -> None:
        """`stream` None: all that the key is for. `types` empty: all. `after`: the last id that is known."""
        kinds = (types if isinstance(types, str) else ",".join(types)) or None
        self._path = path("events", types=kinds) if stream is None else path("streams", stream, "events", types=kinds)
        self._parser = Parser(after)
        self._begun = False
        self._retry_s = RETRY_S
        self._retry_after_s = 0.0

    @property
    def wait_s(self) -> float:
        """Before it connects again."""
        return max(self._retry_s, self._retry_after_s)

    def connect(self) -> Call[None]:
        """The next connection: what was under way in the one before will come again."""
        last_id = self._parser.last_id
        self._parser = Parser(last_id)
        self._retry_after_s = 0.0
        headers = {"Accept": EVENT_STREAM} | ({} if last_id is None else {"Last-Event-ID": last_id})
        return Call("GET", self._path, lambda _: None, headers=headers)

    def feed(self, chunk: bytes) -> Iterator[Event]:
        self._begun = True
        yield from self._parser.feed(chunk)
        self._retry_s = self._parser.retry_s or self._retry_s

    def failed(self, err: RequestFailed) -> None:
        """Raises it where going on is for nothing: it never began, or may no more."""
        match err:
            case NoAnswer() if self._begun:
                return
            case RequestRefused(status=status, retry_after=retry_after) if self._begun and status in PASSING:
                self._retry_after_s = retry_after or 0.0
            case _:
                raise err
