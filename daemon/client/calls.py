"""Operations, said once as the call that each is, for a client that blocks and for one that does not."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from types import MethodType
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload
from urllib.parse import quote, urlencode

from daemon.client.server import Call

P = ParamSpec("P")
T = TypeVar("T")


class Blocking(ABC):
    """Sends calls, and returns when they are answered."""

    @abstractmethod
    def send(self, call: Call[T]) -> T:
        """Raises RequestFailed."""


class Asynchronous(ABC):
    """Sends calls, and lets others run meanwhile."""

    @abstractmethod
    async def send(self, call: Call[T]) -> T:
        """Raises RequestFailed."""


W = TypeVar("W", bound=Blocking | Asynchronous)


class Group(Generic[W]):
    """The operations on one kind of thing."""

    def __init__(self, way: W) -> None:
        self.way = way


class operation(Generic[P, T]):
    """Of a Group: a method that makes a call becomes one that sends it.

    The way of the group says how: its result is there when the method returns, or when it has been awaited.
    """

    def __init__(self, method: Callable[Concatenate[Any, P], Call[T]]) -> None:
        self.__doc__ = method.__doc__
        self._method = method

    @overload
    def __get__(self, group: Group[Blocking], kind: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, group: Group[Asynchronous], kind: type) -> Callable[P, Awaitable[T]]: ...
    def __get__(self, group: Group[Any], kind: type) -> Callable[P, Any]:
        method = MethodType(self._method, group)

        @wraps(method)
        def send(*args: P.args, **kwargs: P.kwargs) -> Any:
            return group.way.send(method(*args, **kwargs))

        return send


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of what was asked for."""

    items: Sequence[T]
    next: "Call[Page[T]] | None"
    """Brings what is behind it; None: that was all."""


class paged(Generic[P, T]):
    """Of a Group: a method that makes the call of a first page becomes one that goes through the items of all."""

    def __init__(self, method: Callable[Concatenate[Any, P], Call[Page[T]]]) -> None:
        self.__doc__ = method.__doc__
        self._method = method

    @overload
    def __get__(self, group: Group[Blocking], kind: type) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, group: Group[Asynchronous], kind: type) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(self, group: Group[Any], kind: type) -> Callable[P, Any]:
        method = MethodType(self._method, group)
        walk: Any = _awaited if isinstance(group.way, Asynchronous) else _walked

        @wraps(method)
        def send(*args: P.args, **kwargs: P.kwargs) -> Any:
            return walk(group.way, method(*args, **kwargs))

        return send


def _walked(way: Blocking, call: Call[Page[T]] | None) -> Iterator[T]:
    while call is not None:
        page = way.send(call)
        yield from page.items
        call = page.next


async def _awaited(way: Asynchronous, call: Call[Page[T]] | None) -> AsyncIterator[T]:
    while call is not None:
        page = await way.send(call)
        for item in page.items:
            yield item
        call = page.next


def path(*parts: str, **query: object) -> str:
    """Percent-encoded. A list in the query is a parameter for each of its values; None is left out."""
    given: Mapping[str, object] = {name: value for name, value in query.items() if value is not None}
    where = "".join(f"/{quote(part, safe='')}" for part in parts)
    return f"{where}?{urlencode(given, doseq=True)}" if given else where
