"""A file sink that begins new files, and what becomes of the filled ones."""

import asyncio
import os
import random
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sinks import file as file_module
from sinks.base import Record, SinkError, SinkInUse
from sinks.file import FileSettings, FileSink
from sinks.lock import lock
from sinks.rotation import PART, Archive, RotationSettings
from tests.sinks.benches import content, filled_and, full_from
from tests.waiting import until
from tests.worked import ROOT

DAY_S = 86_400.0


def sink(path: Path, **rotate: Any) -> FileSink:
    return FileSink(FileSettings(type="file", path=path, rotate=RotationSettings(**{"every": None, **rotate})))


def lines(numbers: range, size: int = 9) -> list[Record]:
    """Each of `size` bytes and a line's end."""
    return [Record("door", b"%d" % number + b"." * (size - len(str(number)))) for number in numbers]


def written(path: Path) -> list[int]:
    found = b"".join(map(content, filled_and(path)))
    return [int(line.rstrip(b".")) for line in found.splitlines()]


async def test_a_file_has_no_more_bytes_than_it_may_have(tmp_path: Path) -> None:
    path = tmp_path / "documents.jsonl"
    file = sink(path, bytes=100, compress="none")
    await file.open()
    for first in range(0, 60, 3):
        await file.write(lines(range(first, first + 3)))
    await file.write(lines(range(60, 80)))  # larger than any file may be
    await file.close()
    assert written(path) == list(range(80))
    assert [one.stat().st_size for one in filled_and(path)] == [90] * 6 + [60, 200]
    assert file.counts["rotations"] == 7


@pytest.mark.parametrize(("compress", "ending"), [("gzip", ".gz"), ("zstd", ".zst")])
async def test_filled_files_are_compressed_and_say_when_their_last_document_came(
    tmp_path: Path, compress: str, ending: str
) -> None:
    path = tmp_path / "documents.jsonl"
    path.write_bytes(b"0.......\n")
    path.chmod(0o640)
    os.utime(path, (1_000_000_000, 1_000_000_000))
    file = sink(path, bytes=10, compress=compress)
    await file.open()
    await file.write(lines(range(1, 2)))
    await until(lambda: [one.suffix for one in filled_and(path)] == [ending, ".jsonl"])
    await file.close()
    assert written(path) == [0, 1]
    state = filled_and(path)[0].stat()
    assert (state.st_mtime, stat.S_IMODE(state.st_mode)) == (1_000_000_000, 0o640)


@pytest.mark.parametrize(("hours_ago", "files"), [(1.0, 1), (25.0, 2)])
async def test_no_file_has_documents_of_two_days(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours_ago: float, files: int
) -> None:
    path = tmp_path / "documents.jsonl"
    noon = time.time() // DAY_S * DAY_S + DAY_S / 2
    monkeypatch.setattr(time, "time", lambda: noon)
    path.write_bytes(b"0\n")
    os.utime(path, (noon - hours_ago * 3600,) * 2)
    file = sink(path, every=DAY_S, compress="none")
    await file.open()
    await file.write(lines(range(1, 2)))
    await file.close()
    assert written(path) == [0, 1]
    assert len(filled_and(path)) == files


async def test_a_quiet_file_s_time_is_over_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "documents.jsonl"
    monkeypatch.setattr(file_module, "TIDY_S", 0.01)
    file = sink(path, every=0.3)
    await file.open()
    await file.write(lines(range(1)))
    await until(lambda: len(filled_and(path)) == 2)
    assert path.read_bytes() == b""
    await asyncio.sleep(0.4)
    assert len(filled_and(path)) == 2  # an empty one stays
    await file.close()


async def test_so_many_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "documents.jsonl"
    file = sink(path, bytes=10, keep=3)
    await file.open()
    for number in range(10):
        await file.write(lines(range(number, number + 1)))
    await until(lambda: len(filled_and(path)) == 4)
    await file.close()
    assert written(path) == [6, 7, 8, 9]


