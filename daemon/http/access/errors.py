"""Why a request is not let in; daemon/http/errors.py has the answers."""

import math
from collections.abc import Sequence

BEARER = 'Bearer realm="visaged"'
BASIC = 'Basic realm="visaged", charset="UTF-8"'


class Unauthorized(Exception):
    """No key that counts came. `challenges` are the ways to send one (RFC 9110, section 11.6.1)."""

    def __init__(self, detail: str, challenges: Sequence[str] = (BEARER,)) -> None:
        super().__init__(detail)
        self.challenges = tuple(challenges)


class Forbidden(Exception):
    """It is known who asks, or from where, and that may not."""


class TooManyRequests(Exception):
    """A key's rate or number of requests at once is used up; `seconds` until it is worth while to try again."""

    def __init__(self, detail: str, seconds: float) -> None:
        super().__init__(detail)
        self.retry_after = max(math.ceil(seconds), 1)
