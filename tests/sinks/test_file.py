import asyncio
import errno
import fcntl
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sinks.base import Record, SinkError, SinkInUse
from sinks.file import FileSettings, FileSink
from tests.sinks.benches import FileBench, full_from


def sink(path: Path, *, sync: bool = False) -> FileSink:
    return FileSink(FileSettings(type="file", path=path, sync=sync))


async def test_a_line_that_a_crash_cut_short_is_ended(tmp_path: Path) -> None:
    path = tmp_path / "documents.jsonl"
    path.write_bytes(b"whole\ncut sho")
    file = sink(path)
    await file.open()
    await file.write([Record("door", b"next")])
    await file.close()
    assert path.read_bytes() == b"whole\ncut sho\nnext\n"


async def test_neither_repeats_nor_reorders_when_the_disk_is_full_again_and_again(file_bench: FileBench) -> None:
    """Each time in the middle of a batch."""
    chance = random.Random(7)  # noqa: S311
    file = file_bench.sink()
    await file.open()
    left = [Record("door", b"%d" % number) for number in range(2000)]
    failures = 0
    while left:
        batch = left[: chance.randrange(1, 200)]
        try:
            with full_from(file_bench.path.stat().st_size + chance.randrange(400)):
                await file.write(batch)
        except SinkError as err:
            failures += 1
            unwritten = list(err.unwritten)
        else:
            unwritten = []
        left = unwritten + left[len(batch) :]
    await file.close()
    assert failures > 10
    assert await file_bench.values() == [b"%d" % number for number in range(2000)]


async def test_the_folder_must_be_there(tmp_path: Path) -> None:
    file = sink(tmp_path / "nowhere" / "documents.jsonl")
    with pytest.raises(SinkError, match=r"nowhere/.*: No such file or directory") as caught:
        await file.open()
    assert not caught.value.retriable


async def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="Is a directory") as caught:
        await sink(tmp_path).open()
    assert not caught.value.retriable


async def test_after_an_error_it_opens_the_file_afresh(file_bench: FileBench) -> None:
    file = file_bench.sink()
    await file.open()
    await file.write([Record("door", b"first")])
    moved = file_bench.path.rename(file_bench.path.with_suffix(".1"))
    file_bench.path.touch()
    await file_bench.break_()
    with pytest.raises(SinkError, match="File too large"):
        await file.write([Record("door", b"second")])
    await file_bench.mend()
    await file.write([Record("door", b"second")])
    await file.close()
    assert moved.read_bytes() == b"first\n"
    assert await file_bench.values() == [b"second"]


async def test_sync_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    for on in (False, True):
        file = sink(tmp_path / "documents.jsonl", sync=on)
        await file.open()
        await file.write([Record("door", b"one"), Record("door", b"two")])
        await file.close()
        assert len(synced) == on


async def test_close_waits_for_a_write_that_was_cancelled(tmp_path: Path) -> None:
    """Its thread is still at work, with the file's descriptor."""
    file = sink(tmp_path / "documents.jsonl")
    await file.open()
    record = Record("door", b"x" * 100_000_000)
    writing = asyncio.create_task(file.write([record]))
    await asyncio.sleep(0.01)
    writing.cancel()
    await file.close()
    assert (tmp_path / "documents.jsonl").stat().st_size == len(record.value) + 1


@pytest.mark.parametrize("away", [Path.unlink, lambda path: path.rename(path.with_suffix(".1"))])
async def test_a_file_that_was_moved_or_deleted_is_made_anew(tmp_path: Path, away: Callable[[Path], object]) -> None:
    path = tmp_path / "documents.jsonl"
    file = sink(path)
    await file.open()
    await file.write([Record("door", b"first")])
    away(path)
    await file.write([Record("door", b"second")])
    assert path.read_bytes() == b"second\n"
    assert in_use(path)
    await file.close()
    assert not in_use(path)


async def test_on_a_disk_that_fills_up_a_batch_goes_in_parts(file_bench: FileBench) -> None:
    file = file_bench.sink()
    await file.open()
    records = [Record("door", b"%d" % number * 100) for number in range(5)]
    with full_from(350), pytest.raises(SinkError, match="File too large") as caught:
        await file.write(records)
    assert caught.value.retriable
    assert list(caught.value.unwritten) == records[3:]
    assert await file_bench.values() == [record.value for record in records[:3]]
    await file.close()


def in_use(path: Path) -> bool:
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


async def test_a_file_has_one_writer_which_is_named(tmp_path: Path) -> None:
    path = tmp_path / "documents.jsonl"
    holding = f"import fcntl, sys; file = open({str(path)!r}, 'w'); fcntl.flock(file, fcntl.LOCK_EX); print(flush=True)"
    program = [sys.executable, "-c", f"{holding}; sys.stdin.read()"]
    other = await asyncio.create_subprocess_exec(*program, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout is not None
    await other.stdout.readline()
    second = sink(path)
    with pytest.raises(SinkInUse) as caught:
        await second.open()
    assert str(caught.value) == f"{path}: in use by process {other.pid}"
    other.kill()
    await other.communicate()
    await second.open()
    await second.write([Record("door", b"1")])
    await second.close()
    assert path.read_bytes() == b"1\n"


async def test_a_file_made_anew_by_another_writer_is_that_one_s(tmp_path: Path) -> None:
    path = tmp_path / "documents.jsonl"
    file, other = sink(path), sink(path)
    await file.open()
    path.unlink()
    await other.open()
    with pytest.raises(SinkError, match="in use by process") as caught:
        await file.write([Record("door", b"1")])
    assert caught.value.retriable
    await other.close()
    await file.write(caught.value.unwritten)
    assert path.read_bytes() == b"1\n"
    await file.close()


async def test_where_the_disk_knows_no_locks_it_says_so_and_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    path = tmp_path / "documents.jsonl"
    file = sink(path)
    await file.open()
    await file.write([Record("door", b"1")])
    await file.close()
    assert path.read_bytes() == b"1\n"
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "No locks available" in caplog.text


async def test_a_fifo_has_as_many_writers_as_there_are(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    first, second = sink(path), sink(path)
    with pytest.raises(SinkError, match="No such device") as caught:
        await first.open()  # nobody reads yet
    assert caught.value.retriable
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    for file in (first, second):
        await file.open()
        await file.write([Record("door", b"1")])
    assert os.read(reader, 100) == b"1\n1\n"
    os.close(reader)
    with pytest.raises(SinkError, match="Broken pipe") as caught:
        await first.write([Record("door", b"2")])
    assert caught.value.retriable
    await first.close()
    await second.close()


async def test_closes_while_a_fifo_s_reader_does_not_read(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    file = sink(path)
    await file.open()
    writing = asyncio.create_task(file.write([Record("door", b"x" * 1_000_000)]))
    await asyncio.sleep(0.01)
    await file.close()
    with pytest.raises(SinkError, match="closed"):
        await writing
    os.close(reader)


async def test_a_device() -> None:
    file = sink(Path("/dev/null"))
    await file.open()
    await file.write([Record("door", b"1")])
    await file.close()
