"""The wheel: what is in it, and that it works where there is no repository."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.packaging.wheel import ROOT, build, tracked

CONFIGURATION = "{http: null, streams: {a: {source: 'rtsp://127.0.0.1:9/'}}, sinks: {out: {type: stdout}}}"
PACKAGES = ("configs", "daemon", "models", "processors", "sinks")
LEFT_OUT = (
    "models/evaluation.json",  # figures, which `visaged models --cards` writes in the repository
    "models/recipes/",
    "daemon/http/openapi/contract/README.md",
    "daemon/http/web/tsconfig.json",  # of the check of types
    "configs/compose/",  # mounted by compose.yaml
    "configs/grafana/",
    "configs/prometheus/",
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"))


def test_it_has_every_file_of_the_packages(wheel: Path) -> None:
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    ours = {path.as_posix() for path in tracked() if path.parts[0] in PACKAGES}
    missing = {name for name in ours - packed if not name.startswith(LEFT_OUT) and not name.endswith("/README.md")}
    assert (missing, packed - ours) == (set(), set())


def test_it_runs_outside_of_the_repository(wheel: Path, tmp_path: Path) -> None:
    """With the dependencies of this environment, which its own visaged is not in: .pth files are not read there."""
    folder = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(folder)
    paths = os.pathsep.join([str(folder), sysconfig.get_path("platlib")])
    environment = os.environ | {"PYTHONPATH": paths, "PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1"}

    def python(*arguments: str | Path) -> str:
        command = [sys.executable, "-S", *arguments]
        ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stderr) == (0, "")
        return ran.stdout

    assert python("-c", "import daemon; print(daemon.__file__)").startswith(str(folder))
    (tmp_path / "my.yaml").write_text(CONFIGURATION)
    assert "1 stream" in python("-m", "daemon", "check", "my.yaml")
    python("-m", "daemon", "models")  # status 0: the files are what their manifests say
    python("-m", "daemon", "schema", "write", tmp_path / "schemas")
    published = {path.name: path.read_bytes() for path in (ROOT / "docs" / "schemas").iterdir()}
    written = {path.name: path.read_bytes() for path in (tmp_path / "schemas").iterdir()}
    assert published.items() >= written.items()
