"""A runtime that opens a network says nothing of it to anybody, and keeps nothing of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OPEN = """
import numpy as np
from models.store import ModelStore
session = ModelStore(provider={provider!r}).session("yunet_2023mar_dyn")
assert session.run({{"input": np.zeros((1, 3, 64, 64), np.float32)}})
"""


@pytest.mark.parametrize("provider", ["cpu", "openvino"])
def test_a_network_leaves_no_number_and_no_events_behind(tmp_path: Path, provider: str) -> None:
    """onnxruntime's telemetry has both in the home folder, and is off where a variable says that this is a test."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-B", "-c", OPEN.format(provider=provider)], env=env, check=True, timeout=60)
    assert list(tmp_path.iterdir()) == []
