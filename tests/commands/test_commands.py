"""What docs/commands.md says of all commands."""

import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from daemon.cli import SHELLS, STATUSES
from daemon.commands import progress
from tests.commands.conftest import Called
from tests.commands.test_cli import COMMANDS
from tests.worked import ROOT

PAGE = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[tuple[str, str]]:
    section = PAGE.split(f"# {heading}\n")[1].split("\n#")[0]
    return re.findall(r"^\| (?!---|status |command )(.+?) \| (.+) \|$", section, re.MULTILINE)


def test_the_page_has_every_command() -> None:
    named = {name for command, _ in rows("Commands") for name in re.findall(r"`visaged (\w+)", command)}
    assert named == set(COMMANDS)


def test_the_page_has_every_exit_status() -> None:
    assert rows("Exit status") == list(STATUSES.items())


@pytest.fixture
def completed(called: Called, tmp_path: Path) -> Iterable[list[str]]:
    script = tmp_path / "completion.bash"
    script.write_text(called("completion", "bash").stdout)
    words = (
        ["str"],
        ["streams", "li"],
        ["keys", "new", "a", "--ro"],
        ["completion", ""],
        ["check", f"{tmp_path}/comp"],
    )
    tried = "\n".join(f"try visaged {' '.join(repr(word) for word in line)}" for line in words)
    program = f"""
source {script}
try() {{ COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _shtab_visaged; echo "${{COMPREPLY[@]}}"; }}
complete -p visaged > /dev/null || exit 1
{tried}
"""
    ran = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
    assert ran.stderr == ""
    return [line.split() for line in ran.stdout.splitlines()]


def test_bash_completes(completed: list[list[str]], tmp_path: Path) -> None:
    assert completed == [["streams"], ["list"], ["--role"], list(SHELLS), [f"{tmp_path}/completion.bash"]]


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_has_every_command(shell: str, called: Called) -> None:
    script = called("completion", shell).stdout
    assert [name for name in COMMANDS if not re.search(rf"\b{name}\b", script)] == []


def test_without_a_terminal_progress_is_told_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr("daemon.commands.progress.time", SimpleNamespace(monotonic=lambda: now))

    def slow() -> Iterator[int]:
        nonlocal now
        for number in range(4):
            now += 6.0
            yield number

    assert list(progress.progress(slow(), "file", total=4)) == [0, 1, 2, 3]
    assert capsys.readouterr().err == "visaged: 1 of 4 files in 12 s\nvisaged: 3 of 4 files in 24 s\n"
