import random

import numpy as np
import pytest

from daemon.errors import UnknownStream
from daemon.flow.receipts import Counts
from daemon.flow.watched import BATCH_BYTES, MOST_BYTES, Event, Subscription, Watched, Watches
from processors.types import Frame, Sample
from sinks.base import About, Record

FRAME, TRACK = "visaged.frame", "visaged.track"


def tell(watched: Watched, value: bytes, kind: str = FRAME, smaller: bytes | None = None) -> None:
    counts = Counts()
    watched.offer(Record(watched.stream, value, smaller=smaller, about=About(kind)), counts.open())
    assert counts.acknowledged == 1  # what is watched keeps no frame waiting


def values(taken: tuple[int, list[Event]]) -> list[bytes]:
    assert taken[0] == 0
    return [event.value for event in taken[1]]


def test_a_subscriber_gets_what_comes_from_then_on_in_its_sequence() -> None:
    watches = Watches()
    door = watches.join("door")
    tell(door, b"before")
    subscription = Subscription(watches, door)
    assert not subscription.changed.is_set()
    for value, kind in ((b"1", FRAME), (b"2", TRACK), (b"3", FRAME)):
        tell(door, value, kind)
    assert subscription.changed.is_set()
    assert values(subscription.take()) == [b"1", b"2", b"3"]
    assert not subscription.changed.is_set()
    assert values(subscription.take()) == []


def test_kinds_that_are_not_wanted_wake_nobody() -> None:
    watches = Watches()
    door = watches.join("door")
    subscription = Subscription(watches, door, wants=lambda kind: kind == TRACK)
    tell(door, b"frame")
    assert not subscription.changed.is_set()
    tell(door, b"track", TRACK)
    assert values(subscription.take()) == [b"track"]


def test_who_is_slow_loses_the_oldest_and_learns_how_many() -> None:
    watches = Watches(window_events=3)
    door = watches.join("door")
    slow, other = Subscription(watches, door), Subscription(watches, door)
    for index in range(10):
        tell(door, b"%d" % index)
        assert values(other.take()) == [b"%d" % index]
    tell(door, b"track", TRACK)  # in a ring of its own, that many frames do not push out
    lost, events = slow.take()
    assert (lost, [event.value for event in events]) == (7, [b"7", b"8", b"9", b"track"])
    assert door.lost == 7
    assert slow.take() == (0, [])


def test_the_window_is_bounded_in_bytes_and_has_the_last_whatever_its_size() -> None:
    watches = Watches(window_bytes=10)
    door = watches.join("door")
    tell(door, b"x" * 6)
    tell(door, b"y" * 4)
    assert values(Subscription(watches, door, after=0).take()) == [b"x" * 6, b"y" * 4]
    tell(door, b"z" * 50)
    resumed = Subscription(watches, door, after=0)
    assert resumed.has_gap
    assert values(resumed.take()) == [b"z" * 50]


def test_resumed_anywhere_in_the_window_nothing_is_missing_or_double() -> None:
    """By what is seen of all streams and kinds, at each place in the sequence."""
    choose = random.Random(1)  # noqa: S311
    watches = Watches()
    streams = [watches.join(name) for name in ("door", "yard", "hall")]
    told = [(choose.choice(streams), choose.choice((FRAME, TRACK)), b"%d" % number) for number in range(200)]
    for watched, kind, value in told:
        tell(watched, value, kind)
    for after in range(201):
        subscription = Subscription(watches, None, after=after)
        assert not subscription.has_gap
        assert values(subscription.take()) == [value for _, _, value in told[after:]]
        of_one = Subscription(watches, streams[0], after=after)
        assert values(of_one.take()) == [value for watched, _, value in told[after:] if watched is streams[0]]


def test_what_has_gone_of_another_kind_is_no_gap() -> None:
    watches = Watches(window_events=2)
    door = watches.join("door")
    tell(door, b"track", TRACK)
    for _ in range(5):
        tell(door, b"frame")
    assert Subscription(watches, door, after=1).has_gap
    assert not Subscription(watches, door, after=0, wants=lambda kind: kind == TRACK).has_gap


def test_streams_come_and_go_while_all_are_watched() -> None:
    watches = Watches()
    door = watches.join("door")
    subscription = Subscription(watches, None, may=lambda stream: stream != "secret")
    yard, secret = watches.join("yard"), watches.join("secret")
    for watched in (door, secret, yard):
        tell(watched, watched.stream.encode())
    door.leave()
    assert values(subscription.take()) == [b"door", b"yard"]  # what was told before it left is not lost
    assert not subscription.ended
    again = watches.join("door")
    tell(again, b"again")
    assert values(subscription.take()) == [b"again"]
    assert Subscription(watches, None, after=1).has_gap  # of the stream that is no more nothing is kept
    assert Subscription(watches, again, after=1).has_gap
    assert not Subscription(watches, again, after=4).has_gap
    subscription.close()
    tell(again, b"unseen")
    assert values(subscription.take()) == []


def test_the_one_stream_s_end_is_told_once_all_was_taken() -> None:
    watches = Watches()
    door = watches.join("door")
    subscription = Subscription(watches, door)
    tell(door, b"last")
    door.leave()
    door.leave()
    assert subscription.ended
    assert subscription.changed.is_set()
    assert values(subscription.take()) == [b"last"]
    with pytest.raises(UnknownStream):
        watches.watched("door")


def test_a_stream_that_is_permitted_later_is_met_then() -> None:
    watches = Watches()
    door, allowed = watches.join("door"), set[str]()
    subscription = Subscription(watches, None, may=lambda stream: stream in allowed)
    tell(door, b"1")
    allowed.add("door")
    subscription.meet_all(watches.sequence)
    tell(door, b"2")
    assert values(subscription.take()) == [b"2"]


def test_a_batch_is_bounded_and_the_rest_is_due() -> None:
    watches = Watches()
    door = watches.join("door")
    subscription = Subscription(watches, door)
    for index in range(5):
        tell(door, b"%d" % index * (BATCH_BYTES // 2))
    taken = []
    while subscription.changed.is_set():
        batch = values(subscription.take())
        assert sum(map(len, batch)) <= 2 * BATCH_BYTES
        taken += batch
    assert [value[:1] for value in taken] == [b"0", b"1", b"2", b"3", b"4"]


def test_what_was_seen_before_a_change_is_forgotten() -> None:
    watches = Watches()
    door = watches.join("door")
    subscription = Subscription(watches, door)
    tell(door, b"seen")
    door.show(Sample(Frame.of(np.zeros((4, 4, 3), np.uint8))), era=0)
    door.forget()
    assert door.look is None
    door.show(Sample(Frame.of(np.zeros((4, 4, 3), np.uint8))), era=0)  # of work that began before
    assert door.look is None
    tell(door, b"after")
    lost, events = subscription.take()
    assert (lost, [event.value for event in events]) == (1, [b"after"])
    assert values(Subscription(watches, door, after=1).take()) == [b"after"]
    door.show(Sample(Frame.of(np.zeros((4, 4, 3), np.uint8))), era=1)
    assert door.look is not None


def test_pictures_that_are_too_large_are_left_out() -> None:
    watches = Watches()
    door = watches.join("door")
    subscription = Subscription(watches, door)
    tell(door, b"with", smaller=b"bare")
    tell(door, b"x" * (MOST_BYTES + 1), smaller=b"bare")
    tell(door, b"x" * (MOST_BYTES + 1))
    _, events = subscription.take()
    assert [(event.value[:4], event.has_pictures) for event in events] == [
        (b"with", True),
        (b"bare", False),
        (b"xxxx", False),
    ]
