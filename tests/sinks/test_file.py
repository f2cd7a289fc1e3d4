import asyncio
import os
import random
import resource
from pathlib import Path

import pytest

from sinks.base import Record, SinkError
from sinks.file import FileSettings, FileSink
from tests.sinks.benches import FileBench


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
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    failures = 0
    while left:
        batch = left[: chance.randrange(1, 200)]
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bench.path.stat().st_size + chance.randrange(400), hard))
        try:
            await file.write(batch)
        except SinkError as err:
            failures += 1
            unwritten = list(err.unwritten)
        else:
            unwritten = []
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
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
