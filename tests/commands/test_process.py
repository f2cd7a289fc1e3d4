from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from daemon.commands.process import main
from daemon.config.model import Config
from models.errors import ModelError
from processors.types import Sample


class Failing:
    """A chain that raises what is scripted for each picture."""

    makes: frozenset[type] = frozenset()

    def __init__(self, *errors: Exception | None) -> None:
        self._errors = iter(errors)

    def __call__(self, samples: Sequence[Sample]) -> None:
        if error := next(self._errors):
            raise error


@pytest.fixture
def pictures(tmp_path: Path) -> list[str]:
    paths = [str(tmp_path / f"{name}.png") for name in "abc"]
    for path in paths:
        assert cv2.imwrite(path, np.zeros((48, 64, 3), np.uint8))
    return paths


def test_what_fails_at_one_input_leaves_the_others(
    pictures: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chain = Failing(None, cv2.error("a library's"), None)
    monkeypatch.setattr("daemon.commands.process.build_chain", lambda *_: chain)
    assert main(pictures, chain=["face-detector"], draw=None, config=Config()) == 1
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 2
    assert err.splitlines()[-1] == f'{pictures[1]}: error("a library\'s")'


def test_a_model_that_fails_ends_all(pictures: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    chain = Failing(ModelError("has changed"))
    monkeypatch.setattr("daemon.commands.process.build_chain", lambda *_: chain)
    with pytest.raises(ModelError):
        main(pictures, chain=["face-detector"], draw=None, config=Config())


def test_no_password_in_what_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("daemon.commands.process.build_chain", lambda *_: Failing())
    assert main(["rtsp://user:hunt/er2@127.0.0.1:1/a"], chain=["face-detector"], draw=None, config=Config()) == 1
    err = capsys.readouterr().err
    assert err.startswith("rtsp://***@127.0.0.1:1/a: ")
    assert "hunt" not in err
