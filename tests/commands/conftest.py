import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from daemon.cli import main

Called = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def called(capfd: pytest.CaptureFixture[str]) -> Called:
    """called("check", path): the command in this process, as the start of one costs more than most commands do."""

    def call(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        status = main([str(argument) for argument in arguments])
        return subprocess.CompletedProcess(arguments, status, *capfd.readouterr())

    return call
