"""The history as a sink that holds nobody up, whatever becomes of its file."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from daemon.errors import HistoryDamaged, HistoryError, NotKept
from daemon.flow import delivery as delivery_module
from daemon.flow.receipts import Counts
from daemon.history import history as module
from daemon.history.history import History
from daemon.history.selection import Selection
from daemon.history.settings import HistorySettings
from daemon.history.store import DAY_S
from sinks.base import About, Record, SinkError
from tests.history.events import event
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("accounts")

ALL = Selection()
NOW = 1_800_000_000.0


def all_streams(_: str) -> bool:
    return True


@contextlib.asynccontextmanager
async def running(folder: Path, **settings: float) -> AsyncIterator[History]:
    history = History(folder, HistorySettings.model_validate({"days": 36500} | settings))
    task = asyncio.create_task(history.run())
    try:
        yield history
    finally:
        await history.delivery.close(1.0)
        await task


async def ids(history: History) -> list[str]:
    return [row.event_id for row in await history.page(ALL, all_streams, None, 100)]


def offer(history: History, record: Record) -> Counts:
    """The counts of its frame."""
    counts = Counts()
    history.offer(record, counts.open())
    return counts


async def test_events_of_tracks_and_places_are_kept_and_nothing_else(tmp_path: Path) -> None:
    async with running(tmp_path) as history:
        assert not history.takes(Record("door", b"{}", about=About("visaged.frame")))
        for record in (event(event_id="a"), event("entered", zone="till", event_id="b", at=NOW + 1)):
            assert history.takes(record)
            await history.put(record, Counts().open())
        await until(lambda: history.delivery.counts.acknowledged == 2)
        assert await ids(history) == ["b", "a"]
        assert history.figures.events == 2


async def test_a_frame_waits_for_nothing_and_what_is_dropped_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing can be written, here as a folder has the file's place."""
    monkeypatch.setattr(delivery_module, "FIRST_DELAY_S", 0.01)
    (tmp_path / "history" / "events.db").mkdir(parents=True)
    async with running(tmp_path) as history:
        for number in range(delivery_module.BACKLOG + 5):
            assert offer(history, event(event_id=f"{number}")).acknowledged == 1
        assert history.delivery.counts.dropped == {"history: backlog full": 5}
        await until(lambda: history.delivery.state == "waiting")
        assert history.delivery.error == f"{tmp_path}/history/events.db: Is a directory"
        with pytest.raises(HistoryError, match="the history is not open"):
            await ids(history)
        (tmp_path / "history" / "events.db").rmdir()
        await until(lambda: history.delivery.counts.acknowledged == delivery_module.BACKLOG)
        assert (await ids(history))[0] == f"{delivery_module.BACKLOG + 4}"


async def test_a_damaged_file_is_told_and_a_new_one_is_begun_when_it_was_moved_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(delivery_module, "FIRST_DELAY_S", 0.01)
    path = tmp_path / "history" / "events.db"
    path.parent.mkdir()
    path.write_bytes(b"x" * 50_000)
    async with running(tmp_path) as history:
        offer(history, event(event_id="a"))
        await until(lambda: "damaged" in (history.delivery.error or ""))
        path.rename(path.with_suffix(".old"))
        await until(lambda: history.delivery.counts.acknowledged == 1)
        assert await ids(history) == ["a"]
    assert "events.db is damaged (file is not a database): move it away, and a new one is begun" in caplog.text


async def test_a_file_that_is_damaged_while_it_is_written_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_module, "FIRST_DELAY_S", 0.001)
    async with running(tmp_path) as history:
        await until(lambda: history.delivery.state == "writing")
        damaged = iter([True, True, False])
        opened: list[None] = []
        add, begin = history._store.add, history._store.open

        def failing(records: Sequence[Record]) -> None:
            if next(damaged):
                raise HistoryDamaged("events.db is damaged")
            add(records)

        monkeypatch.setattr(history._store, "add", failing)
        monkeypatch.setattr(history._store, "open", lambda: opened.append(begin()))
        offer(history, event(event_id="a"))
        await until(lambda: history.delivery.counts.acknowledged == 1)
        assert len(opened) == 2
        assert await ids(history) == ["a"]


async def test_a_newer_file_ends_the_daemon(tmp_path: Path) -> None:
    async with running(tmp_path) as history:
        await until(lambda: history.delivery.state == "writing")
        await history._writing(lambda: history._store._db.execute("PRAGMA user_version = 2"))
    history = History(tmp_path, HistorySettings())
    with pytest.raises(SinkError, match="expected a history of version 1, got 2"):
        await history.run()


async def test_a_deletion_has_what_came_before_it_and_goes_on_without_its_client(tmp_path: Path) -> None:
    async with running(tmp_path) as history:
        for stream in ("door", "yard"):
            offer(history, event(stream=stream, event_id=stream))
        assert await history.delete(ALL, lambda stream: stream == "door") == 1
        assert await ids(history) == ["yard"]
        asking = asyncio.create_task(history.delete(ALL, all_streams))
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait([asking])
        await until(lambda: history.figures.events == 0)
        await until(lambda: not history._deleting)


async def test_a_full_disk_is_deleted_from_and_what_waits_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WRITING_S", 0.05)
    async with running(tmp_path) as history:
        offer(history, event())
        await until(lambda: history.figures.events == 1)

        def full(_: Sequence[Record]) -> None:
            raise HistoryError("events.db: database or disk is full")

        monkeypatch.setattr(history._store, "add", full)
        offer(history, event())
        await until(lambda: history.delivery.error is not None)
        with pytest.raises(HistoryError, match=r"^1 events are deleted, but not what waits to be written: .* is full$"):
            await history.delete(ALL, all_streams)
        assert history.figures.events == 0


async def test_what_is_too_old_goes_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "UPKEEP_S", 0.01)
    async with running(tmp_path, days=1) as history:
        offer(history, event(at=NOW - 500 * DAY_S, jpeg=b"a"))
        await until(lambda: history.removed["days"] == 1)
        assert not list((tmp_path / "history" / "shots").iterdir())


async def test_upkeep_that_fails_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "UPKEEP_S", 0.001)
    calls = 0

    def tidy() -> bool:
        nonlocal calls
        calls += 1
        raise HistoryError("the disk is away")

    async with running(tmp_path) as history:
        monkeypatch.setattr(history._store, "tidy", tidy)
        await until(lambda: calls > 3)
    assert [record.message for record in caplog.records if record.levelno == logging.WARNING] == [
        "history: the disk is away"
    ]


async def test_a_shot_is_read_and_after_the_end_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as history:
        record = event(jpeg=b"a")
        offer(history, record)
        await until(lambda: history.figures.events == 1)
        assert record.shot is not None
        assert await history.shot(record.shot.id) == ("door", NOW, b"a")
        with pytest.raises(NotKept):
            await history.shot("x")
    with pytest.raises(HistoryError, match="stopping"):
        await history.shot("x")
