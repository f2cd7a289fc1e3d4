"""Documents to standard output."""

import asyncio
import os
import select
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from configs.section import Section
from sinks.base import Linger, Record, SinkError
from sinks.lines import joined, one_line_each, raise_refused

POLL_S = 0.1


class StdoutSettings(Section):
    type: Literal["stdout"]
    linger: Linger = 0.05


class StdoutSink:
    """Loses what the pipe's reader had not read when it ended; repeats and reorders nothing.

    One document a line; keys, headers and timestamps are not shown. A reader that has gone away ends the sink for good.
    """

    def __init__(self, settings: StdoutSettings, fd: int = 1) -> None:
        self.counts: Counter[str] = Counter()
        self._fd = fd
        self._closed = threading.Event()
        self._lock = threading.Lock()  # a write() that is cancelled leaves its thread at work, until close()

    async def open(self) -> None:
        self._closed.clear()

    async def write(self, records: Sequence[Record]) -> None:
        lines, refused = one_line_each(records)
        try:
            whole = await asyncio.to_thread(self._write, joined(lines))
        except OSError as err:
            message = f"standard output: {err.strerror}"
            raise SinkError(message, retriable=False, unwritten=lines, refused=refused) from err
        if not whole:
            raise SinkError("standard output: closed", retriable=False, unwritten=lines, refused=refused)
        raise_refused(refused)

    async def close(self) -> None:
        self._closed.set()
        await asyncio.to_thread(self._wait_for_writer)

    def _wait_for_writer(self) -> None:
        with self._lock:
            pass

    def _write(self, lines: bytes) -> bool:
        """Whether all was written before the sink was closed, which it looks for often: a reader may never read on."""
        with self._lock:
            writable = select.poll()
            writable.register(self._fd, select.POLLOUT)
            view = memoryview(lines)
            while view and not self._closed.is_set():
                if writable.poll(POLL_S * 1000):
                    # A pipe that is writable takes as much without waiting (pipe(7)).
                    view = view[os.write(self._fd, view[: select.PIPE_BUF]) :]
            return not view
