"""Keys: how one is made, what of it is kept, and what each may."""

import contextlib
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from fnmatch import fnmatchcase
from typing import Final, Protocol

from daemon.http.access.errors import TooManyRequests
from daemon.http.access.settings import KeySettings, Role

KEY: Final = re.compile(r"vis_(?P<public>[0-9a-f]{8})_[A-Za-z0-9_-]{43}")

Clock = Callable[[], float]


def new_key() -> str:
    """256 random bits; the eight digits before them are no secret, so that a log can name the key."""
    return f"vis_{secrets.token_hex(4)}_{secrets.token_urlsafe(32)}"


def digest(key: str) -> str:
    """What is kept of a key. A plain hash is enough: what has 256 random bits cannot be guessed."""
    return hashlib.sha256(key.encode()).hexdigest()


def redacted(text: str) -> str:
    """With the public part alone of each key in it."""
    return KEY.sub(r"vis_\g<public>_***", text)


class Caller(Protocol):
    """Who asks; as text, in the words of a log."""

    @property
    def name(self) -> str | None:
        """None where no keys are configured."""

    def may(self, role: Role, stream: str | None = None) -> bool:
        """Now: also of long answers, which go on when the keys have changed."""

    def one(self) -> AbstractContextManager[None]:
        """A request counts while this is held. Raises TooManyRequests."""

    def looks_first_at(self, stream: str) -> bool:
        """Once for each stream."""


class Looks:
    """Which streams one has looked at."""

    def __init__(self) -> None:
        self._at: set[str] = set()

    def looks_first_at(self, stream: str) -> bool:
        first = stream not in self._at
        self._at.add(stream)
        return first


class Key(Looks):
    """A key of the configuration; one that was removed may nothing, wherever it is still held."""

    def __init__(self, name: str, settings: KeySettings, clock: Clock = time.monotonic) -> None:
        super().__init__()
        self.name = name
        self.settings = settings
        self.removed = False
        self._bucket = Bucket(clock)
        self._under_way = 0

    def __str__(self) -> str:
        return f"key {self.name}"

    def may(self, role: Role, stream: str | None = None) -> bool:
        return not self.removed and role in self.settings.roles and (stream is None or self._is_for(stream))

    @contextlib.contextmanager
    def one(self) -> Iterator[None]:
        at_once, rate = self.settings.concurrent, self.settings.rate
        if at_once is not None and self._under_way >= at_once:
            raise TooManyRequests(f"The key {self.name} may have {at_once} requests at the same time", 1)
        if rate is not None and (seconds := self._bucket.take(rate)):
            raise TooManyRequests(f"The key {self.name} may have {rate:g} requests per second", seconds)
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    def _is_for(self, stream: str) -> bool:
        return any(fnmatchcase(stream, pattern) for pattern in self.settings.streams)


class Anyone(Looks):
    """Who asks where no keys are configured: may all, until there are some."""

    name = None

    def __init__(self, keys: "Keys") -> None:
        super().__init__()
        self._keys = keys

    def __str__(self) -> str:
        return "anyone"

    def may(self, role: Role, stream: str | None = None) -> bool:
        return not self._keys

    def one(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()


class Keys:
    """All keys of the configuration; false where there are none."""

    def __init__(self, settings: Mapping[str, KeySettings]) -> None:
        self.anyone = Anyone(self)
        self._keys = {name: Key(name, of) for name, of in settings.items()}

    def __bool__(self) -> bool:
        return bool(self._keys)

    def replace(self, settings: Mapping[str, KeySettings]) -> None:
        """A key that stays the same goes on with its new roles and limits, its requests under way too."""
        before = self._keys
        self._keys = {name: self._of(name, of) for name, of in settings.items()}
        for name, key in before.items():
            key.removed = self._keys.get(name) is not key

    def of_name(self, name: str) -> Key | None:
        return self._keys.get(name)

    def find(self, key: str) -> Key | None:
        """Compares with all of them, each in the same time: how long it takes tells nothing."""
        if not KEY.fullmatch(key):
            return None
        came = digest(key)
        found = [known for known in self._keys.values() if hmac.compare_digest(came, known.settings.sha256)]
        return found[0] if found else None

    def _of(self, name: str, settings: KeySettings) -> Key:
        key = self._keys.get(name)
        if key is None or key.settings.sha256 != settings.sha256:
            return Key(name, settings)
        key.settings = settings
        return key


class Bucket:
    """Tokens that come at a rate and are taken one a request (a token bucket); starts full, with a second's worth."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since = -float("inf")
        self._tokens = 0.0

    def take(self, rate: float) -> float:
        """0.0 where there was one, else the seconds until there will be."""
        now = self._clock()
        self._tokens = min(self._tokens + (now - self._since) * rate, max(rate, 1.0))
        self._since = now
        if self._tokens < 1.0:
            return (1.0 - self._tokens) / rate
        self._tokens -= 1.0
        return 0.0
