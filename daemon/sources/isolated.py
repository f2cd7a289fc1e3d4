"""Runs a reader in a process of its own, so that a decoder that crashes takes one stream down and not the daemon.

Pictures come through shared memory, in slots: a slot is the process's until it has written a picture into it, then the
frame's until that has been converted to BGR or dropped. What is to be said of them comes over its standard output; what
the process is told goes to its standard input: the reader, then a byte each time.

Nothing is left behind, whoever dies first: the memory has no name, and the process ends when its standard input does,
at the latest when the daemon dies.
"""

import asyncio
import contextlib
import ctypes
import fcntl
import heapq
import mmap
import os
import pickle
import select
import signal
import struct
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Callable, Iterator
from enum import IntEnum
from functools import partial
from io import FileIO
from typing import get_args

import numpy as np

from daemon.errors import (
    AddressRefused,
    CredentialsRefused,
    DamagedImage,
    ImageTooLarge,
    SourceEnded,
    SourceError,
    SourceSpent,
    TooMuchWork,
    UnsupportedImage,
)
from daemon.prepare import prepare
from daemon.sources.base import TELL_INTERVAL_S, Feed, Reader, Stopped, Waits
from daemon.sources.planes import Bytes, Decoded, Layout, Pixels, read_bgr
from processors.types import Frame, Image, Scalable

SLOTS = 32
SLOT_BYTES = 64 * 1024 * 1024  # 8K as 4:2:0; only what is written to takes memory
PUTS = 2  # of a file under way: one waits while the next is decoded
TAKEN = 255  # what the process is told when a put frame was; otherwise the number of a slot that is free again
STOP_S = 1.0

PROGRAM = "from daemon.sources.isolated import child; child()"
F_ADD_SEALS, F_SEAL_SHRINK, F_SEAL_GROW = 1033, 2, 4  # linux/fcntl.h
PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Kind(IntEnum):
    """The kinds of messages that the process writes to its standard output."""

    OFFER = 0
    PUT = 1
    DROP = 2
    SKIP = 3
    FAIL = 4
    ERROR = 5
    END = 6
    OPENED = 7
    SPENT = 8
    WAITS = 9


HEAD = struct.Struct("<BI")  # kind, bytes that follow
MOST_SAID = 64 * 1024  # of these
SHARED = struct.Struct("<BQddBIIhii")  # slot, index, pts, captured_at, layout
SECONDS = struct.Struct("<d")
SIZES = {Kind.OFFER: SHARED.size, Kind.PUT: SHARED.size, Kind.SPENT: SECONDS.size}  # of text, where it is no text
ERRORS: dict[str, type[Exception]] = {
    kind.__name__: kind
    for kind in (
        *(SourceError, SourceEnded, SourceSpent, CredentialsRefused, AddressRefused),
        *(DamagedImage, UnsupportedImage, ImageTooLarge, TooMuchWork),
        *(FileNotFoundError, PermissionError, IsADirectoryError, OSError),
    )
}


class Isolated:
    """Runs a reader, which must be picklable, in a process of its own; cancelled, it waits for the process to end."""

    def __init__(self, reader: Reader, name: str) -> None:
        self._reader = reader
        self._name = name

    async def run(self, feed: Feed) -> None:
        try:
            with _memory() as memory:
                relay = _Relay(feed, _mapped(memory, mmap.PROT_READ))
                process = await _start(memory, self._name)
        except OSError as err:
            raise SourceError(f"the decoder's process cannot be started: {err}") from err
        try:
            _tell(process, pickle.dumps(self._reader))
            if not await relay.run(process):
                raise SourceError(f"the decoder's process {_how_it_ended(await _end(process))}")
        finally:
            await asyncio.shield(_end(process))


class _Relay:
    """Takes what the process says to the feed. Belongs to the event loop's thread."""

    def __init__(self, feed: Feed, pictures: Bytes) -> None:
        self._feed = feed
        self._pictures = pictures
        self._loop = asyncio.get_running_loop()

    async def run(self, process: Process) -> bool:
        """True at the reader's end; False where the process ended without a word. Raises the reader's SourceError."""
        try:
            while True:
                kind, text = await _next(process)
                if kind is Kind.OFFER:
                    self._feed.offer(self._frame(text, process))
                elif kind is Kind.PUT:
                    await self._feed.put(self._frame(text, process))
                    _tell(process, bytes([TAKEN]))
                elif kind is Kind.DROP:
                    self._feed.drop()
                elif kind is Kind.SKIP:
                    self._feed.skip(text.decode(errors="replace"))
                elif kind is Kind.FAIL:
                    self._feed.fail(_error(text))
                elif kind is Kind.OPENED:
                    self._feed.opened(text.decode(errors="replace"))
                elif kind is Kind.SPENT:
                    self._feed.spent(*SECONDS.unpack(text))
                elif kind is Kind.WAITS:
                    self._feed.waits(_waits(text))
                elif kind is Kind.ERROR:
                    raise _error(text)
                else:
                    return True
        except asyncio.IncompleteReadError:
            return False
        finally:
            del self._pictures  # a pipe's error may keep this from going until garbage is collected

    def _frame(self, said: bytes, process: Process) -> Frame:
        slot, index, pts, captured_at, *fields = SHARED.unpack(said)
        layout = Layout(*fields)
        width, height = layout.displayed
        free = partial(self._loop.call_soon_threadsafe, _tell, process, bytes([slot]))
        load = _Shared(self._pictures[slot * SLOT_BYTES :], layout, free)
        return Frame(load, width=width, height=height, index=index, pts=pts, captured_at=captured_at)


