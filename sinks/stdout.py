"""Documents to standard output."""

import asyncio
import os
import select
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from sinks.base import Linger, Record, SinkError
from sinks.lines import behind, joined, one_line_each, raise_refused
from sinks.selection import Selection

POLL_S = 0.1


class StdoutSettings(Selection):
    type: Literal["stdout"]
    linger: Linger = 0.05


class StdoutSink:
    """Loses what the pipe's reader had not read when it ended; repeats and reorders nothing.

    One document a line; keys, headers and timestamps are not shown. A reader that has gone away ends the sink for good.
    A line that was cut short, as on a full disk, is ended before the next; its document is written again.
    """

    def __init__(self, settings: StdoutSettings, fd: int = 1) -> None:
        self.counts: Counter[str] = Counter()
        self._fd = fd
        self._closed = threading.Event()
        self._cut = False  # the last line is
        self._lock = threading.Lock()  # a write() that is cancelled leaves its thread at work, until close()

    async def open(self) -> None:
        self._closed.clear()
        state = select.poll()
        state.register(self._fd, 0)
        if state.poll(0):  # what poll(2) always tells of: an error, the other end closed, no such descriptor
            raise SinkError("standard output: its reader has gone away", retriable=False)

    async def write(self, records: Sequence[Record]) -> None:
        lines, refused = one_line_each(records)
        written, err = await asyncio.to_thread(self._write, joined(lines))
        if err is not None:
            message, retriable = f"standard output: {err.strerror}", not isinstance(err, BrokenPipeError)
            left = behind(lines, written)
            raise SinkError(message, retriable=retriable, unwritten=left, refused=refused) from err
        if left := behind(lines, written):
            raise SinkError("standard output: closed", retriable=False, unwritten=left, refused=refused)
        raise_refused(refused)

    async def close(self) -> None:
        self._closed.set()
        await asyncio.to_thread(self._wait_for_writer)

    def _wait_for_writer(self) -> None:
        with self._lock:
            pass

    def _write(self, lines: bytes) -> tuple[int, OSError | None]:
        """How many bytes were written, and what kept the rest from it.

        Nothing may: it also ends when the sink is closed, which it looks for often, as a reader may never read on.
        """
        with self._lock:
            writable = select.poll()
            writable.register(self._fd, select.POLLOUT)
            end = b"\n" if self._cut and lines else b""
            data = end + lines
            at, error = 0, None
            try:
                while at < len(data) and not self._closed.is_set():
                    if writable.poll(POLL_S * 1000):
                        # A pipe that is writable takes as much without waiting (pipe(7)).
                        at += os.write(self._fd, memoryview(data)[at : at + select.PIPE_BUF])
            except OSError as err:
                error = err
            if at:
                self._cut = data[at - 1 : at] != b"\n"
            return max(at - len(end), 0), error
