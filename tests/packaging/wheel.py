"""Builds the wheel of this working tree and tries it in a fresh environment elsewhere, as people install it.

    python -m tests.packaging.wheel [--python python3.13] [--extras demo,openvino]

Dependencies come from the package index, so this is a command and no test.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import configs

ROOT = Path(__file__).parents[2]
DEMO_S = 60  # a busy machine takes half of it to begin
BUILD = "from setuptools.build_meta import build_wheel; build_wheel({folder!r})"


def tracked() -> list[Path]:
    """The files of the working tree that git has or would take, from the root."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [Path(name) for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def build(folder: Path) -> Path:
    """In a copy: setuptools would also pack what earlier builds have left in build/."""
    tree = folder / "tree"
    for path in tracked():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tree / path)
    subprocess.run(
        [sys.executable, "-c", BUILD.format(folder=str(folder))], cwd=tree, check=True, stdout=subprocess.DEVNULL
    )
    (wheel,) = folder.glob("*.whl")
    return wheel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable, help="makes the environment (default: this one)")
    parser.add_argument("--extras", default="demo", help="of the wheel (default: %(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="visaged-wheel-") as name:
        folder = Path(name)
        wheel = build(folder)
        shutil.rmtree(folder / "tree")
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB")
        subprocess.run([arguments.python, "-m", "venv", folder / "venv"], check=True)
        bin_folder = folder / "venv" / "bin"
        install: list[str | Path] = [bin_folder / "python", "-m", "pip", "install", "--quiet", "--only-binary=:all:"]
        subprocess.run([*install, f"{wheel}[{arguments.extras}]"], check=True)
        _try(bin_folder / "visaged", folder)


def _try(visaged: Path, folder: Path) -> None:
    """Raises CalledProcessError, or AssertionError where the demo shows no document."""

    def call(*arguments: str | Path) -> str:
        began = time.monotonic()
        ran = subprocess.run([visaged, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
        print(f"visaged {' '.join(map(str, arguments))}: {ran.returncode}, {time.monotonic() - began:.1f} s")
        if ran.returncode != 0:
            sys.stderr.write(ran.stdout + ran.stderr)
            ran.check_returncode()
        return ran.stdout

    environment = {name: value for name, value in os.environ.items() if not name.startswith(("VISAGED_", "PYTHON"))}
    http = folder / "http.yaml"
    shutil.copy(Path(configs.__file__).with_name("http.yaml"), http)
    call("--version")
    call("check", http)
    call("models")
    call("sbom")
    call("schema", "write", folder / "schemas")
    shown = [line for line in call("demo", "--seconds", str(DEMO_S)).splitlines() if " camera frame " in line]
    assert shown, "expected documents of the demo's camera, got none"
    print(f"the demo showed {len(shown)} documents, the last: {shown[-1]}")


if __name__ == "__main__":
    main()
