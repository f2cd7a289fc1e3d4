import numpy as np
import pytest

from daemon.flow.pipeline import STOPPED
from daemon.flow.receipts import Counts
from daemon.work.followed import Followed, Sight
from daemon.work.jobs import OVERLOAD, ShotJobs
from daemon.work.shots import Shot, Shots
from processors.types import Frame, Sample
from tests.work.scenes import Namer, face

BYTES = 100 * 100 * 3 * 4 // 3
"""That a frame of put() holds."""


def track(name: str, shots: int = 0) -> Followed:
    followed = Followed(name, "face", Shots(3), 0.0)
    for number in range(shots):
        followed.shots.add(Shot(0.5, {}), number)
    return followed


def put(
    jobs: ShotJobs,
    of: Followed,
    at: float,
    *,
    score: float = 0.5,
    confirmed: bool = True,
    wanted: bool = True,
    frame: Frame | None = None,
) -> None:
    frame = frame or Frame.of(np.zeros((100, 100, 3), np.uint8), captured_at=at)
    obj = face(50)
    jobs.put(
        of,
        score,
        lambda: (Sight(obj, score, 100, 100, 0, at, None), Sample(frame, [obj])),
        wanted=wanted,
        confirmed=confirmed,
    )


def taken(jobs: ShotJobs) -> list[tuple[str, float]]:
    """Of which tracks, and of when, in the order in which workers would get them."""
    found = []
    while (job := jobs.take()) is not None:
        found.append((job.track.id, job.sight.captured_at))
        job.end()
    return found


def test_who_is_confirmed_comes_first_then_of_whom_least_is_known_then_who_was_first() -> None:
    jobs = ShotJobs([Namer()], Counts())
    put(jobs, track("passing"), 1, confirmed=False)
    put(jobs, track("known", shots=2), 2)
    put(jobs, track("second"), 4)
    put(jobs, track("first"), 3)
    assert taken(jobs) == [("first", 3), ("second", 4), ("known", 2), ("passing", 1)]


@pytest.mark.parametrize(("score", "at"), [(0.5, 2), (0.6, 2), (0.4, 1)])
def test_one_that_waits_gives_its_place_to_a_newer_one_that_is_as_good(score: float, at: float) -> None:
    jobs, one = ShotJobs([Namer()], Counts()), track("one")
    put(jobs, one, 1, score=0.5)
    put(jobs, one, 2, score=score, wanted=False)
    assert taken(jobs) == [("one", at)]


def test_a_look_that_is_not_wanted_waits_for_nothing() -> None:
    counts = Counts()
    jobs = ShotJobs([Namer()], counts)
    put(jobs, track("one"), 1, wanted=False)
    assert (taken(jobs), counts.received) == ([], 0)


def test_without_room_passers_by_are_shed_then_those_who_are_known() -> None:
    counts = Counts()
    jobs = ShotJobs([Namer()], counts, most_jobs=2)
    passing, known, one, other = track("passing"), track("known", shots=1), track("one"), track("other")
    put(jobs, passing, 1, confirmed=False)
    put(jobs, known, 2)
    put(jobs, one, 3)
    assert (passing.job, passing.shed_at) == (None, 1)
    put(jobs, other, 4)
    assert known.job is None
    put(jobs, track("late"), 5)  # no more urgent than those who wait
    assert counts.dropped == {OVERLOAD: 3}
    assert taken(jobs) == [("one", 3), ("other", 4)]
    assert counts.acknowledged == 2


def test_the_bytes_of_what_waits_are_bounded_a_frame_that_several_share_counts_once() -> None:
    counts = Counts()
    jobs = ShotJobs([Namer()], counts, most_bytes=2 * BYTES)
    shared = Frame.of(np.zeros((100, 100, 3), np.uint8))
    for number in range(10):
        put(jobs, track(f"crowd {number}"), 1, frame=shared)
    put(jobs, track("next"), 2)
    assert not counts.dropped
    put(jobs, track("one too many"), 3)
    assert counts.dropped == {OVERLOAD: 1}
    assert len(taken(jobs)) == 11


def test_one_shot_may_always_wait() -> None:
    jobs = ShotJobs([Namer()], Counts(), most_bytes=1)
    put(jobs, track("one"), 1)
    assert taken(jobs) == [("one", 1)]


def test_what_is_shed_at_a_stop_is_counted() -> None:
    counts = Counts()
    jobs = ShotJobs([Namer()], counts)
    put(jobs, track("one"), 1)
    put(jobs, track("other"), 1)
    jobs.shed(STOPPED)
    assert (taken(jobs), counts.dropped) == ([], {STOPPED: 2})