async def test_so_long_are_they_kept_and_nothing_else_is_touched(tmp_path: Path) -> None:
    path = tmp_path / "documents.jsonl"
    names = ("documents-20200101T000000.0Z.jsonl", "documents-20200101T000000.1Z.jsonl.gz")
    filled = [path.with_name(name) for name in names]
    others = [path.with_name(name) for name in ("documents-old.jsonl", "other.jsonl", "documents-20200101.jsonl")]
    for one in (*filled, *others):
        one.write_bytes(b"")
        os.utime(one, (time.time() - 2.1 * DAY_S,) * 2)
    young = path.with_name("documents-20200101T000000.2Z.jsonl.zst")
    young.write_bytes(b"")
    os.utime(young, (time.time() - 1.9 * DAY_S,) * 2)
    file = sink(path, bytes=10, keep_days=2)
    await file.open()
    await until(lambda: not any(one.exists() for one in filled))
    await file.close()
    assert all(one.exists() for one in (*others, young))


async def test_what_a_crash_left_half_done_is_done(tmp_path: Path) -> None:
    path = tmp_path / "documents.jsonl"
    filled = path.with_name("documents-20200101T000000.0Z.jsonl")
    filled.write_bytes(b"0\n")
    part = filled.with_name(f"{filled.name}.gz{PART}")
    part.write_bytes(b"cut sho")
    path.with_name(f".{path.name}.new").touch()
    path.write_bytes(b"1\n")
    file = sink(path, bytes=3)
    await file.open()
    await file.write(lines(range(2, 3)))
    await until(lambda: [one.suffix for one in filled_and(path)] == [".gz", ".gz", ".jsonl"])
    await file.close()
    assert written(path) == [0, 1, 2]
    assert not part.exists()


@pytest.mark.parametrize("is_swapped", [False, True])
async def test_a_change_of_files_that_a_crash_cut_short_is_ended(tmp_path: Path, is_swapped: bool) -> None:
    """The old file has a second name before the new one takes its place, and is still needed if that has happened."""
    path = tmp_path / "documents.jsonl"
    old = path.with_name(f".{path.name}.old")
    path.write_bytes(b"0\n")
    old.hardlink_to(path)
    if is_swapped:
        path.unlink()
    file = sink(path, bytes=100, compress="none")
    await file.open()
    await file.write(lines(range(1, 2)))
    await file.close()
    assert written(path) == [0, 1]
    assert len(filled_and(path)) == 1 + is_swapped
    assert not old.exists()


def test_a_kill_at_any_time_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """The process says what was acknowledged; a file that was filled and its compressed form may both be there."""
    path = tmp_path / "documents.jsonl"
    program = f"""
import asyncio, pathlib
from sinks.base import Record
from sinks.file import FileSettings, FileSink
async def main():
    rotate = {{"bytes": 2000, "every": None}}
    sink = FileSink(FileSettings(type="file", path=pathlib.Path({str(path)!r}), rotate=rotate))
    await sink.open()
    number = int(input())
    while True:
        await sink.write([Record("door", b"%d" % number)])
        print(number, flush=True)
        number += 1
asyncio.run(main())
"""
    chance, acknowledged = random.Random(3), -1  # noqa: S311
    pipe = subprocess.PIPE
    for _ in range(2):
        with subprocess.Popen([sys.executable, "-c", program], stdin=pipe, stdout=pipe, text=True, cwd=ROOT) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            print(acknowledged + 1, file=process.stdin, flush=True)
            for _ in range(chance.randrange(500, 1000)):
                acknowledged = int(process.stdout.readline())
            process.kill()
            acknowledged = max([acknowledged, *map(int, process.stdout.read().split())])
    found = sorted(set(written(path)))
    assert found[: acknowledged + 1] == list(range(acknowledged + 1))


