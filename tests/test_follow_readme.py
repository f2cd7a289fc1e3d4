"""The script that follows the pages: it knows their blocks. `python3 -m tests.follow_readme` runs it whole."""

from pathlib import Path

import pytest

from daemon.config.load import load
from tests.follow_readme import SCENES, STAND_INS, Step, commands, steps, write
from tests.worked import ROOT


@pytest.mark.parametrize("page", SCENES)
def test_every_block_of_a_page_is_followed(page: str) -> None:
    assert [step.begins for step, _ in steps(page)] == [step.begins for step in SCENES[page]]


@pytest.mark.parametrize("page", SCENES)
def test_what_is_left_out_is_there(page: str) -> None:
    for step, block in steps(page):
        for command in step.without:
            assert any(line.startswith(command) for line in block.splitlines())


def test_what_is_stood_in_for_is_there() -> None:
    text = "".join((ROOT / page).read_text(encoding="utf-8") for page in SCENES)
    assert [name for name in STAND_INS if name not in text] == []


@pytest.mark.parametrize("page", SCENES)
def test_files_load_as_they_are_written(page: str, tmp_path: Path) -> None:
    for step, block in steps(page):
        if step.file:
            write(tmp_path / step.file, block)
            assert load(tmp_path / step.file).sinks


def test_a_file_has_a_block_in_the_place_of_its_keys(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    write(path, "streams: {}\n\nsinks: {a: 1}\n")
    write(path, "clusters: {}\nsinks: {b: 2}\n")
    assert path.read_text() == "streams: {}\n\nclusters: {}\nsinks: {b: 2}\n"


def test_commands_have_stand_ins_and_lack_what_is_left_out() -> None:
    block = "visaged probe rtsp://192.0.2.10/1\nvisaged find\n"
    assert commands(Step(without=("visaged find",)), block) == "visaged probe rtsp://127.0.0.1:8554/faces\n"
