"""The one bounded queue, with a stated overflow: put() waits for room, offer() drops the oldest offered item."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class QueueClosed(Exception):
    """Nothing goes in any more, and all that was in has been taken."""


class BoundedQueue(Generic[T]):
    """First in, first out, at most `size` items; belongs to the event loop's thread.

    Items that were put() are never dropped: files and Kafka can wait. offer() never waits, as a camera cannot: on a
    full queue the oldest item that was itself offered goes to `on_drop`, or the new one where there is none.
    """

    def __init__(self, size: int, on_drop: Callable[[T], None]) -> None:
        if size < 1:
            raise ValueError(f"expected a queue size of 1 or more, got {size}")
        self.size = size
        self._on_drop = on_drop
        self._items: deque[tuple[T, bool]] = deque()
        self._closed = False
        # Waiters look again after each change, so any number of them may share an event.
        self._filled = asyncio.Event()
        self._drained = asyncio.Event()

    def __len__(self) -> int:
        return len(self._items)

    @property
    def first(self) -> T | None:
        """The one that will be taken next; it stays."""
        return self._items[0][0] if self._items else None

    @property
    def closed(self) -> bool:
        return self._closed

    async def put(self, item: T) -> None:
        """Waits for room; raises QueueClosed once the queue is closed."""
        while len(self._items) >= self.size and not self._closed:
            self._drained.clear()
            await self._drained.wait()
        self._append(item, offered=False)

    def put_nowait(self, item: T) -> None:
        """Raises asyncio.QueueFull where there is no room, and QueueClosed once the queue is closed."""
        if len(self._items) >= self.size and not self._closed:
            raise asyncio.QueueFull
        self._append(item, offered=False)

    def offer(self, item: T) -> None:
        """Never waits; raises QueueClosed once the queue is closed."""
        if self._closed:
            raise QueueClosed
        if len(self._items) >= self.size:
            oldest = next((i for i, (_, offered) in enumerate(self._items) if offered), None)
            if oldest is None:
                self._on_drop(item)
                return
            dropped, _ = self._items[oldest]
            del self._items[oldest]
            self._on_drop(dropped)
        self._append(item, offered=True)

    def _append(self, item: T, *, offered: bool) -> None:
        if self._closed:
            raise QueueClosed
        self._items.append((item, offered))
        self._filled.set()

    async def get(self) -> T:
        """Waits for an item; raises QueueClosed when the queue is closed and empty."""
        return (await self.get_batch(1))[0]

    def get_nowait(self) -> T | None:
        """The first item; None where there is none."""
        if not self._items:
            return None
        self._drained.set()
        return self._items.popleft()[0]

    async def get_batch(self, most: int, linger: float = 0.0) -> list[T]:
        """Waits for an item and `linger` seconds for more, takes up to `most`.

        Raises QueueClosed when the queue is closed and empty.
        """
        while not self._items:
            if self._closed:
                raise QueueClosed
            self._filled.clear()
            await self._filled.wait()
            if linger and not self._closed:
                await asyncio.sleep(linger)
        batch = [self._items.popleft()[0] for _ in range(min(most, len(self._items)))]
        self._drained.set()
        return batch

    def close(self) -> None:
        """Takes no more; what is in can still be got."""
        self._closed = True
        self._filled.set()
        self._drained.set()

    def drain(self) -> list[T]:
        """Takes everything that is in, without waiting."""
        items = [item for item, _ in self._items]
        self._items.clear()
        self._drained.set()
        return items