class _Shared(Scalable):
    """A picture in a slot, which is free again when this is gone: a frame lets go of it with its conversion.

    So it does not halve, and is made whole at once.
    """

    __slots__ = ("_free", "_layout", "_memory")

    def __init__(self, memory: Bytes, layout: Layout, free: Callable[[], object]) -> None:
        self._memory = memory
        self._layout = layout
        self._free = free

    def __call__(self) -> Image:
        return read_bgr(self._memory, self._layout)

    def scaled(self, width: int, height: int) -> Image:
        return read_bgr(self._memory, self._layout, (width, height))

    def __del__(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed, and the process gone
            self._free()


@contextlib.contextmanager
def _memory() -> Iterator[int]:
    """The descriptor of memory for all slots, which nobody can shorten: to read behind its end would be fatal."""
    memory = os.memfd_create("frames", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(memory, SLOTS * SLOT_BYTES)
        fcntl.fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW)
        yield memory
    finally:
        os.close(memory)


def _mapped(memory: int, prot: int) -> Bytes:
    return np.frombuffer(mmap.mmap(memory, SLOTS * SLOT_BYTES, prot=prot), np.uint8)


async def _start(memory: int, name: str) -> Process:
    # The command line has the name, for `ps`, and nothing more: everybody can see it. The reader has the password.
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-P", "-c", PROGRAM, str(memory), name),
        pass_fds=(memory,),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        start_new_session=True,  # Ctrl-C is for the daemon, which ends its streams in order
    )


def _pipes(process: Process) -> tuple[asyncio.StreamWriter, asyncio.StreamReader]:
    assert process.stdin and process.stdout  # noqa: S101  # as it was started
    return process.stdin, process.stdout


def _tell(process: Process, what: bytes) -> None:
    stdin, _ = _pipes(process)
    if not stdin.is_closing():
        stdin.write(what)


async def _next(process: Process) -> tuple[Kind, bytes]:
    """Raises IncompleteReadError where it has ended."""
    _, stdout = _pipes(process)
    number, size = HEAD.unpack(await stdout.readexactly(HEAD.size))
    if number >= len(Kind) or size > MOST_SAID or size != SIZES.get(Kind(number), size):
        raise SourceError(f"the decoder's process is out of order: message {number} of {size} bytes")
    return Kind(number), await stdout.readexactly(size)


async def _end(process: Process) -> int:
    """Asks a process to end and waits for it; kills it if that takes too long."""
    stdin, stdout = _pipes(process)
    stdin.close()
    try:
        async with asyncio.timeout(STOP_S):
            await stdout.read()  # it may wait for somebody to read
            return await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        return await process.wait()


def _how_it_ended(returncode: int) -> str:
    if returncode >= 0:
        return f"ended with status {returncode}"
    try:
        return f"was ended by {signal.Signals(-returncode).name}"
    except ValueError:  # real-time signals have no names
        return f"was ended by signal {-returncode}"


def _error(said: bytes) -> Exception:
    name, _, text = said.decode(errors="replace").partition("\n")
    return ERRORS.get(name, SourceError)(text)


def _waits(said: bytes) -> Waits | None:
    return next((known for known in get_args(Waits) if known.encode() == said), None)


