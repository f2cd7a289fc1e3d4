"""What is kept, found and removed; and what is left in the files."""

import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.errors import HistoryDamaged, HistoryError, HistoryRefused, NotKept, SearchTooLong
from daemon.history import reader as reader_module
from daemon.history.database import VERSION
from daemon.history.pictures import digest_of
from daemon.history.reader import Reader
from daemon.history.selection import Row, Selection, types_of
from daemon.history.settings import HistorySettings
from daemon.history.store import DAY_S, Store
from sinks.base import Record
from tests.history.events import NOW, event
from tests.worked import ROOT

ALL = Selection()
Open = Callable[..., Store]


class Clock:
    now = NOW + 10

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def opened(tmp_path: Path, clock: Clock) -> Iterator[Open]:
    """opened(days=...): the store of the test's folder."""
    stores: list[Store] = []

    def open_(**settings: float) -> Store:
        store = Store(tmp_path / "history", HistorySettings.model_validate(settings), clock)
        store.open()
        stores.append(store)
        return store

    yield open_
    for store in stores:
        store.close()


def read(store: Store, wanted: Selection = ALL, of: Sequence[str] | None = None, limit: int = 100) -> Sequence[Row]:
    """All pages of so many."""
    reader = Reader(store)
    reader.open()
    try:
        streams = reader.streams() if of is None else of
        rows: list[Row] = []
        while page := reader.page(wanted, streams, rows[-1].position if rows else None, limit):
            rows += page
        return rows
    finally:
        reader.close()


def ids(store: Store, wanted: Selection = ALL, **asked: object) -> list[str]:
    return [row.event_id for row in read(store, wanted, **asked)]  # type: ignore[arg-type]


def delete(store: Store, wanted: Selection = ALL, of: Sequence[str] = ("door", "yard")) -> int:
    deleted, after = store.delete(wanted, of, None)
    while after is not None:
        more, after = store.delete(wanted, of, after)
        deleted += more
    while store.shrink():
        pass
    store.scrub()
    return deleted


def files(store: Store) -> list[Path]:
    return sorted((store.path.parent / "shots").iterdir())


def shot_of(record: Record) -> str:
    assert record.shot is not None
    return record.shot.id


MANY = [
    event("appeared", event_id="a", at=NOW),
    event("left", event_id="b", at=NOW + 5, label="body"),
    event("entered", event_id="c", at=NOW + 2, stream="yard", zone="till"),
    event("left", event_id="d", at=NOW + 4, stream="yard", zone="till", label="body"),
    event("crossed", event_id="e", at=NOW + 4, zone="gate"),
]


@pytest.mark.parametrize(
    ("wanted", "of", "expected"),
    [
        (ALL, None, "b e d c a"),
        (ALL, ["yard"], "d c"),
        (ALL, [], ""),
        (ALL, ["nobody"], ""),
        (Selection(types=types_of(["track"])), None, "b a"),
        (Selection(types=types_of(["track.left", "place.left"])), None, "b d"),
        (Selection(classes=("body",)), None, "b d"),
        (Selection(classes=("body",), types=types_of(["place"])), None, "d"),
        (Selection(zones=("till",)), None, "d c"),
        (Selection(zones=("gate", "till")), ["door"], "e"),
        (Selection(since=NOW + 2, until=NOW + 5), None, "e d c"),
    ],
)
def test_what_is_asked_for_is_found_newest_first(
    opened: Open, wanted: Selection, of: Sequence[str] | None, expected: str
) -> None:
    store = opened()
    store.add(MANY)
    for limit in (1, 2, 100):
        assert ids(store, wanted, of=of, limit=limit) == expected.split()


def test_events_outlive_a_restart_and_what_is_said_again_is_kept_once(opened: Open) -> None:
    store = opened()
    store.add(MANY)
    store.close()
    store = opened()
    store.add([event("left", event_id="b", at=NOW + 6), event("left", event_id="b", stream="yard", at=NOW + 6)])
    assert ids(store) == ["b", "b", "e", "d", "c", "a"]
    assert (store.figures.events, store.figures.oldest) == (6, NOW)


def test_nobody_else_can_read_the_files(opened: Open) -> None:
    store = opened()
    store.add([event(jpeg=b"a")])
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [*store.path.parent.iterdir(), *files(store)]}
    assert {modes.pop("shots"), stat.S_IMODE(store.path.parent.stat().st_mode)} == {0o700}
    assert len(modes) == 4
    assert set(modes.values()) == {0o600}


