from pathlib import Path

from models.listing import listing, table
from models.store import ModelStore


def test_listing_shows_the_state_of_each_file(folder: Path) -> None:
    (folder / "files" / "mp_face_landmark_468.onnx").unlink()
    (folder / "files" / "yunet_2023mar_dyn.onnx").write_bytes(b"changed")
    rows = listing(ModelStore(folder))
    assert [row.file for row in rows] == ["ok", "missing", "changed"]
    assert rows[2]._replace(file="ok") == (
        "yunet_2023mar_dyn",
        "face-detection",
        "MIT",
        "default-allowed",
        229670,
        "ok",
    )


def test_table(folder: Path) -> None:
    lines = table(listing(ModelStore(folder))).splitlines()
    assert lines[0].split() == ["NAME", "TASK", "LICENCE", "USE", "SIZE", "FILE"]
    assert lines[2].split() == ["mp_face_landmark_468", "face-mesh", "Apache-2.0", "default-allowed", "2.4", "MB", "ok"]
    assert len({line.index(word) for line, word in zip(lines, ["TASK", "head-", "face-m", "face-d"], strict=True)}) == 1
