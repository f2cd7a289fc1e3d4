"""The one boundary around FFmpeg and PyAV: whatever they raise while a source is read becomes a SourceError."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Protocol, TypeVar, cast

from daemon.errors import SourceError
from daemon.sources.base import Out, Stopped
from processors.types import Frame


class Shown(Protocol):
    _shown: str
    """How it is called in messages, without secrets."""


S = TypeVar("S", bound=Shown)


def in_our_words(read: Callable[[S, Out], None]) -> Callable[[S, Out], None]:
    """A reader's read(). What the feed raises goes through as it is; an end without any picture is an error."""

    @wraps(read)
    def read_(self: S, out: Out) -> None:
        handed = _Handed(out)
        try:
            read(self, cast(Out, handed))
        except (SourceError, Stopped):
            raise
        except Exception as err:
            if err is handed.error:
                raise
            # Not `from err`: FFmpeg puts the whole URL, password and all, into its error.
            raise SourceError(f"{self._shown}: {_words(err)}") from None
        if handed.is_unused and not out.stopped:
            raise SourceError(f"{self._shown}: expected pictures, came to its end without one")

    return read_


def _words(err: Exception) -> str:
    if strerror := getattr(err, "strerror", None):  # of FFmpeg's errors, whose own text has the address
        return str(strerror)
    return f"cannot be read: {type(err).__name__}: {err}"


class _Handed:
    """The feed as the reader gets it. It remembers what the feed itself raised, and whether anything came."""

    def __init__(self, out: Out) -> None:
        self.error: BaseException | None = None
        self.is_unused = True
        self._out = out

    def __getattr__(self, name: str) -> Any:
        return getattr(self._out, name)

    def put(self, frame: Frame) -> None:
        self._call(self._out.put, frame)

    def offer(self, frame: Frame) -> None:
        self._call(self._out.offer, frame)

    def fail(self, error: Exception) -> None:
        self._call(self._out.fail, error)

    def skip(self, reason: str) -> None:
        self._call(self._out.skip, reason)

    def _call(self, method: Callable[[Any], None], argument: object) -> None:
        self.is_unused = False
        try:
            method(argument)
        except BaseException as err:
            self.error = err
            raise
