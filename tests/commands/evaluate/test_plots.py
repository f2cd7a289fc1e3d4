from pathlib import Path

import cv2
import numpy as np

from daemon.commands.evaluate.figures import Confusion, Curve, Measured, Report
from daemon.commands.evaluate.plots import BOTTOM, COLOURS, LEFT, RIGHT, SIDE, TOP, confusion_matrix, draw_all, roc
from processors.types import Image

CURVE = Curve("", (0.0, 0.00005, 0.001, 0.01, 1.0), (0.1, 0.5, 0.5, 1.0, 1.0))
CONFUSION = Confusion(("male", "female"), ((90, 10), (0, 50)))


def coloured(picture: Image) -> np.ndarray:
    """(n, 2) x and y of the pixels of the first curve."""
    return np.argwhere((picture == COLOURS[0]).all(axis=2))[:, ::-1]


def test_a_curve_runs_from_left_to_the_upper_right() -> None:
    points = coloured(roc("faces", [CURVE]))
    assert points[:, 0].min() <= LEFT + 1
    top = points[points[:, 1] <= TOP + 1]
    assert top[:, 0].max() >= SIDE - 22
    # Until 1e-2, half of the four decades, it stays at a half, and from there on at the top.
    middle = LEFT + (SIDE - LEFT - RIGHT) // 2
    assert abs(top[:, 0].min() - middle) < 8
    half = (TOP + SIDE - BOTTOM) / 2
    assert np.abs(points[points[:, 0] < middle - 4][:, 1] - half).max() < 4


def test_a_second_curve_has_a_colour_of_its_own() -> None:
    picture = roc("faces", [CURVE, Curve("other", (0.0, 1.0), (0.1, 0.3))])
    assert (picture == COLOURS[1]).all(axis=2).any()


def test_a_darker_cell_is_a_larger_share() -> None:
    """By the upper left pixels of the cells, where nothing is written."""
    picture = confusion_matrix("gender", CONFUSION)
    cells = [[int(picture[TOP + 40 + 76 * i + 4, 120 + 76 * j + 4].sum()) for j in range(2)] for i in range(2)]
    (male, male_as_female), (female_as_male, female) = cells
    assert female < male < male_as_female < female_as_male == 3 * 255


def test_files_are_named_after_task_and_set(tmp_path: Path) -> None:
    measured = [
        Measured("gender", "gender/congress", Report((), (), CONFUSION)),
        Measured("masked faces found", "mask/a", Report((), (CURVE,))),
        Measured("age", "age/x", Report(())),
    ]
    written = draw_all(measured, tmp_path / "new" / "folder")
    assert [path.name for path in written] == [
        "gender-gender-congress.confusion.png",
        "masked-faces-found-mask-a.roc.png",
    ]
    assert all(cv2.imread(str(path)) is not None for path in written)
