"""One that is asked over HTTP: what it is sent, and what its answers mean. No I/O is done here."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, Generic, TypeVar
from urllib.parse import urlsplit

from daemon.errors import InvalidDocument, NoAnswer, NotFound, Problem, RequestFailed, RequestRefused, UnexpectedAnswer
from daemon.wire.codec import Members, parse

T = TypeVar("T")

JSON: Final = "application/json"
EVENT_STREAM: Final = "text/event-stream"
MOST_QUOTED: Final = 200  # characters of what came
NO_SUCH: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED})
"""By what any server says that it has nothing there. One of ours says it as JSON."""


def bearer(key: str | None) -> Mapping[str, str]:
    """The header with a key. Raises ValueError, which does not show it, for what no header can hold."""
    if key is None:
        return {}
    if not re.fullmatch(r"[!-~]+", key):
        raise ValueError("expected a key as `visaged keys new` prints it, got other characters: is it another file's?")
    return {"Authorization": f"Bearer {key}"}


@dataclass(frozen=True, slots=True)
class Answer:
    """All of it; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def members(self) -> Members:
        """Of the JSON object in the body. Raises InvalidDocument and TypeError."""
        members = parse(self.body)
        if not isinstance(members, dict):
            raise TypeError(f"expected a JSON object, got {type(members).__name__}")
        return members


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request, and what is made of the answer if that is a success."""

    method: str
    path: str
    """With its query, percent-encoded."""
    read: Callable[[Answer], T]
    """May raise InvalidDocument, LookupError, TypeError and ValueError: it is not the answer of whom we believe."""
    body: Callable[[], bytes] | None = None
    """Makes it, which may read a file."""
    headers: Mapping[str, str] = field(default_factory=dict)
    takes_long: bool = False
    """No time-out holds."""


@dataclass(frozen=True, slots=True)
class Server:
    """Knows what it is for errors' words: `name` is "visaged" or "a registry"."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Of every request: they hold a key or a password."""
    name: str = "visaged"

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise ValueError("expected http://HOST:PORT or https://HOST:PORT, without a key or password in it")
        object.__setattr__(self, "url", self.url.rstrip("/"))

    def headers_of(self, call: Call[Any]) -> Mapping[str, str]:
        content_type = {} if call.body is None else {"Content-Type": JSON}
        return {**content_type, **call.headers, **self.headers}

    def result(self, call: Call[T], answer: Answer) -> T:
        """Raises RequestRefused and UnexpectedAnswer."""
        self._expect_success(answer)
        try:
            return call.read(answer)
        except (InvalidDocument, LookupError, TypeError, ValueError) as err:
            raise self._not_as_expected(f"{type(err).__name__}: {err}") from err

    def expect_events(self, answer: Answer) -> None:
        """Before they are read. Raises RequestRefused and UnexpectedAnswer."""
        self._expect_success(answer)
        content_type = answer.headers.get("content-type", "")
        if not content_type.startswith(EVENT_STREAM):
            got = content_type[:MOST_QUOTED] or "nothing"
            raise UnexpectedAnswer(f"{self.url}: expected {EVENT_STREAM}, got {got}: is it {self.name}?")

    def no_answer(self, reason: object) -> NoAnswer:
        return NoAnswer(f"{self.url}: no answer: {reason}: does {self.name} listen there?")

    def _expect_success(self, answer: Answer) -> None:
        if answer.status >= 400:
            raise self._refusal(answer)
        if answer.status >= 300:
            place = answer.headers.get("location", "")[:MOST_QUOTED]
            raise UnexpectedAnswer(
                f"{self.url}: {answer.status}: it leads to {place!r}, where a key does not go: is that the address?"
            )

    def _refusal(self, answer: Answer) -> RequestFailed:
        if answer.status in NO_SUCH and not _said(answer):
            return self._not_as_expected(f"{answer.status}: {_beginning(answer)}")
        problems = _problems(answer)
        detail = "; ".join(f"{'.'.join(map(str, one.loc[1:]))}: {one.msg}" for one in problems) or _detail(answer)
        kind = NotFound if answer.status == HTTPStatus.NOT_FOUND else RequestRefused
        return kind(self.url, answer.status, detail, problems, _retry_after(answer))

    def _not_as_expected(self, came: str) -> UnexpectedAnswer:
        return UnexpectedAnswer(f"{self.url}: no answer as of {self.name} ({came[:MOST_QUOTED]}): is it {self.name}?")


def _problems(answer: Answer) -> Sequence[Problem]:
    """What is wrong at which place."""
    detail: Any = _members(answer).get("detail")
    try:
        return [Problem(tuple(one["loc"]), one["msg"], one["type"]) for one in detail]
    except (TypeError, LookupError):
        return []


def _detail(answer: Answer) -> str:
    return str(_said(answer) or _beginning(answer))[:1000] or "it does not say why"


def _said(answer: Answer) -> object:
    """What is said of it: `detail` by visaged, `message` by registries; None by something else."""
    members = _members(answer)
    return members.get("detail") or members.get("message")


def _beginning(answer: Answer) -> str:
    """In one line."""
    return " ".join(answer.body[:MOST_QUOTED].decode("utf-8", "replace").split())


def _members(answer: Answer) -> Members:
    """Of a refusal, which may be anybody's: a proxy's too."""
    try:
        return answer.members
    except (InvalidDocument, TypeError):
        return {}


def _retry_after(answer: Answer) -> float | None:
    """A date is as good as nothing: nobody here sends one."""
    said = answer.headers.get("retry-after", "")
    return float(said) if re.fullmatch(r"[0-9]{1,6}", said) else None
