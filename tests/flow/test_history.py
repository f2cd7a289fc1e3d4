import pytest

from daemon.flow import history as module
from daemon.flow.history import Growth, History


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def sampled(clock: Clock, *steps: tuple[float, int]) -> History[str]:
    """After so many seconds the counter stands there."""
    history = History[str]()
    for seconds, total in steps:
        clock.now += seconds
        history.sample({"frames": total})
    return history


def test_without_two_samples_there_is_nothing_to_say(clock: Clock) -> None:
    assert History[str]().growth(10) is None
    assert sampled(clock, (1, 7)).growth(10) is None


def test_what_a_counter_grew_by_in_a_window(clock: Clock) -> None:
    history = sampled(clock, *[(1.0, 25 * second) for second in range(100)], (1.0, 2475 + 5))
    assert history.growth(10) == Growth(10.0, {"frames": 9 * 25 + 5})
    minute = history.growth(60)
    assert minute == Growth(60.0, {"frames": 59 * 25 + 5})
    assert minute.rate("frames") == (59 * 25 + 5) / 60
    assert minute.rate("others") == 0


def test_a_shorter_past_is_the_window(clock: Clock) -> None:
    assert sampled(clock, (1, 0), (1, 20), (1, 60)).growth(10) == Growth(2.0, {"frames": 60})


def test_samples_that_come_late_are_no_wrong_rate(clock: Clock) -> None:
    """A busy loop: by the seconds that have passed, not by those that were meant."""
    history = sampled(clock, *[(1.3, 13 * index) for index in range(20)])
    growth = history.growth(10)
    assert growth is not None
    assert growth.seconds == pytest.approx(10.4)
    assert growth.rate("frames") == pytest.approx(10)


def test_a_gap_longer_than_the_window_is_the_window(clock: Clock) -> None:
    assert sampled(clock, (1, 0), (1, 10), (30, 400)).growth(10) == Growth(30.0, {"frames": 390})


def test_a_counter_that_joins_grows_from_nothing(clock: Clock) -> None:
    history = sampled(clock, (1, 5))
    clock.now += 1
    history.sample({"frames": 6, "dropped": 3})
    assert history.growth(10) == Growth(1.0, {"frames": 1, "dropped": 3})
