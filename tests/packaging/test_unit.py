"""The unit, as systemd reads it."""

import configparser
import subprocess
from pathlib import Path

import pytest

import configs
from daemon.commands.run import LAST_S
from daemon.config.model import Config
from tests.commands.test_cli import command

UNIT = Path(configs.__file__).parent / "systemd" / "visaged.service"
INSTALLED = "/opt/visaged/bin/visaged"
MOST_EXPOSED = 20
"""Tenths of what `systemd-analyze security` says: 1.2 of 10 with systemd 252."""


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """With a program that is here."""
    text = UNIT.read_text(encoding="utf-8")
    assert INSTALLED in text
    path = tmp_path / UNIT.name
    path.write_text(text.replace(INSTALLED, command()[0]), encoding="utf-8")
    return path


def analyzed(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.slow
def test_it_is_right(unit: Path) -> None:
    found = analyzed("verify", "--man=no", unit)
    assert (found.returncode, found.stderr) == (0, "")


@pytest.mark.slow
def test_a_mistake_is_seen(unit: Path) -> None:
    unit.write_text(unit.read_text().replace("Type=notify", "Type=notifies"))
    assert "notifies" in analyzed("verify", "--man=no", unit).stderr


@pytest.mark.slow
def test_it_is_hardly_exposed(unit: Path) -> None:
    found = analyzed("security", "--offline=yes", f"--threshold={MOST_EXPOSED}", "--no-pager", unit)
    assert found.returncode == 0, found.stdout + found.stderr


def test_it_lets_the_daemon_stop_and_does_not_repeat_a_mistake() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.read(UNIT, encoding="utf-8")
    service = unit["Service"]
    assert float(service["TimeoutStopSec"]) > Config().stop_timeout + LAST_S
    assert service["RestartPreventExitStatus"] == "2"
