"""Where a partition begins, by what its group has committed."""

from collections.abc import Mapping, Sequence

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata

from daemon.kafka.positions import Beginning, Start, beginning

BEGINS, ENDS = 5, 90


class Group:
    """What a consumer says of a topic of three partitions."""

    def __init__(self, committed: Mapping[int, tuple[int, str]]) -> None:
        self._committed = committed
        self._coordinator = self

    async def fetch_committed_offsets(self, tps: Sequence[TopicPartition]) -> dict[TopicPartition, OffsetAndMetadata]:
        return {tp: OffsetAndMetadata(*self._committed[tp.partition]) for tp in tps if tp.partition in self._committed}

    def partitions_for_topic(self, topic: str) -> set[int]:
        return {0, 1, 2}

    async def beginning_offsets(self, tps: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(tps, BEGINS)

    async def end_offsets(self, tps: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(tps, ENDS)


OF_ONE, OF_THREE = "visaged partitions=1", "visaged partitions=3"


@pytest.mark.parametrize(
    ("committed", "start", "expected"),
    [
        ({}, "earliest", Beginning(BEGINS, None, OF_THREE)),
        ({}, "latest", Beginning(ENDS, None, OF_THREE)),
        ({2: (42, "")}, "latest", Beginning(42, 42, OF_THREE)),  # of an earlier version
        ({2: (42, "another's")}, "latest", Beginning(42, 42, OF_THREE)),
        ({2: (42, OF_ONE)}, "latest", Beginning(42, 42, OF_ONE)),
        ({0: (42, OF_ONE)}, "latest", Beginning(BEGINS, None, OF_ONE)),
        ({0: (42, OF_ONE), 1: (7, OF_THREE)}, "latest", Beginning(BEGINS, None, OF_ONE)),
        ({0: (42, OF_THREE)}, "latest", Beginning(ENDS, None, OF_THREE)),
        ({0: (42, "")}, "latest", Beginning(ENDS, None, OF_THREE)),
    ],
)
async def test_the_last_of_three_partitions(
    committed: dict[int, tuple[int, str]], start: Start, expected: Beginning
) -> None:
    tp = TopicPartition("frames", 2)
    assert await beginning(Group(committed), tp, start, is_new=False, out_of_range=None) == expected


async def test_a_topic_that_was_not_there_before_has_no_old_records() -> None:
    begins = await beginning(Group({}), TopicPartition("frames", 2), "latest", is_new=True, out_of_range=None)
    assert begins == Beginning(BEGINS, None, OF_THREE)


@pytest.mark.parametrize(
    ("committed", "start", "position", "lost"),
    [(2, "latest", BEGINS, 3), (172, "latest", ENDS, 0), (172, "earliest", BEGINS, 0)],
)
async def test_what_the_broker_does_not_have(committed: int, start: Start, position: int, lost: int) -> None:
    group = Group({2: (committed, OF_ONE)})
    begins = await beginning(group, TopicPartition("frames", 2), start, is_new=False, out_of_range=committed)
    assert (begins, begins.lost) == (Beginning(position, committed, OF_ONE), lost)
