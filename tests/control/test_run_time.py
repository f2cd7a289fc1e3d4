from typing import Any

import pytest

from daemon.config.explain import explained
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
    run_time = RunTime(RunTimeSettings(), defaults, explained, lambda *_: (), Networks(PRIVATE))
    members = {"source": "rtsp://10.0.0.5/1", "privacy": own}
    if refused is None:
        run_time.accept("door", members)
        return
    with pytest.raises(InvalidDocument) as err:
        run_time.accept("door", members)
    assert [problem.loc for problem in err.value.problems] == [("privacy", refused)]


@pytest.mark.parametrize(
    ("members", "loc", "message"),
    [
        ({"fps": "abc"}, ("fps",), "Expected a number, got 'abc'"),
        ({"fps": "x" * 5000}, ("fps",), f"Expected a number, got '{'x' * 100}'"),
        ({"tracking": {"life": 1}}, ("tracking", "life"), "Unknown key; expected one of "),
        ({"username": "u", "password": ["hunter2"]}, ("password",), "Expected text (a number in quotes), got a list"),
        (
            {"zones": [{"name": "a", "polygon": [[0, 0], [640, 0], [640, 480]]}]},
            ("zones", 0, "polygon"),
            "Expected points in shares of the picture (0 to 1), not in pixels, got 640",
        ),
        (
            {"source": "me:hunter2@10.0.0.5:554/1"},
            ("source",),
            "***@10.0.0.5:554/1 is no address: did you mean rtsp://***@10.0.0.5:554/1?",
        ),
        (
            {"source": "rstp://10.0.0.5/1"},
            ("source",),
            "Expected rtsp://, rtsps://, http://, https://, got rstp://; did ",
        ),
        ({"source": "a.mp4"}, ("source",), "Expected rtsp://, rtsps://, http://, https://, got a path"),
    ],
)
def test_mistakes_are_told_in_the_file_s_words(
    members: dict[str, Any], loc: tuple[str | int, ...], message: str
) -> None:
    run_time = RunTime(RunTimeSettings(), StreamDefaults(), explained, lambda *_: (), Networks(PRIVATE))
    with pytest.raises(InvalidDocument) as err:
        run_time.accept("door", {"source": "rtsp://10.0.0.5/1"} | members)
    (problem,) = err.value.problems
    assert problem.loc == loc
    assert problem.msg.startswith(message)
    assert "hunter2" not in problem.msg
