"""What a sink's settings take and leave out holds within a transaction too."""

from types import SimpleNamespace
from typing import Any, cast

from daemon.flow.receipts import Counts
from daemon.kafka.transaction import _Topic, _Transactions
from sinks.base import About, Record
from sinks.kafka_settings import KafkaSettings

TEMPLATE = b'{"objects":[{"class":"face","template":{"x":1}}]}'


def test_a_topic_takes_what_its_sink_s_settings_say_and_the_rest_is_counted() -> None:
    collected: list[Any] = []
    transactions = SimpleNamespace(collect=lambda *collect: collected.append(collect))
    settings = KafkaSettings(type="kafka", topic="out", types=("frame",), include=("_image",))
    counts, frames = Counts(), Counts()
    topic = _Topic(cast(_Transactions, transactions), settings, counts)
    frame = Record("door", TEMPLATE, about=About("visaged.frame"))
    assert not topic.takes(Record("door", b"{}", about=About("visaged.track", "left")))
    assert topic.takes(frame)
    topic.offer(frame, receipt := frames.open())
    ((name, record, of_frame, own),) = collected
    assert (name, record.value, of_frame) == ("out", b'{"objects":[{"class":"face"}]}', receipt)
    own.acknowledge()
    of_frame.acknowledge()
    assert (counts.received, counts.acknowledged, counts.skipped) == (2, 1, {"not taken": 1})
