from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from daemon.sources.settings import RegionSettings
from daemon.work.regions import Regions
from processors.types import Object

WIDTH, HEIGHT = 200, 100
LEFT = [(0, 0), (0.5, 0), (0.5, 1), (0, 1)]
LOWER = [(0, 0.5), (1, 0.5), (1, 1), (0, 1)]
TRIANGLE = [(0.2, 0.2), (0.8, 0.2), (0.2, 0.8)]
ARROW = [(0, 0), (1, 0), (1, 1), (0.5, 0.2)]  # not convex


def count(label: str, box: tuple[float, ...], **regions: Any) -> bool:
    settings = RegionSettings.model_validate(regions)
    return Regions(settings).count(Object(label, np.array(box, float)), WIDTH, HEIGHT)


def face_at(x: float, y: float) -> tuple[float, ...]:
    return (x - 5, y - 5, x + 5, y + 5)


@pytest.mark.parametrize(
    ("regions", "x", "y", "expected"),
    [
        ({}, 10, 10, True),
        ({"include": [LEFT]}, 99, 50, True),
        ({"include": [LEFT]}, 101, 50, False),
        ({"include": [LEFT]}, 100, 50, True),  # the edge
        ({"exclude": [LEFT]}, 99, 50, False),
        ({"exclude": [LEFT]}, 101, 50, True),
        ({"include": [LEFT, LOWER]}, 150, 80, True),
        ({"include": [LEFT, LOWER]}, 150, 20, False),
        ({"include": [LEFT], "exclude": [LOWER]}, 50, 80, False),
        ({"include": [LEFT], "exclude": [LOWER]}, 50, 20, True),
        ({"include": [TRIANGLE]}, 60, 30, True),
        ({"include": [TRIANGLE]}, 150, 75, False),
        ({"include": [ARROW]}, 40, 5, True),
        ({"include": [ARROW]}, 40, 50, False),
    ],
)
def test_a_face_counts_by_its_centre(regions: dict[str, Any], x: float, y: float, expected: bool) -> None:
    assert count("face", face_at(x, y), **regions) == expected


def test_a_body_counts_by_where_it_stands() -> None:
    box = (40, 10, 60, 60)
    assert count("body", box, include=[LOWER])
    assert not count("face", box, include=[LOWER])
    assert not count("body", box, exclude=[LOWER])


def test_what_is_cut_off_by_the_picture_s_edge_counts_where_it_leaves_it() -> None:
    assert count("body", (40, 10, 60, 150), include=[LOWER])
    assert count("face", (-60, 40, -10, 60), include=[LEFT])


@pytest.mark.parametrize(
    ("polygon", "message"),
    [
        ([(0, 0), (1, 1)], "at least 3 items"),
        ([(0, 0), (0.5, 0.5), (1, 1)], "expected a polygon with an area, got corners on one line"),
        ([(0.1, 0.1)] * 4, "expected a polygon with an area"),
        ([(0, 0), (1, 1), (1, 0), (0, 1)], "expected corners in their order round the polygon, got sides that cross"),
        ([(0.5, 0), *((1, n / 200) for n in range(199)), (0, 1)], "at most 200 items"),
        ([(0, 0), (1.2, 0), (0, 1)], r"\(0 to 1\), .* got 1\.2"),
        ([(0, 0), (1, -0.1), (0, 1)], r"\(0 to 1\), .* got -0\.1"),
        ([(0, 0), (1, 0, 0), (0, 1)], "at most 2 items"),
        ([(0, 0), (float("nan"), 0), (0, 1)], r"\(0 to 1\), .* got nan"),
    ],
)
def test_what_is_no_polygon(polygon: list[tuple[float, ...]], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        RegionSettings.model_validate({"include": [polygon]})


@pytest.mark.parametrize(
    "polygon",
    [
        ARROW,
        [(0, 0), (0.5, 0.5), (1, 0), (1, 1), (0.5, 0.5), (0, 1)],  # touches itself
        [(0.1, 0.1), (0.5, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9), (0.1, 0.5)],  # corners within its sides
    ],
)
def test_what_is_a_polygon(polygon: list[tuple[float, ...]]) -> None:
    RegionSettings.model_validate({"include": [polygon]})
