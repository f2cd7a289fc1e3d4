"""That the suite's own guard sees a blocking call."""

import asyncio
from pathlib import Path

import pytest
from blockbuster import BlockingError

from daemon.config.load import load


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "my.yaml"
    path.write_text("http: {port: 1}")
    return path


async def test_a_blocking_call_of_ours_in_the_loop_s_thread_is_an_error(path: Path) -> None:
    with pytest.raises(BlockingError):
        load(path)


async def test_in_another_thread_it_is_none(path: Path) -> None:
    assert await asyncio.to_thread(load, path)


def test_without_a_loop_it_is_none(path: Path) -> None:
    assert load(path)


async def test_what_a_test_does_itself_is_none(path: Path) -> None:
    assert path.read_text()  # noqa: ASYNC240
