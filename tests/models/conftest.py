import shutil
from pathlib import Path

import pytest

MODELS = Path(__file__).parents[2] / "models"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped manifests and files, to be damaged."""
    shutil.copytree(MODELS / "manifests", tmp_path / "manifests")
    shutil.copytree(MODELS / "files", tmp_path / "files")
    return tmp_path
