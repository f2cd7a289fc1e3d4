"""When a partition counts as standing, and how far it is behind."""

from typing import Any

import pytest

from daemon.kafka.progress import STALL_S, Progress

IDLE: dict[str, Any] = {"committed": 10, "pending": 0, "read": 10, "stable": 10, "end": 10}


@pytest.mark.parametrize(
    ("changed", "lag"),
    [
        ({}, 0),
        ({"committed": 7}, 0),  # control records lie behind the last that was committed
        ({"stable": 25, "end": 25}, 15),
        ({"committed": 7, "pending": 3}, 3),
        ({"committed": 12, "read": 12}, 0),  # what was last heard of the end is older
        ({"stable": None, "end": None}, None),
        ({"committed": None}, None),
    ],
)
def test_what_is_not_done_up_to_the_end(changed: dict[str, Any], lag: int | None) -> None:
    progress = Progress()
    progress.look(0, **{**IDLE, **changed})
    assert progress.lag == lag


@pytest.mark.parametrize(
    ("stands", "why"),
    [
        ({"committed": None}, "it is not open yet"),
        ({"committed": 7, "pending": 3}, "offset 7 has been worked on, or waits for a sink"),
        ({"end": 12}, "a transaction of another producer is open at offset 10 and holds back 2 offsets"),
    ],
)
def test_what_does_not_move_is_told(stands: dict[str, Any], why: str) -> None:
    progress = Progress()
    progress.look(0, **{**IDLE, **stands})
    assert progress.stall is None
    progress.look(STALL_S, **{**IDLE, **stands})
    assert (progress.stall or "").startswith(why)
    progress.look(STALL_S + 1, **IDLE)
    assert progress.stall is None


@pytest.mark.parametrize(
    "later",
    [
        {"committed": 8, "pending": 3},  # records are done
        {"end": 13, "stable": 11, "read": 11},  # transactions end, and others begin
        {"stable": 12, "end": 14, "read": 10},  # there is something to read
        {},
    ],
)
def test_what_moves_is_not(later: dict[str, Any]) -> None:
    progress = Progress()
    progress.look(0, **{**IDLE, "committed": 7, "pending": 3})
    progress.look(STALL_S - 1, **{**IDLE, **later})
    progress.look(STALL_S + 1, **{**IDLE, **later})
    assert progress.stall is None
