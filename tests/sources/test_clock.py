import numpy as np
import pytest

from daemon.sources.clock import MOST_IN_DECODER, BestEffort, Gone, InDecoder, Timeline


@pytest.mark.parametrize(
    ("pts", "expected"),
    [
        ([10, 10.1, 10.3], [0, 0.1, 0.3]),
        ([10, 10.04, 3, 3.04], [0, 0.04, 0.08, 0.12]),  # a new beginning
        ([0, 0, 0, 0.1, 0.2], [0, 0.04, 0.08, 0.1, 0.2]),  # three alike
        ([0] * 51 + [0.1, 0.2], [*np.arange(51) / 25, 2, 2.1]),  # stuck, and going on
        ([0, 0.04, 50, 50.1], [0, 0.04, 50, 50.1]),  # a gap
        ([None, None, None], [0, 0.04, 0.08]),
        ([None, None, 7, 7.1], [0, 0.04, 0.08, 0.18]),
        ([7, None, 7.1], [0, 0.04, 0.1]),
    ],
)
def test_a_file_s_time_goes_on(pts: list[float | None], expected: list[float]) -> None:
    timeline = Timeline()
    times = []
    for each in pts:
        timeline.advance(each)
        times.append(timeline.now)
    np.testing.assert_allclose(times, expected, atol=0.01)


@pytest.mark.parametrize(
    ("pts", "expected"),
    [
        ([None] * 4, [0, 0.2, 0.4, 0.6]),
        ([5] * 4, [0, 0.2, 0.4, 0.6]),
        ([5, 4, 3, 2], [0, 0.2, 0.4, 0.6]),
        ([5, 5.2, 3605.4, 3605.6], [0, 0.2, 0.4, 0.6]),
        ([5, 5.2, 0, 0.2], [0, 0.2, 0.4, 0.6]),
        ([5, 5.21, 5.39, 5.6], [0, 0.21, 0.39, 0.6]),
    ],
    ids=["none", "stuck", "backwards", "a leap ahead", "a leap back", "as they came"],
)
def test_a_camera_s_time_is_that_of_its_arrival_where_its_stamps_are_nonsense(
    pts: list[float | None], expected: list[float]
) -> None:
    timeline = Timeline()
    times = []
    for number, each in enumerate(pts):
        timeline.advance(each, 1000 + number / 5)
        times.append(timeline.now)
    np.testing.assert_allclose(times, expected, atol=1e-6)


def test_the_time_of_a_frame_to_come() -> None:
    timeline = Timeline()
    assert timeline.at(1) == np.inf
    timeline.advance(5)
    assert timeline.at(5.5) == 0.5
    assert timeline.at(4.9) == np.inf


def test_the_best_of_two_timestamps() -> None:
    both = BestEffort()
    assert [both(pts, pts - 2) for pts in (2, 4, 6)] == [2, 4, 6]
    guessed = BestEffort(dts=True)
    assert [guessed(pts, dts) for pts, dts in [(1, 2), (3, 3), (2, 4), (5, 5), (4, None)]] == [2, 3, 4, 5, 4]
    learnt = BestEffort()
    assert [learnt(pts, dts) for pts, dts in [(1, 2), (3, 3), (2, 4), (5, 5), (4, 6)]] == [1, 3, 4, 5, 6]


def test_pictures_that_were_reordered_came_before_the_later_ones() -> None:
    """Stamps in milliseconds. The third to be shown comes second."""
    decoder = InDecoder(0.001)
    for pts, came_at in ((0, 10.0), (120, 10.05), (40, 10.06), (80, 10.1)):
        decoder.put(pts, came_at)
    captured = [decoder.take(pts) for pts in (0, 40, 80, 120)]
    np.testing.assert_allclose(captured, [9.93, 9.97, 10.01, 10.05])  # type: ignore[arg-type]


def test_a_packet_is_lost_when_many_have_come_since() -> None:
    decoder = InDecoder(0.001)
    gone = [lost for pts in range(MOST_IN_DECODER + 3) for lost in decoder.put(pts, 1.0, discardable=pts == 1)]
    assert gone == [Gone(0, discarded=False), Gone(1, discarded=True), Gone(2, discarded=False)]
    assert len(decoder.clear()) == MOST_IN_DECODER
    assert decoder.clear() == []


def test_what_the_decoder_discards_is_known_by_what_is_shown_after_it() -> None:
    decoder = InDecoder(0.001)
    for pts in (0, 30, 10, 20):
        decoder.put(pts, 1.0, discardable=pts in (10, 20))
    decoder.take(0)
    assert decoder.discarded_before(0) == []
    decoder.take(30)
    assert decoder.discarded_before(30) == [Gone(10, discarded=True), Gone(20, discarded=True)]
