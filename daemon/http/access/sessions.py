"""Sessions of browsers: a signed cookie in the place of a key, which a page could not keep from other scripts.

The cookie says the key's name and until when it counts. The server keeps nothing but those that were ended before.
"""

import contextlib
import hashlib
import hmac
import os
import secrets
import time
from pathlib import Path
from typing import Final

from aiohttp import web

from daemon.errors import ConfigError
from daemon.http.access.keys import Clock, Key, Keys

SESSION_S: Final = 12 * 3600
SECRET_BYTES: Final = 32
SECRET_FILE: Final = "session-secret"  # noqa: S105  # its name
"""In state_dir."""


class Sessions:
    def __init__(self, keys: Keys, clock: Clock = time.time) -> None:
        self.secret = secrets.token_bytes(SECRET_BYTES)
        """A restart ends all sessions, where it is not replaced by one that was kept."""
        self._keys = keys
        self._clock = clock
        self._ended: dict[str, float] = {}
        """By their tokens: until when they are remembered, as they would have ended by themselves by then."""

    def begin(self, key: Key) -> str:
        """The token: the key's name, when it ends, what makes it one of its own, and the signature."""
        said = f"{key.name}.{round(self._clock()) + SESSION_S}.{secrets.token_hex(8)}"
        return f"{said}.{self._signature(said, key)}"

    def key_of(self, token: str) -> Key | None:
        """None: it is not of ours, too old, ended, or its key was removed or changed."""
        name, ends_at, *_ = (*token.rsplit(".", 3), "")
        key = self._keys.of_name(name)
        said, _, signature = token.rpartition(".")
        if key is None or not token.isascii() or not hmac.compare_digest(signature, self._signature(said, key)):
            return None
        return None if token in self._ended or float(ends_at) <= self._clock() else key

    def end(self, token: str) -> Key | None:
        """The key that it was of, where there was one."""
        now = self._clock()
        self._ended = {ended: until for ended, until in self._ended.items() if until > now}
        key = self.key_of(token)
        if key is not None:
            self._ended[token] = now + SESSION_S
        return key

    def _signature(self, said: str, key: Key) -> str:
        """Also of the key's hash: a session ends with its key."""
        message = f"visaged session\0{said}\0{key.settings.sha256}".encode()
        return hmac.new(self.secret, message, hashlib.sha256).hexdigest()


def cookie_name(request: web.Request) -> str:
    """With the port, as browsers send the cookies of a host to all of its ports; __Host- keeps subdomains out."""
    port = request.get_extra_info("sockname")[1]
    return f"__Host-visaged-{port}" if request.secure else f"visaged-{port}"


def put_cookie(request: web.Request, response: web.StreamResponse, token: str) -> None:
    """An empty token takes it away."""
    response.set_cookie(
        cookie_name(request),
        token,
        max_age=SESSION_S if token else 0,
        path="/",
        secure=request.secure,
        httponly=True,
        samesite="Strict",
    )


def kept_secret(path: Path) -> bytes:
    """That of a file, which is made where there is none. Raises ConfigError."""
    try:
        with contextlib.suppress(FileNotFoundError):
            kept = path.read_bytes()
            if len(kept) == SECRET_BYTES:
                return kept
        path.parent.mkdir(parents=True, exist_ok=True)
        return _write(path, secrets.token_bytes(SECRET_BYTES))
    except OSError as err:
        raise ConfigError(f"state_dir: cannot keep a secret in {path}: {err.strerror}") from err


def _write(path: Path, secret: bytes) -> bytes:
    """Whole or not at all, and for nobody else's eyes."""
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, secret)
        os.fsync(fd)
    finally:
        os.close(fd)
    beside.replace(path)
    return secret
