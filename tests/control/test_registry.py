import os
from pathlib import Path

import pytest

from daemon.control.registry import FileRegistry
from daemon.errors import ConfigError, RegistryError

DOOR = {"settings": {"source": "rtsp://10.0.0.5/1", "password": "p"}, "revision": "1"}
YARD = {"settings": {"source": "rtsp://10.0.0.6/1"}, "revision": "2"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "streams.json"


def test_what_was_put_is_there_for_the_next_process(path: Path) -> None:
    registry = FileRegistry(path)
    assert registry.load() == {}
    registry.put("door", YARD)
    registry.put("yard", YARD)
    registry.put("door", DOOR)
    assert FileRegistry(path).load() == {"door": DOOR, "yard": YARD}


def test_what_was_removed_is_not(path: Path) -> None:
    registry = FileRegistry(path)
    registry.put("door", DOOR)
    registry.remove("door")
    registry.remove("never")
    assert FileRegistry(path).load() == {}


def test_its_owner_alone_reads_it(path: Path) -> None:
    before = os.umask(0)
    try:
        FileRegistry(path).put("door", DOOR)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_file_that_a_crash_has_left_half_written_harms_nothing(path: Path) -> None:
    FileRegistry(path).put("door", DOOR)
    path.with_suffix(".new").write_bytes(b'{"format": 1, "str')
    registry = FileRegistry(path)
    assert registry.load() == {"door": DOOR}
    registry.put("yard", YARD)
    assert FileRegistry(path).load() == {"door": DOOR, "yard": YARD}


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"format": 2, "streams": {}}', '{"format": 1, "streams": {"a": 1}}']
)
def test_another_file_is_refused_with_the_remedy(path: Path, content: str) -> None:
    path.write_text(content)
    with pytest.raises(ConfigError, match="move it away"):
        FileRegistry(path).load()
    assert path.read_text() == content


def test_what_cannot_be_written_is_said_and_not_taken(path: Path) -> None:
    registry = FileRegistry(path)
    registry.put("door", DOOR)
    path.with_suffix(".new").mkdir()
    with pytest.raises(RegistryError, match=r"state_dir: .*cannot be written"):
        registry.put("yard", YARD)
    path.with_suffix(".new").rmdir()
    registry.remove("door")
    assert FileRegistry(path).load() == {}
