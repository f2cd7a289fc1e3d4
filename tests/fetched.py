"""What the tests fetch by Maven and npm: kept in .cache, as it is tens of megabytes."""

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.worked import ROOT

CACHE = ROOT / ".cache"


def tool(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.fail(f"{name} is missing: tests/install_debian names what the tests need")
    return path


def jars(pom: Path) -> Path:
    """A folder with those that it names, and theirs."""

    def fetch(folder: Path) -> None:
        goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={folder}"]
        _run("mvn", "-q", "-B", "-f", str(pom), *goal)

    return _kept(pom, fetch)


def node_modules(lock: Path) -> Path:
    """The folder of that name, with what `package-lock.json` and the `package.json` beside it name."""

    def fetch(folder: Path) -> None:
        folder.mkdir()
        for file in (lock, lock.with_name("package.json")):
            shutil.copy(file, folder)
        _run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(folder))

    return _kept(lock, fetch) / "node_modules"


def _kept(named_by: Path, fetch: Callable[[Path], None]) -> Path:
    """What `fetch` put into a folder that was not there, whole or not at all; again when the file has changed."""
    kept = CACHE / f"{named_by.parent.name}-{named_by.stem}-{hashlib.sha256(named_by.read_bytes()).hexdigest()[:12]}"
    if not kept.exists():
        CACHE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            fetch(Path(folder) / "fetched")
            (Path(folder) / "fetched").rename(kept)
    return kept


def _run(command: str, *arguments: str) -> None:
    ran = subprocess.run([tool(command), *arguments], capture_output=True, text=True, check=False)
    if ran.returncode:
        pytest.fail(f"{command} could not fetch: {ran.stdout}{ran.stderr}")
