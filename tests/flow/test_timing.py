import threading
import time
from collections.abc import Sequence

import numpy as np
import pytest

from daemon.flow import timing as module
from daemon.flow.timing import BOUNDS_S, DECODE, TELL, Histogram, Latency, Quantiles, Stopwatch, Timing
from processors.types import Frame, Image, Label, Sample, Scalable
from tests.fakes import Work, frame


def test_a_histogram_counts_into_the_first_bucket_that_holds_it() -> None:
    histogram = Histogram()
    for seconds in (0.0, BOUNDS_S[0], BOUNDS_S[0] * 1.01, 59.0, 61.0, 1000.0):
        histogram.observe(seconds)
    counts, total = histogram.read()
    assert [counts[0], counts[1], counts[-2], counts[-1]] == [2, 1, 1, 2]
    assert sum(counts) == 6
    assert total == pytest.approx(BOUNDS_S[0] * 2.01 + 1120)


def test_a_histogram_loses_nothing_to_threads() -> None:
    histogram, stopwatch = Histogram(), Stopwatch("work")

    def observe() -> None:
        for _ in range(2000):
            histogram.observe(0.02)
            with stopwatch.running():
                pass

    threads = [threading.Thread(target=observe) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(histogram.read()[0]) == stopwatch.spent.calls == 16_000


def test_quantiles_are_of_the_last_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    latency = Latency()
    assert latency.quantiles() is None
    latency.add(1000.0)
    now = time.monotonic() + 61
    monkeypatch.setattr(time, "monotonic", lambda: now)
    assert latency.quantiles() is None
    for seconds in range(1, 101):
        latency.add(seconds / 100)
    assert latency.quantiles() == Quantiles(p50=0.5, p95=0.95)
    assert sum(latency.histogram.read()[0]) == 101


def test_quantiles_of_more_than_are_kept_are_of_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_RECENT", 10)
    latency = Latency()
    for seconds in (*[9.0] * 50, *[1.0] * 10):
        latency.add(seconds)
    assert latency.quantiles() == Quantiles(1.0, 1.0)


def busy(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def test_a_stopwatch_leaves_out_what_has_one_of_its_own() -> None:
    outer, inner = Stopwatch("work"), Stopwatch("work")
    began, cpu_began = time.perf_counter(), time.thread_time()
    with outer.running():
        busy(0.02)
        for _ in range(2):
            with inner.running():
                busy(0.03)
                time.sleep(0.02)
    wall, cpu = time.perf_counter() - began, time.thread_time() - cpu_began
    assert (outer.spent.calls, inner.spent.calls) == (1, 2)
    assert inner.spent.cpu_seconds == pytest.approx(0.06, abs=0.01)
    assert inner.spent.seconds >= 0.1
    assert outer.spent.cpu_seconds == pytest.approx(0.02, abs=0.01)
    assert 0.12 <= outer.spent.seconds + inner.spent.seconds <= wall  # counted twice, the inner 0.1 s would not fit
    assert outer.spent.cpu_seconds + inner.spent.cpu_seconds == pytest.approx(cpu, abs=0.005)


def test_what_breaks_is_counted_too() -> None:
    stopwatch, histogram = Stopwatch("work"), Histogram()
    with pytest.raises(ZeroDivisionError), stopwatch.running(), histogram.timing():
        raise ZeroDivisionError
    assert (stopwatch.spent.calls, sum(histogram.read()[0])) == (1, 1)


def test_a_timed_processor_is_as_the_one_in_it() -> None:
    class Finds(Work):
        applies_to: Label = "body"
        needs = frozenset({int})
        makes = frozenset({str})

        def __call__(self, samples: Sequence[Sample]) -> None:
            called.append(list(samples))

    called: list[list[Sample]] = []
    timing, samples = Timing(), [Sample(frame(0))]
    timed = timing.timed("finder", Finds())
    assert timed.applies_to == "body"
    assert (timed.needs, timed.makes) == (frozenset({int}), frozenset({str}))
    assert timing.spent == {}
    timed(samples)
    timing.timed("finder", Finds())(samples)  # of one name: HTTP has a chain for each service
    assert called == [samples, samples]
    assert timing.spent["finder"].calls == 2


def test_a_picture_is_made_once_and_by_itself() -> None:
    timing, loads = Timing(), []

    def load() -> Image:
        loads.append(0)
        busy(0.02)
        return np.zeros((2, 2, 3), np.uint8)

    lazy = Frame(load, width=2, height=2)
    with timing.telling():
        timing.decode(lazy)
        timing.decode(lazy)
    assert loads == [0]
    assert timing.spent[DECODE].calls == 1
    assert timing.spent[DECODE].cpu_seconds >= 0.02
    assert timing.spent[TELL].cpu_seconds < 0.01
    assert timing.tell.read()[1] >= 0.02  # as the frame sees it


class Halves(Scalable):
    """Twice as quick to halve as to make."""

    halves = True

    def __call__(self) -> Image:
        busy(0.02)
        return np.zeros((4, 4, 3), np.uint8)

    def halved(self) -> Image:
        busy(0.01)
        return np.zeros((2, 2, 3), np.uint8)

    def scaled(self, width: int, height: int) -> Image:
        busy(0.02)
        return np.zeros((height, width, 3), np.uint8)


def test_what_is_made_when_it_is_looked_at_is_timed_then_and_counts_once() -> None:
    timing, lazy = Timing(), Frame(Halves(), width=4, height=4)
    timing.decode(lazy)
    timing.decode(lazy)
    assert DECODE not in timing.spent
    with timing.telling():
        assert lazy.pyramid.level(1).shape == (2, 2, 3)
        timing.decode(lazy)
        half = timing.spent[DECODE]
        assert lazy.image.shape == (4, 4, 3)
    assert half.calls == timing.spent[DECODE].calls == 1
    assert half.cpu_seconds >= 0.01
    assert timing.spent[DECODE].cpu_seconds >= 0.03
    assert timing.spent[TELL].cpu_seconds < 0.01


def test_pictures_for_who_watches_are_no_part_of_the_work() -> None:
    timing, lazy = Timing(), Frame(Halves(), width=4, height=4)
    timing.decode(lazy)
    assert lazy.scaled(2, 2).shape == (2, 2, 3)
    assert DECODE not in timing.spent