def test_events_of_one_picture_share_its_file_and_each_has_a_url_of_its_own(opened: Open) -> None:
    store, reader = opened(), None
    first, second, other = event(jpeg=b"same"), event("left", jpeg=b"same"), event(jpeg=b"other")
    store.add([first, second])
    store.add([other])
    assert [path.read_bytes() for path in files(store)].count(b"same") == 1
    assert (store.figures.pictures, shot_of(first) != shot_of(second)) == (2, True)
    assert delete(store, Selection(types=("track.left",))) == 1
    reader = Reader(store)
    reader.open()
    assert reader.shot(shot_of(first)) == ("door", NOW, b"same")
    with pytest.raises(NotKept):
        reader.shot(shot_of(second))
    assert delete(store) == 2
    assert (files(store), store.figures.pictures) == ([], 0)
    reader.close()


def test_what_is_too_old_is_not_shown_and_goes(opened: Open, clock: Clock) -> None:
    store = opened(days=1)
    old, new = event(event_id="old", jpeg=b"old"), event(event_id="new", at=NOW + DAY_S / 2, jpeg=b"new")
    store.add([old, new])
    clock.now = NOW + DAY_S + 1
    assert ids(store) == ["new"]
    reader = Reader(store)
    reader.open()
    with pytest.raises(NotKept):
        reader.shot(shot_of(old))
    reader.close()
    assert (store.tidy(), store.tidy()) == (True, False)
    assert (store.removed, store.figures.events, len(files(store))) == ({"days": 1}, 1, 1)


def test_the_oldest_go_where_there_is_too_much(opened: Open) -> None:
    """Of pictures the blocks count that a file takes."""
    store = opened(bytes=1_000_000)
    for number in range(60):
        store.add([event(event_id=f"{number}", jpeg=bytes([number]) * 30_000, at=NOW + number)])
        assert store.figures.bytes <= 1_000_000
    kept = ids(store)
    assert 20 < len(kept) < 35
    assert kept == [str(number) for number in range(59, 59 - len(kept), -1)]
    assert (store.removed, len(files(store))) == ({"bytes": 60 - len(kept)}, len(kept))
    on_disk = store.path.stat().st_size + sum(path.stat().st_blocks * 512 for path in files(store))
    assert on_disk <= 1_000_000


def test_a_smaller_limit_gives_the_disk_back(opened: Open) -> None:
    store = opened(bytes=3_000_000)
    for _ in range(4):
        store.add([event(text="x" * 2000) for _ in range(250)])
    before = store.path.stat().st_size
    store.close()
    store = opened(bytes=1_000_000)
    while store.tidy():
        pass
    while store.shrink(0.1):
        pass
    store.scrub()
    assert store.path.stat().st_size <= 1_100_000 < before


def test_nothing_of_what_is_deleted_stays_in_the_files(opened: Open, tmp_path: Path) -> None:
    """Neither in the database nor in its log, nor among the pictures."""
    store = opened()
    for number in range(40):
        store.add([event(name=f"Secret{number}" * 300, event_id=f"Secret-{number}-{each}") for each in range(3)])
        store.add([event(stream="yard", name=f"Kept{number}" * 20, jpeg=b"Kept%d" % number)])
    store.add([event(stream="SecretRoom", zone="SecretZone", jpeg=b"Secret picture")])
    assert delete(store, of=["door", "SecretRoom"]) == 121
    left = b"".join(path.read_bytes() for path in (tmp_path / "history").rglob("*") if path.is_file())
    assert b"Kept39" in left
    assert b"Secret" not in left
    assert store.figures.events == 40
    assert delete(store) == 40


