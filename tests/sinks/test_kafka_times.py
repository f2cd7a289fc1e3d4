"""What goes out in the place of a record whose time a topic refuses."""

import time
from dataclasses import replace

import pytest

from sinks.base import Record
from sinks.kafka_times import NO_TIMESTAMP_S, ORIGINAL_TIMESTAMP, TimeLimits

DAY_S = 24 * 3600.0


def record(days_from_now: float) -> Record:
    return Record("door", b"x", (("ce_id", b"1"),), timestamp=time.time() + days_from_now * DAY_S)


@pytest.mark.parametrize("days", [30, -30])
def test_a_time_that_was_refused_is_not_sent_again_and_neither_is_one_near_it(days: float) -> None:
    limits = TimeLimits("out")
    refused = record(days)
    assert limits.dated(refused) is refused
    assert limits.learn(refused, refused)
    for other in (refused, record(days * 2), record(days * 0.9)):
        sent = limits.dated(other)
        assert abs((sent.timestamp or 0) - time.time()) < 1
        assert sent.headers == (*other.headers, (ORIGINAL_TIMESTAMP, b"%d" % round((other.timestamp or 0) * 1000)))
        assert (sent.key, sent.value) == (other.key, other.value)
    for taken in (record(0), record(days / 4), record(-days), replace(refused, timestamp=None)):
        assert limits.dated(taken) is taken


def test_it_ends_where_the_machines_own_clock_is_wrong() -> None:
    """The broker then refuses the present time too: a record that has none is taken by any topic."""
    limits = TimeLimits("out")
    refused = record(0)
    attempts = 0
    while (sent := limits.dated(refused)).timestamp != NO_TIMESTAMP_S:
        assert limits.learn(refused, sent)
        attempts += 1
        assert attempts < 10
        time.sleep(0.001)
    assert dict(sent.headers)[ORIGINAL_TIMESTAMP] == b"%d" % round((refused.timestamp or 0) * 1000)
    assert not limits.learn(refused, sent)
