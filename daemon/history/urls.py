"""The URLs of shots, and what makes one good without a key: an expiry and a signature (HMAC-SHA256)."""

import hashlib
import hmac
import math
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Final

from daemon.errors import LinkExpired

SECRET_BYTES: Final = 32
EXPIRES, SIGNATURE = "expires", "signature"


class ShotUrls:
    """`signed`: seconds for which a URL needs no key; None: it always does."""

    def __init__(self, base: str, signed: float | None, clock: Callable[[], float] = time.time) -> None:
        """`base`: what stands before the path; empty: it is for the one who reads it to say."""
        self.secret = secrets.token_bytes(SECRET_BYTES)
        """A restart ends all signatures, where it is not replaced by one that was kept."""
        self.signed = signed
        self._base = base
        self._clock = clock

    def __call__(self, shot: str) -> str:
        """From now on."""
        url = f"{self._base}/shots/{shot}.jpg"
        if self.signed is None:
            return url
        expires = str(math.ceil(self._clock() + self.signed))
        return f"{url}?{EXPIRES}={expires}&{SIGNATURE}={self._signature(shot, expires)}"

    def is_signed(self, shot: str, query: Mapping[str, str]) -> bool:
        """Whether it is good without a key. Raises LinkExpired where it was."""
        expires, signature = query.get(EXPIRES, ""), query.get(SIGNATURE, "")
        if self.signed is None or not signature.isascii():
            return False
        if not hmac.compare_digest(signature, self._signature(shot, expires)):
            return False
        if float(expires) <= self._clock():
            raise LinkExpired("The link has expired")
        return True

    def _signature(self, shot: str, expires: str) -> str:
        message = f"visaged shot\0{shot}\0{expires}".encode()
        return hmac.new(self.secret, message, hashlib.sha256).hexdigest()
