import hashlib
import logging
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from models.errors import ChangedModelFile, MissingModelFile, NotANetwork, UnknownModel, UnreadableModel
from models.session import Session
from models.store import ModelStore
from tests.models.edits import replace

NAME = "mp_face_landmark_468"


def test_unknown_name_shows_the_nearest(store: ModelStore) -> None:
    with pytest.raises(UnknownModel, match=r"'yunet_2023mar'; nearest: yunet_2023mar_dyn$"):
        store.session("yunet_2023mar")


def test_unknown_name_near_to_nothing_shows_all(store: ModelStore) -> None:
    with pytest.raises(UnknownModel, match=r"facemesh_canonical, .*mp_face_landmark_468, "):
        store.manifest("?")


def test_missing_file(folder: Path) -> None:
    (folder / "files" / f"{NAME}.onnx").unlink()
    store = ModelStore(folder)
    assert store.check(NAME) == "missing"
    with pytest.raises(MissingModelFile, match=rf"{NAME}: .*{NAME}\.onnx is missing"):
        store.session(NAME)


def test_truncated_file(folder: Path) -> None:
    path = folder / "files" / f"{NAME}.onnx"
    path.write_bytes(path.read_bytes()[:1000])
    store = ModelStore(folder)
    assert store.check(NAME) == "changed"
    with pytest.raises(ChangedModelFile, match=r"expected 2439084 bytes .*, got 1000 bytes "):
        store.session(NAME)


def test_one_changed_byte(folder: Path) -> None:
    path = folder / "files" / f"{NAME}.onnx"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    changed = hashlib.sha256(content).hexdigest()
    store = ModelStore(folder)
    expected = rf"{NAME}: .* has changed: expected .*{store.manifest(NAME).sha256}, got .*{changed}"
    assert store.check(NAME) == "changed"
    with pytest.raises(ChangedModelFile, match=expected):
        store.session(NAME)


def test_changed_data_file_is_refused(folder: Path) -> None:
    (folder / "files" / "facemesh_canonical.npz").write_bytes(b"")
    with pytest.raises(ChangedModelFile, match="facemesh_canonical"):
        ModelStore(folder).path("facemesh_canonical")


def test_file_that_is_no_network(folder: Path) -> None:
    content = b"not protobuf"
    (folder / "files" / f"{NAME}.onnx").write_bytes(content)
    manifest = ModelStore(folder).manifest(NAME)
    replace(folder / "manifests" / f"{NAME}.yaml", manifest.sha256, hashlib.sha256(content).hexdigest())
    with pytest.raises(UnreadableModel, match=NAME):
        ModelStore(folder).session(NAME)


def test_data_file(store: ModelStore) -> None:
    with np.load(store.path("facemesh_canonical")) as arrays:
        assert arrays["vertices"].shape == (468, 3)
        assert len(arrays["basis_ids"]) == len(arrays["basis_w"]) == 33
    with pytest.raises(NotANetwork, match=r"facemesh_canonical\.npz"):
        store.session("facemesh_canonical")


def test_session_is_opened_once_among_threads(caplog: pytest.LogCaptureFixture) -> None:
    store = ModelStore()
    start = threading.Barrier(8)

    def open_together() -> Session:
        start.wait()
        return store.session(NAME)

    with caplog.at_level(logging.INFO, "models.session"), ThreadPoolExecutor(8) as pool:
        sessions = [future.result() for future in [pool.submit(open_together) for _ in range(8)]]
    assert [record.getMessage() for record in caplog.records] == [f"{NAME}: opened on cpu by onnxruntime, f32"]
    assert all(session is sessions[0] for session in sessions)


def test_onnxruntime_is_not_imported_before_a_session_opens() -> None:
    code = """
import sys
from models.listing import listing, table
from models.store import ModelStore
store = ModelStore()
table(listing(store))
assert "onnxruntime" not in sys.modules
store.session("yunet_2023mar_dyn")
assert "onnxruntime" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
