"""Readers to be run in a process of their own, which imports nothing else of the tests."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from daemon.errors import DamagedImage
from daemon.sources.base import Out, Reader
from processors.types import Frame


def picture(index: int, height: int = 48, width: int = 64) -> Frame:
    return Frame.of(np.full((height, width, 3), index, np.uint8), index=index, pts=index / 25, captured_at=index + 0.5)


@dataclass
class Offers:
    """Offers `count` frames, `interval` seconds apart; then sends itself `signal`, where there is one."""

    count: int
    interval: float = 0.0
    signal: int | None = None

    def read(self, out: Out) -> None:
        for index in range(self.count):
            if out.stopped:
                return
            out.offer(picture(index))
            time.sleep(self.interval)
        if self.signal is not None:
            os.kill(os.getpid(), self.signal)


@dataclass
class Puts:
    """Puts `count` frames, and writes into `progress` how many have been."""

    count: int
    progress: Path | None = None

    def read(self, out: Out) -> None:
        for index in range(self.count):
            out.put(picture(index))
            if self.progress:
                self.progress.write_text(str(index + 1), encoding="ascii")


@dataclass
class InTurn:
    """Reads one after the other: as many cases as it has readers, in one process."""

    readers: Sequence[Reader]

    def read(self, out: Out) -> None:
        for reader in self.readers:
            reader.read(out)


class Tells:
    """Does one of each kind."""

    def read(self, out: Out) -> None:
        out.skip("no motion")
        out.fail(DamagedImage("torn"))
        out.skip("frame rate")
        out.fail(FileNotFoundError(2, "No such file or directory", "a.png"))
        out.put(picture(0))
        out.skip("no motion")


class TooLarge:
    """Two frames, of which the first has no room in a slot."""

    def read(self, out: Out) -> None:
        out.put(picture(0, 5000, 5000))
        out.put(picture(1))


class Sizes:
    """Frames of changing sizes, larger and smaller."""

    def read(self, out: Out) -> None:
        for index, (height, width) in enumerate([(48, 64), (720, 1280), (31, 17), (2160, 3840), (48, 64)]):
            out.put(picture(index, height, width))


class Deaf:
    """Offers one frame and hears of nothing any more, as FFmpeg while a camera is silent."""

    def read(self, out: Out) -> None:
        out.offer(picture(0))
        time.sleep(60)


class Prints:
    def read(self, out: Out) -> None:
        print("to standard output", flush=True)
        os.write(1, b"as a library would\n")
        out.put(picture(0))


class Breaks:
    def read(self, out: Out) -> None:
        raise ZeroDivisionError("a mistake")


class Garbles:
    """Writes nonsense to where messages go."""

    def read(self, out: Out) -> None:
        out._said.write(b"\xff" * 1000)  # type: ignore[attr-defined]
        time.sleep(60)
