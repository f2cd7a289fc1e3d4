"""Passwords that stand in files of their own."""

import contextlib
from pathlib import Path

from pydantic import SecretStr


class PasswordFile(SecretStr):
    """Read again each time that it is asked for, as at each connection: whoever keeps it may change it meanwhile.

    Where it cannot be read, it is what it was.
    """

    def __init__(self, path: str) -> None:
        """Raises OSError, or ValueError where there is no UTF-8."""
        super().__init__(text_of(path))
        self._path = path

    def get_secret_value(self) -> str:
        with contextlib.suppress(OSError, ValueError):
            self._secret_value = text_of(self._path)
        return self._secret_value


def text_of(path: str) -> str:
    """Without the end of the last line. Raises OSError, or ValueError where there is no UTF-8."""
    return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