def child() -> None:
    """The process: takes a reader from standard input and runs it."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # service managers send it to all; the daemon ends its streams
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # while it waits for a camera it cannot look at its input
    prepare()
    memory = _mapped(int(sys.argv[1]), mmap.PROT_READ | mmap.PROT_WRITE)
    said = FileIO(os.dup(1), "w")
    os.dup2(2, 1)  # for all that prints
    reader: Reader = pickle.load(sys.stdin.buffer)  # noqa: S301  # the daemon's, which then waits for the first word
    out = _Out(FileIO(0), said, memory)
    try:
        reader.read(out)
        out.end(None)
    except SourceError as err:
        out.end(err)
    except Stopped:
        pass


class _Out:
    """The outlet of a reader that runs in the process: puts frames into shared memory, and says so."""

    def __init__(self, told: FileIO, said: FileIO, memory: Bytes) -> None:
        self._told = told
        self._said = said
        self._memory = memory
        self._free = list(range(SLOTS))  # a heap: the lower the number, the warmer the memory
        self._puts = 0
        self._closed = False
        self._unsaid = b""
        self._said_at = self._spent_said_at = time.monotonic()
        self._spent = 0.0  # that has been said
        self._waits: Waits | None = None
        os.set_blocking(told.fileno(), False)  # EOF and bytes are looked for at each frame

    @property
    def stopped(self) -> bool:
        self._listen()
        return self._closed

    def offer(self, frame: Frame) -> None:
        self._listen()
        if self._free:
            self._share(Kind.OFFER, frame)
        else:  # those in the slots are the daemon's already and cannot be called back
            self._say(_message(Kind.DROP))

    def put(self, frame: Frame) -> None:
        self._listen()
        while self._puts == PUTS or not self._free:
            if self._closed:
                raise Stopped
            select.select([self._told], [], [])
            self._listen()
        self._puts += self._share(Kind.PUT, frame)

    def skip(self, reason: str) -> None:
        # Each message wakes the daemon: these go with the next, or once a second.
        self._unsaid += _message(Kind.SKIP, reason.encode())
        if time.monotonic() - self._said_at >= TELL_INTERVAL_S:
            self._say(b"")

    def fail(self, error: Exception) -> None:
        self._say(_message(Kind.FAIL, _described(error)))

    def opened(self, codec: str) -> None:
        self._say(_message(Kind.OPENED, codec.encode()))

    def waits(self, what: Waits | None) -> None:
        if what != self._waits:
            self._waits = what
            self._say(_message(Kind.WAITS, (what or "").encode()))

    def end(self, error: SourceError | None) -> None:
        """Sends how the reader ended. Nothing is sent after it."""
        self._note_spent()
        self._say(_message(Kind.END) if error is None else _message(Kind.ERROR, _described(error)))

    def _share(self, kind: Kind, frame: Frame) -> bool:
        """Copies a frame into a free slot and sends it; False if it is too large."""
        slot = self._free[0]
        layout = _write(frame, self._memory[slot * SLOT_BYTES : (slot + 1) * SLOT_BYTES])
        if layout is None:
            self.fail(ImageTooLarge(f"{frame.width} x {frame.height} pixels need more than {SLOT_BYTES} bytes"))
            return False
        heapq.heappop(self._free)
        self._say(_message(kind, SHARED.pack(slot, frame.index, frame.pts, frame.captured_at, *layout)))
        return True

    def _say(self, message: bytes) -> None:
        self._said_at = time.monotonic()
        if self._said_at - self._spent_said_at >= TELL_INTERVAL_S:
            self._note_spent()
        try:
            self._said.write(self._unsaid + message)
        except BrokenPipeError:
            raise Stopped from None
        self._unsaid = b""

    def _note_spent(self) -> None:
        spent = time.process_time()
        self._unsaid += _message(Kind.SPENT, SECONDS.pack(spent - self._spent))
        self._spent, self._spent_said_at = spent, time.monotonic()

    def _listen(self) -> None:
        """Takes in what the daemon has said so far."""
        said = self._told.read(2 * SLOTS)
        self._closed = said == b""
        for number in said or ():
            if number == TAKEN:
                self._puts -= 1
            else:
                heapq.heappush(self._free, number)


def _message(kind: Kind, text: bytes = b"") -> bytes:
    return HEAD.pack(kind, len(text)) + text


def _write(frame: Frame, memory: Bytes) -> Layout | None:
    """Writes a picture into a slot: its planes if they can be copied, otherwise BGR. None if the slot is too small."""
    decoded = frame.load if isinstance(frame.load, Decoded) else None
    planes = decoded.layout if decoded else None
    layout = planes or Layout(Pixels.BGR24, frame.width, frame.height)
    if layout.size > memory.size:
        return None
    if decoded and planes:
        decoded.write_to(memory)
    else:
        memory[: layout.size] = frame.image.reshape(-1)
    return layout


def _described(error: Exception) -> bytes:
    """The nearest of its classes that has a name on both sides, and its text."""
    name = next((kind.__name__ for kind in type(error).__mro__ if kind.__name__ in ERRORS), "")
    return f"{name}\n{error}".encode(errors="replace")[:MOST_SAID]