async def test_close_does_not_wait_until_all_is_compressed(tmp_path: Path) -> None:
    path = tmp_path / "documents.jsonl"
    filled = path.with_name("documents-20200101T000000.0Z.jsonl")
    with filled.open("wb") as large:
        for _ in range(80):
            large.write(os.urandom(1_000_000))
    file = sink(path, bytes=10)
    await file.open()
    await until(lambda: filled.with_name(f"{filled.name}.gz{PART}").exists())
    began = time.monotonic()
    await file.close()
    assert time.monotonic() - began < 2
    assert filled_and(path)[0] == filled
    assert not filled.with_name(f"{filled.name}.gz{PART}").exists()


async def test_no_second_daemon_gets_in_between_two_files(tmp_path: Path) -> None:
    path = tmp_path / "documents.jsonl"
    file = sink(path, bytes=10, compress="none")
    await file.open()
    stopped, got_in = threading.Event(), []

    def try_to_get_in() -> None:
        async def once() -> None:
            second = FileSink(FileSettings(type="file", path=path))
            while not stopped.is_set():
                try:
                    await second.open()
                except SinkInUse:
                    continue
                try:
                    await second.write(lines(range(1)))
                    got_in.append(True)
                except SinkError:
                    pass
                await second.close()

        asyncio.run(once())

    trying = asyncio.create_task(asyncio.to_thread(try_to_get_in))
    for number in range(200):
        await file.write(lines(range(number, number + 1)))
    stopped.set()
    await trying
    await file.close()
    assert got_in == []
    assert written(path) == list(range(200))


async def test_a_file_filled_between_its_opening_and_its_lock_is_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "documents.jsonl"
    first = sink(path, bytes=10, compress="none")
    await first.open()
    await first.write(lines(range(1)))
    loop = asyncio.get_running_loop()

    def lock_once_filled(fd: int) -> None:
        monkeypatch.setattr(file_module, "lock", lock)
        asyncio.run_coroutine_threadsafe(first.write(lines(range(1, 2))), loop).result()
        lock(fd)

    monkeypatch.setattr(file_module, "lock", lock_once_filled)
    with pytest.raises(SinkInUse, match="new file"):
        await FileSink(FileSettings(type="file", path=path)).open()
    await first.close()
    assert written(path) == [0, 1]


async def test_neither_repeats_nor_reorders_when_the_disk_is_full_again_and_again(tmp_path: Path) -> None:
    path = tmp_path / "documents.jsonl"
    chance, left, failures = random.Random(7), lines(range(1000), size=4), 0  # noqa: S311
    file = sink(path, bytes=300)
    await file.open()
    while left:
        batch = left[: chance.randrange(1, 100)]
        unwritten: list[Record] = []
        try:
            with full_from(path.stat().st_size + chance.randrange(200)):
                await file.write(batch)
        except SinkError as err:
            failures += 1
            unwritten = list(err.unwritten)
        left = unwritten + left[len(batch) :]
    await file.close()
    assert failures > 5
    assert written(path) == list(range(1000))


@pytest.fixture
def unwritable(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """As a folder in which no file can be given another name; root may do so everywhere."""

    def refuse(_: Archive) -> None:
        raise PermissionError(13, "Permission denied")

    return lambda: monkeypatch.setattr(Archive, "swap", refuse)


async def test_where_no_new_file_can_be_begun_the_old_one_grows(
    tmp_path: Path, unwritable: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "documents.jsonl"
    file = sink(path, bytes=10)
    await file.open()
    unwritable()
    for number in range(5):
        await file.write(lines(range(number, number + 1)))
    await file.close()
    assert written(path) == list(range(5))
    assert (file.counts["rotation_failed"], file.counts["rotations"]) == (4, 0)
    assert caplog.text.count("no new file can be begun: Permission denied") == 1


async def test_a_fifo_has_no_size_and_no_age(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    file = sink(path, bytes=1)
    await file.open()
    await file.write(lines(range(2)))
    await file.close()
    assert len(os.read(reader, 100)) == 20
    os.close(reader)
    assert await asyncio.to_thread(lambda: list(tmp_path.iterdir())) == [path]


def test_it_must_be_said_when() -> None:
    with pytest.raises(ValueError, match="expected `bytes` or `every`, got neither"):
        RotationSettings(bytes=None, every=None)
