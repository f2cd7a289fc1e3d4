from pathlib import Path

from models.listing import listing, opened, table, table_of_runtimes
from models.store import ModelStore


def test_listing_shows_the_state_of_each_file(folder: Path) -> None:
    (folder / "files" / "mp_face_landmark_468.onnx").unlink()
    (folder / "files" / "yunet_2023mar_dyn.onnx").write_bytes(b"changed")
    rows = {row.name: row for row in listing(ModelStore(folder))}
    changed = {name: row.file for name, row in rows.items() if row.file != "ok"}
    assert changed == {"mp_face_landmark_468": "missing", "yunet_2023mar_dyn": "changed"}
    assert rows["yunet_2023mar_dyn"]._replace(file="ok") == (
        "yunet_2023mar_dyn",
        "face-detection",
        "MIT",
        "default-allowed",
        221896,
        "ok",
    )


def test_table(folder: Path) -> None:
    lines = table(listing(ModelStore(folder))).splitlines()
    assert lines[0].split() == ["NAME", "TASK", "LICENCE", "USE", "SIZE", "FILE"]
    rows = {line.split()[0]: line for line in lines[1:]}
    mesh = rows["mp_face_landmark_468"]
    assert mesh.split() == ["mp_face_landmark_468", "face-mesh", "Apache-2.0", "default-allowed", "2.4", "MB", "ok"]
    assert lines[0].index("TASK") == mesh.index("face-mesh") == rows["facemesh_canonical"].index("head-pose")


def test_by_what_each_network_runs(folder: Path) -> None:
    (folder / "files" / "mp_face_landmark_468.onnx").unlink()
    for path in (folder / "manifests").iterdir():
        if path.stem not in ("mp_face_landmark_468", "sface_2021dec_int8bq_clean", "facemesh_canonical", "age_head"):
            path.unlink()
    store = ModelStore(folder, "openvino")
    age, sface = opened(store, listing(store))  # what is missing, and what is no network, does not run
    assert age == ("age_head", "cpu", "openvino", "f32", "provider: openvino")
    assert sface[:4] == ("sface_2021dec_int8bq_clean", "cpu", "onnxruntime", "f32")
    assert "openvino can't open it" in sface.why
    lines = table_of_runtimes([age, sface]).splitlines()
    assert lines[0].split() == ["NAME", "DEVICE", "RUNTIME", "PRECISION", "WHY"]
    assert len(lines) == 3
