"""How records are counted, and what is said of errors."""

import pytest
from aiokafka.errors import KafkaConnectionError, NodeNotReadyError, NotCoordinatorForGroupError

from daemon.errors import SourceError
from daemon.flow.receipts import Ending
from daemon.kafka.partition import words_of
from daemon.kafka.records import READ_AGAIN, RecordCounts
from sinks.base import SinkError


def test_a_record_that_is_dropped_is_read_again_and_not_lost() -> None:
    counts = RecordCounts()
    told: list[tuple[Ending, str]] = []
    for _ in range(2):
        counts.open(lambda *ending: told.append(ending)).drop("out: stopped")
    counts.open().fail("DamagedImage")
    counts.open().acknowledge()
    assert (counts.received, counts.acknowledged, counts.pending) == (4, 1, 0)
    assert (counts.skipped, counts.dropped, counts.failed) == ({READ_AGAIN: 2}, {}, {"DamagedImage": 1})
    assert [reason for _, reason in told] == ["out: stopped"] * 2  # what the partition goes by


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (SourceError("offset 7 was not delivered (out: stopped)"), "offset 7 was not delivered (out: stopped)"),
        (SinkError("192.0.2.1:9092: no answer in time", retriable=True), "192.0.2.1:9092: no answer in time"),
        (NodeNotReadyError("node 1"), "NodeNotReadyError: node 1"),
        (NotCoordinatorForGroupError(), "[Error 16] NotCoordinatorForGroupError"),
        (KafkaConnectionError("closed"), "it closed the connection (does it want another `tls` or `sasl`?)"),
        (TimeoutError(), "no answer in time"),
        (ExceptionGroup("", [ExceptionGroup("", [NodeNotReadyError("node 1")])]), "NodeNotReadyError: node 1"),
        (KeyError("key"), "KeyError('key')"),  # a bug
        (AssertionError(), "AssertionError()"),
    ],
)
def test_an_error_is_said_once(error: Exception, said: str) -> None:
    assert words_of(error) == said
