"""Finds wheels of all dependencies for every Python and platform that visaged is said to run on, without building any.

    .venv/bin/python -m pip install uv && .venv/bin/python -m tests.packaging.resolve

It asks the package index, so this is a command and no test. pip does not do: it reads markers as of its own machine.
"""

import itertools
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
WAYS = (
    ("x86_64-manylinux_2_28", ("demo", "onvif", "openvino", "otel")),
    ("aarch64-manylinux_2_28", ("demo", "onvif", "otel")),
    ("aarch64-manylinux_2_35", ("demo", "onvif", "openvino", "otel")),  # OpenVINO's wheel for Arm needs a later glibc
)
"""Platforms, by their oldest glibc, and the extras that are there."""


def resolved(python: str, platform: str, extras: tuple[str, ...]) -> list[str]:
    """Names and versions. Raises CalledProcessError; uv has said why then."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate"]
    command += ["--only-binary", ":all:", "--python-version", python, "--python-platform", platform]
    command += [argument for extra in extras for argument in ("--extra", extra)]
    found = subprocess.run([*command, "pyproject.toml"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return found.stdout.split()


def main() -> int:
    status = 0
    for python, (platform, extras) in itertools.product(PYTHONS, WAYS):
        try:
            packages = resolved(python, platform, extras)
        except subprocess.CalledProcessError as err:
            status = err.returncode
            continue
        broker = any(package.startswith("noida-db==") for package in packages)
        print(f"Python {python}, {platform}, {'+'.join(extras)}: {len(packages)} wheels, broker of the demo: {broker}")
    return status


if __name__ == "__main__":
    sys.exit(main())
