"""Commits that the group does not take."""

import asyncio
import logging
from pathlib import Path
from typing import cast

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, GroupAuthorizationFailedError, OffsetMetadataTooLargeError

from daemon.flow.delivery import Delivery
from daemon.kafka.at_least_once import AtLeastOnce
from daemon.kafka.partition import Commits, Session
from daemon.kafka.settings import ConsumerSettings
from sinks.file import FileSettings, FileSink
from sinks.kafka_settings import KafkaCluster
from tests.waiting import until

PLACE = TopicPartition("frames", 0)


class Refusing:
    """A session, its partition and its consumer: commits are refused until there is no error."""

    def __init__(self) -> None:
        self.partition = self.consumer = self
        self.tp = PLACE
        self.pending = 3
        self.error: Exception | None = None
        self.asked: list[dict[TopicPartition, tuple[int, str]]] = []

    async def commit(self, offsets: dict[TopicPartition, tuple[int, str]]) -> None:
        self.asked.append(offsets)
        if self.error:
            raise self.error


def commits_of(session: Refusing, *deliveries: Delivery) -> Commits:
    settings = ConsumerSettings(topics=("frames",))
    guarantee = AtLeastOnce("frames", settings, KafkaCluster(bootstrap_servers="127.0.0.1:1"), deliveries)
    return guarantee.commits(cast("Session", session))


async def test_a_commit_that_is_refused_is_made_again_until_it_is_taken(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    session = Refusing()
    session.error = GroupAuthorizationFailedError("visaged")
    commits = commits_of(session)
    committing = asyncio.create_task(commits.commit((), 7, "metadata"))
    await until(lambda: len(session.asked) == 3)
    allow = "the commit is refused: not allowed in group visaged: this user needs READ on the group"
    assert commits.obstacle == allow
    session.error = OffsetMetadataTooLargeError()
    await until(lambda: "OffsetMetadataTooLargeError" in (commits.obstacle or ""))
    assert not committing.done()
    session.error = None
    await committing
    assert commits.obstacle is None
    assert session.asked[-1] == {PLACE: (7, "metadata")}
    told = [record.levelname for record in caplog.records]
    assert told == ["WARNING", "WARNING", "INFO"], caplog.messages


async def test_a_group_that_moves_is_no_refusal_and_no_commit(caplog: pytest.LogCaptureFixture) -> None:
    session = Refusing()
    session.error = CommitFailedError()
    commits = commits_of(session)
    committing = asyncio.create_task(commits.commit((), 7))
    await until(lambda: len(session.asked) == 3)
    assert (commits.obstacle, committing.done(), caplog.messages) == (None, False, [])
    session.error = None
    await committing


async def test_a_sink_that_cannot_be_written_to_stands_between_records_and_their_commit() -> None:
    session = Refusing()
    sink = FileSink(FileSettings(type="file", path=Path("unused")))
    delivery = Delivery("out", sink)
    commits = commits_of(session, Delivery("other", sink), delivery)
    delivery.state, delivery.error = "waiting", "no answer in time"
    assert commits.obstacle == "sink out is waiting: no answer in time"
    session.pending = 0
    assert commits.obstacle is None