def test_a_log_that_is_being_read_is_told(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.history.database.BUSY_S", 0.01)
    store = opened()
    store.add(MANY)
    with sqlite3.connect(store.path) as other:
        assert other.execute("BEGIN").execute("SELECT * FROM events").fetchone()
        with pytest.raises(HistoryError, match="its log cannot be emptied while it is read: try again"):
            delete(store)
        assert store.figures.events == 0
        other.rollback()
    other.close()
    assert delete(store) == 0


def test_a_query_is_cut_off(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "QUERY_S", -1.0)
    monkeypatch.setattr(reader_module, "STEPS", 1)
    store = opened()
    store.add(MANY)
    with pytest.raises(SearchTooLong):
        read(store)


def test_a_batch_that_fails_leaves_nothing(opened: Open) -> None:
    store = opened()
    store.add([event(jpeg=b"a")])
    broken = replace(event(jpeg=b"b"), timestamp=1e300)  # in microseconds no number of SQLite's
    with pytest.raises(OverflowError):
        store.add([event(jpeg=b"c"), broken])
    assert (store.figures.events, [path.read_bytes() for path in files(store)]) == (1, [b"a"])
    store.add([event(jpeg=b"c")])
    assert store.figures.events == 2


def test_a_full_disk_is_told_and_written_to_again(opened: Open) -> None:
    store = opened()
    store._db.execute(f"PRAGMA max_page_count = {store._db.execute('PRAGMA page_count').fetchone()[0]}")
    with pytest.raises(HistoryError, match=r"events\.db: database or disk is full"):
        store.add([event(text="x" * 50_000, jpeg=b"a")])
    assert files(store) == []
    store._db.execute("PRAGMA max_page_count = 100000")
    store.add([event(text="x" * 50_000, jpeg=b"a")])
    assert len(files(store)) == 1


def test_a_picture_s_folder_that_is_gone_is_told(opened: Open) -> None:
    store = opened()
    (store.path.parent / "shots").rmdir()
    with pytest.raises(HistoryError, match="No such file or directory"):
        store.add([event(jpeg=b"a")])
    assert store.figures.events == 0


def test_a_picture_that_cannot_be_written_leaves_no_half(opened: Open) -> None:
    store = opened()
    folder = store.path.parent / "shots" / f"{digest_of(b'a').hex()}.jpg"
    folder.mkdir()
    with pytest.raises(HistoryError, match="Is a directory"):
        store.add([event(jpeg=b"a")])
    assert files(store) == [folder]


@pytest.mark.parametrize("content", [b"SQLite format 3\0" + b"\xff" * 8000, b"no database at all" * 100])
def test_a_damaged_file_is_told_with_its_remedy(opened: Open, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "history").mkdir()
    path = tmp_path / "history" / "events.db"
    path.write_bytes(content)
    with pytest.raises(HistoryDamaged, match=r"events\.db is damaged \(.*\): move it away, and a new one is begun"):
        opened()
    path.rename(path.with_suffix(".old"))
    opened().add(MANY)


@pytest.mark.parametrize("change", [f"PRAGMA user_version = {VERSION + 1}", "PRAGMA user_version = 0"])
def test_a_file_of_another_version_or_program_is_refused(opened: Open, change: str) -> None:
    store = opened()
    store._db.execute(change)
    store.close()
    with pytest.raises(HistoryRefused, match=r"expected a history of version 1, got \d: run the visaged that wrote it"):
        opened()


def test_what_a_power_cut_or_a_hand_took_is_not_there(opened: Open) -> None:
    store = opened()
    gone, cut = event(jpeg=b"gone"), event(jpeg=b"cut short")
    store.add([gone])
    files(store)[0].unlink()
    store.add([cut])
    files(store)[0].write_bytes(b"cut")
    reader = Reader(store)
    reader.open()
    for record in (gone, cut):
        with pytest.raises(NotKept, match="No shot has this id, or no longer"):
            reader.shot(shot_of(record))
    reader.close()
    assert delete(store) == 2


KILLED = """
import os, signal, sys, time
from pathlib import Path
from daemon.history.selection import Selection
from daemon.history.settings import HistorySettings
from daemon.history.store import Store
from tests.history.events import event

folder = Path(sys.argv[1])

def opened():
    store = Store(folder, HistorySettings(), lambda: 1_800_000_000.0)
    store.open()
    return store

def write():
    store, number = opened(), 0
    while True:
        number += 1
        ids = [f"{os.getpid()}-{number}-{each}" for each in range(5)]
        store.add([event(event_id=each, jpeg=each.encode()) for each in ids])
        if number % 3 == 2:
            store.delete(Selection(), ["door"], None)

left = 0
for killed in range(12):
    if (pid := os.fork()) == 0:
        write()
    time.sleep(0.03 + killed * 0.007)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    before = {path.name for path in (folder / "shots").iterdir()}
    store = opened()
    known = {digest.hex() + ".jpg" for (digest,) in store._db.execute("SELECT digest FROM pictures")}
    there = {path.name for path in (folder / "shots").iterdir()}
    assert there == known, there ^ known
    assert not store._db.execute("SELECT 1 FROM pictures WHERE id NOT IN (SELECT picture FROM events)").fetchall()
    left += len(before - there)
    store.close()
print(left)
"""


def test_killed_in_the_middle_no_file_is_left_without_an_event(tmp_path: Path) -> None:
    folder = tmp_path / "history"
    (folder / "shots").mkdir(parents=True)
    (folder / "shots" / "half.new").write_bytes(b"half")
    ran = subprocess.run([sys.executable, "-c", KILLED, folder], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) >= 1
