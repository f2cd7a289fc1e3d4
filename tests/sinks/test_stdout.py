import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sinks.base import Record, SinkError
from sinks.stdout import StdoutSettings, StdoutSink
from tests.sinks.benches import StdoutBench, full_from

PROGRAM = """
import asyncio
import os
import resource
from sinks.base import Record
from sinks.stdout import StdoutSettings, StdoutSink

async def main():
    sink = StdoutSink(StdoutSettings(type="stdout"))
    await sink.open()
    await sink.write([Record("door", b'{"face":1}'), Record("door", b'{"face":2}')])
    await sink.close()

asyncio.run(main())
"""


def test_documents_are_lines_of_standard_output() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True)
    assert ran.stdout == b'{"face":1}\n{"face":2}\n'


async def test_a_reader_that_has_gone_away_is_a_final_error(stdout_bench: StdoutBench) -> None:
    sink = stdout_bench.sink()
    await sink.open()
    await stdout_bench.break_()
    with pytest.raises(SinkError, match="standard output: Broken pipe") as caught:
        await sink.write([Record("door", b"1")])
    assert not caught.value.retriable
    await sink.close()


async def test_a_reader_that_does_not_read_holds_up_nothing_else(stdout_bench: StdoutBench) -> None:
    stdout_bench.hang()
    sink = stdout_bench.sink()
    await sink.open()
    writing = asyncio.create_task(sink.write([Record("door", b"x" * 500_000)]))
    slowest = 0.0
    for _ in range(30):
        began = time.monotonic()
        await asyncio.sleep(0.01)
        slowest = max(slowest, time.monotonic() - began)
    assert slowest < 0.6
    assert not writing.done()
    await stdout_bench.mend()
    await writing
    await sink.close()
    assert await stdout_bench.values() == [b"x" * 500_000]


async def test_a_write_that_was_cancelled_writes_nothing_after_close(stdout_bench: StdoutBench) -> None:
    stdout_bench.hang()
    sink = stdout_bench.sink()
    await sink.open()
    writing = asyncio.create_task(sink.write([Record("door", b"x" * 500_000)]))
    await asyncio.sleep(0.05)
    writing.cancel()
    await sink.close()
    await stdout_bench.mend()
    (cut,) = await stdout_bench.values()
    assert len(cut) < 500_000


async def test_it_does_not_open_where_nobody_reads(stdout_bench: StdoutBench) -> None:
    await stdout_bench.break_()
    with pytest.raises(SinkError, match="its reader has gone away") as caught:
        await stdout_bench.sink().open()
    assert not caught.value.retriable


async def test_a_file_on_a_full_disk_gets_each_document_whole_and_once(tmp_path: Path) -> None:
    """Standard output may be a file."""
    path = tmp_path / "out.jsonl"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    sink = StdoutSink(StdoutSettings(type="stdout"), fd)
    await sink.open()
    records = [Record("door", b"%d" % number * 100) for number in range(3)]
    with full_from(150), pytest.raises(SinkError, match="File too large") as caught:
        await sink.write(records)
    assert caught.value.retriable
    assert list(caught.value.unwritten) == records[1:]
    await sink.write(caught.value.unwritten)
    await sink.close()
    os.close(fd)
    assert path.read_bytes().splitlines() == [records[0].value, b"1" * 49, records[1].value, records[2].value]
