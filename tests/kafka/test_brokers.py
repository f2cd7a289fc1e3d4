"""What the watch over brokers says, and how often."""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import GroupAuthorizationFailedError, KafkaConnectionError

from daemon.kafka import brokers
from daemon.kafka.brokers import BrokerWatch
from daemon.kafka.settings import ConsumerSettings
from sinks.base import SinkError
from sinks.kafka_settings import KafkaCluster

SERVERS = "127.0.0.1:9092"


class Member:
    """A consumer without partitions whose group answers with an error, or not at all, or with nothing committed."""

    def __init__(self) -> None:
        self._coordinator = self
        self.answer: Exception | None = None
        self.refusal: Exception | None = None

    def assignment(self) -> Sequence[TopicPartition]:
        return ()

    def subscription(self) -> frozenset[str]:
        return frozenset({"frames"})

    def check_errors(self) -> None:
        if self.refusal:
            raise self.refusal

    async def fetch_committed_offsets(self, tps: Sequence[TopicPartition]) -> dict[TopicPartition, Any]:
        if isinstance(self.answer, TimeoutError):
            await asyncio.Event().wait()
        if self.answer:
            raise self.answer
        return {}


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> BrokerWatch:
    monkeypatch.setattr(brokers, "ANSWER_S", 0.05)
    watch = BrokerWatch("frames", ConsumerSettings(topics=("frames",)), KafkaCluster(bootstrap_servers=SERVERS))
    watch.waits_since = None
    return watch


def connections(monkeypatch: pytest.MonkeyPatch, end_with: SinkError | None) -> None:
    async def check(*args: object, **kwargs: object) -> None:
        if end_with:
            raise end_with

    monkeypatch.setattr(brokers, "check_connection", check)


async def test_a_reason_is_logged_when_it_changes_and_when_it_is_over(
    watch: BrokerWatch, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A password that was changed during an outage stood under the outage's reason."""
    caplog.set_level(logging.INFO)
    member = Member()
    await watch.look(member, {})
    member.answer = KafkaConnectionError()
    for reason in ("connection refused", "connection refused", "wrong password", "wrong password"):
        connections(monkeypatch, SinkError(reason, retriable=True))
        await watch.look(member, {})
        assert watch.error == reason
    member.answer = None
    await watch.look(member, {})
    assert watch.error is None
    assert caplog.messages == [
        "frames: connection refused",
        "frames: wrong password",
        "frames: over: wrong password",
    ]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (TimeoutError(), f"{SERVERS} answers, the coordinator of group visaged does not"),
        (KafkaConnectionError(), f"{SERVERS} answers, the coordinator of group visaged does not"),
        (GroupAuthorizationFailedError("visaged"), "not allowed in group visaged: this user needs READ on the group"),
    ],
)
async def test_brokers_that_answer_for_a_group_that_does_not(
    watch: BrokerWatch, monkeypatch: pytest.MonkeyPatch, answer: Exception, why: str
) -> None:
    connections(monkeypatch, None)
    member = Member()
    member.answer = answer
    await watch.look(member, {})
    assert watch.error == why


async def test_a_group_that_does_not_let_a_member_in(watch: BrokerWatch, monkeypatch: pytest.MonkeyPatch) -> None:
    watch.waits_since = time.monotonic()
    await watch.look(Member(), {})
    assert watch.error is None
    monkeypatch.setattr(brokers, "JOIN_S", -1)
    await watch.look(Member(), {})
    assert watch.error == "group visaged has not said which partitions are ours: it waits for its other members"


async def test_a_refusal_of_the_group_ends_the_run(watch: BrokerWatch) -> None:
    member = Member()
    member.refusal = GroupAuthorizationFailedError("visaged")
    with pytest.raises(GroupAuthorizationFailedError):
        await watch.look(member, {})
