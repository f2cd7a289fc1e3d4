import logging
import stat
from pathlib import Path

import pytest

from daemon.work import journal
from daemon.work.journal import IN_DOUBT_S, Entry, Journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tracks" / "hall.jsonl"


def event(number: int) -> dict[str, int]:
    return {"number": number}


def test_what_has_left_for_sure_is_not_open(path: Path) -> None:
    written = Journal(path)
    written.write("a", event(0), 0.0, is_last=False)
    written.write("b", event(1), 1.0, is_last=False)
    written.write("a", event(2), 2.0, is_last=True)
    written.write("b", event(3), 3.0, is_last=False)
    written.write("c", event(4), 2.0 + IN_DOUBT_S, is_last=False)
    assert Journal(path).still_open() == [
        Entry("b", event(3), 3.0, False),
        Entry("c", event(4), 2.0 + IN_DOUBT_S, False),
    ]


def test_what_left_just_before_the_crash_may_not_have_been_heard_of(path: Path) -> None:
    written = Journal(path)
    written.write("a", event(0), 5.0, is_last=True)
    written.write("b", event(1), 5.0 + IN_DOUBT_S / 2, is_last=True)
    assert [entry.key for entry in Journal(path).still_open()] == ["a", "b"]


def test_templates_are_for_the_owner_alone(path: Path) -> None:
    written = Journal(path)
    written.write("a", event(0), 0.0, is_last=False)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    written.replace(written.still_open())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_no_file_is_nothing_open(path: Path) -> None:
    assert Journal(path).still_open() == []


@pytest.mark.parametrize(
    "line",
    [
        b'["t",{},"yesterday",true]',
        b'["t",{},1.0,0]',
        b'["t",{},true,true]',
        b'["t",{},1e300,true]',
        b'["t",{},-1e17,true]',
        b'["t",[],1.0,true]',
        b'["t",null,1.0,true]',
        b"[1,{},1.0,true]",
        b'["t",{},1.0,true,1]',
        b"{}",
        b"null",
        b"\xff\xfe",
        b"[" * 10_000,
    ],
)
def test_a_line_that_is_no_event_is_passed_over_and_told(
    path: Path, line: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    Journal(path).write("a", event(0), 0.0, is_last=False)
    with path.open("ab") as file:
        file.write(line + b"\n")
    Journal(path).write("b", event(1), 1, is_last=False)
    assert [entry.key for entry in Journal(path).still_open()] == ["a", "b"]
    assert caplog.messages == [f"{path}: 1 of 3 lines are no events and are passed over"]


def test_many_open_tracks_do_not_make_it_write_the_file_for_each_event(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "LONGEST", 1000)
    written, rewritten = Journal(path), 0
    inode = 0
    for number in range(1000):
        written.write(f"{number}", event(number), float(number), is_last=False)
        rewritten += path.stat().st_ino != inode
        inode = path.stat().st_ino
    assert rewritten < 10
    assert len(Journal(path).still_open()) == 1000


@pytest.mark.parametrize("cut", range(1, 20))
def test_a_line_that_the_crash_cut_short_is_passed_over(path: Path, cut: int) -> None:
    written = Journal(path)
    written.write("a", event(0), 0.0, is_last=False)
    whole = path.read_bytes()
    written.write("b", event(1), 1.0, is_last=False)
    path.write_bytes(path.read_bytes()[: len(whole) + cut])
    assert [entry.key for entry in Journal(path).still_open()] == ["a"]


@pytest.mark.parametrize("line", [b"\xff\x00", b"null", b"3", b'["a"]', b"{}", b'{"a":1,"b":2,"c":3,"d":4,"e":5}'])
def test_a_line_that_is_none_of_ours_is_passed_over(path: Path, line: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(line + b"\n")
    Journal(path).write("a", event(0), 0.0, is_last=False)
    assert [entry.key for entry in Journal(path).still_open()] == ["a"]


def test_what_takes_the_place_of_all(path: Path) -> None:
    written = Journal(path)
    written.write("a", event(0), 0.0, is_last=False)
    written.replace([Entry("b", event(1), 1.0, True)])
    written.write("c", event(2), 2.0, is_last=False)
    assert [entry.key for entry in Journal(path).still_open()] == ["b", "c"]
    written.replace([])
    assert list(path.parent.iterdir()) == []


def test_a_long_file_is_made_short(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "LONGEST", 2000)
    written = Journal(path)
    written.write("stays", event(-1), 0.0, is_last=False)
    for number in range(1000):
        written.write(f"{number}", event(number), float(number), is_last=True)
        assert path.stat().st_size <= 2000
    open_tracks = [entry.key for entry in Journal(path).still_open()]
    assert open_tracks[0] == "stays"
    assert open_tracks[-1] == "999"
    assert len(open_tracks) <= IN_DOUBT_S + 1


def test_a_disk_that_takes_nothing_is_told_once_and_the_work_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    written = Journal(tmp_path / "file" / "hall.jsonl")
    with caplog.at_level(logging.ERROR):
        assert written.still_open() == []
        written.replace([])
        for number in range(3):
            written.write("a", event(number), 0.0, is_last=False)
    (message,) = caplog.messages
    assert "Not a directory" in message
