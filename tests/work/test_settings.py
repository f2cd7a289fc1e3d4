import pytest

from daemon.work.settings import ONCE_A_TRACK, ProcessorSettings, WorkSettings, by_processor, in_order_of_work, often
from processors.registry import PROCESSORS

CHAIN = ["face-detector", "face-fitter", "age-estimator", "emotion-estimator", "body-detector"]


def settings(**members: object) -> WorkSettings:
    return WorkSettings.model_validate({"chain": CHAIN, **members})


@pytest.mark.parametrize("name", PROCESSORS)
def test_without_tracking_all_runs_on_every_frame(name: str) -> None:
    assert often(settings(), name) == "frame"


@pytest.mark.parametrize("name", PROCESSORS)
def test_what_runs_how_often_where_nothing_is_said(name: str) -> None:
    assert often(settings(tracking={}), name) == ("track" if name in ONCE_A_TRACK else "frame")


@pytest.mark.parametrize("how", ["frame", "track", "auto", 2, 25])
def test_what_is_said_wins(how: object) -> None:
    tracking = {"per": {"age-estimator": how}}
    assert often(settings(tracking=tracking), "age-estimator") == how


@pytest.mark.parametrize("how", ["often", 1, 0, -3, 2.5, None])
def test_what_cannot_be_said(how: object) -> None:
    with pytest.raises(ValueError, match="per"):
        settings(tracking={"per": {"age-estimator": how}})


def test_what_runs_more_often_goes_first() -> None:
    tracking = {"per": {"emotion-estimator": 5, "body-detector": 10, "face-detector": "auto"}}
    assert in_order_of_work(settings(tracking=tracking)) == [
        "face-detector",
        "face-fitter",
        "body-detector",
        "emotion-estimator",
        "age-estimator",
    ]


def test_a_stream_has_settings_of_processors_over_those_of_all() -> None:
    for_all = ProcessorSettings.model_validate({"face_detector": {"smallest_face": 20, "close_ups": False}})
    of_stream = ProcessorSettings.model_validate({"face_detector": {"smallest_face": 80}})
    assert by_processor(for_all, of_stream)["face-detector"].model_dump() | {} == {
        **by_processor(for_all)["face-detector"].model_dump(),
        "smallest_face": 80,
    }
    assert by_processor(for_all, None) == by_processor(for_all)
