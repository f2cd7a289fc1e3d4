from typing import Any

import pytest

from daemon.control.networks import Networks
from daemon.control.run_time import AT_MOST, KEYS, RunTime
from daemon.control.settings import PRIVATE, RunTimeSettings, StreamDefaults, StreamSettings
from daemon.errors import InvalidDocument


def test_somebody_has_thought_about_every_key_of_a_stream() -> None:
    """A new one is named here, or in KEYS where whoever may add streams may set it."""
    only_in_the_file: set[str] = set()
    assert set(StreamSettings.model_fields) == KEYS | only_in_the_file
    assert AT_MOST.keys() < KEYS


@pytest.mark.parametrize(
    ("least", "own", "refused"),
    [
        ({}, {"hide": "faces"}, None),
        ({"hide": "faces"}, {}, None),
        ({"hide": "faces"}, {"hide": "bodies"}, None),
        ({"hide": "faces"}, {"hide": None}, "hide"),
        ({"hide": "bodies"}, {"hide": "faces"}, "hide"),
        ({"hide": "faces"}, {"except": ["till"]}, "except"),
        ({"templates": False}, {"templates": True}, "templates"),
        ({"templates": False}, {}, None),
    ],
)
def test_who_adds_a_stream_cannot_show_more_than_the_file(
    least: dict[str, Any], own: dict[str, Any], refused: str | None
) -> None:
    defaults = StreamDefaults.model_validate({"privacy": least})
    run_time = RunTime(RunTimeSettings(), defaults, lambda *_: (), Networks(PRIVATE))
    members = {"source": "rtsp://10.0.0.5/1", "privacy": own}
    if refused is None:
        run_time.accept("door", members)
        return
    with pytest.raises(InvalidDocument) as err:
        run_time.accept("door", members)
    assert [problem.loc for problem in err.value.problems] == [("privacy", refused)]
