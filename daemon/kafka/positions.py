"""Where a partition begins, and what its commits say of that.

A group's first position in each partition is committed before a record is read, so that nothing is passed over that
comes while no daemon runs. With it, and with all later ones, goes the number of partitions that the topic had when the
group first came: one that is numbered at or above it was added since, and begins at its start whatever `start` says.
"""

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from sinks.kafka_client import committed_offsets

log = logging.getLogger(__name__)

METADATA = re.compile(r"visaged partitions=(\d+)")

Start = Literal["earliest", "latest"]


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where an opening of a partition goes on."""

    position: int
    committed: int | None
    """The offset that the group had committed; None: none."""
    metadata: str
    """Of this and all later commits of the opening."""

    @property
    def lost(self) -> int:
        """Offsets that the broker had deleted before they were read."""
        return 0 if self.committed is None else max(self.position - self.committed, 0)


async def beginning(
    consumer: AIOKafkaConsumer, tp: TopicPartition, start: Start, *, is_new: bool, out_of_range: int | None
) -> Beginning:
    """`is_new`: the topic was not there before; `out_of_range`: a committed offset that the broker does not have.

    Nothing is awaited behind the answer to a committed offset that can be gone on from: whoever seeks at once undoes
    nobody's commit.
    """
    own = (await committed_offsets(consumer, [tp])).get(tp)
    known = consumer.partitions_for_topic(tp.topic) or {tp.partition}
    if own is not None and own.offset != out_of_range:
        return Beginning(own.offset, own.offset, _metadata(_first_count([own]) or len(known)))
    if own is not None:
        position = await _nearest(consumer, tp, own.offset, start)
        return Beginning(position, own.offset, _metadata(_first_count([own]) or len(known)))
    others = await committed_offsets(consumer, [TopicPartition(tp.topic, number) for number in sorted(known)])
    count = _first_count(others.values())
    was_added = count is not None and tp.partition >= count
    latest = start == "latest" and not (is_new or was_added)
    offsets = await (consumer.end_offsets([tp]) if latest else consumer.beginning_offsets([tp]))
    return Beginning(int(offsets[tp]), None, _metadata(count or len(known)))


def _metadata(count: int) -> str:
    return f"visaged partitions={count}"


def _first_count(commits: Iterable[OffsetAndMetadata]) -> int | None:
    """The partitions there were when the group first came; None: no commit says so."""
    found = [METADATA.fullmatch(commit.metadata or "") for commit in commits]
    return min((int(match[1]) for match in found if match), default=None)


async def _nearest(consumer: AIOKafkaConsumer, tp: TopicPartition, committed: int, start: Start) -> int:
    """Where to go on: the broker no longer has the committed offset, or has lost it."""
    begins, ends = (await consumer.beginning_offsets([tp]))[tp], (await consumer.end_offsets([tp]))[tp]
    if committed < begins:  # whatever `start` says: no more than is gone is passed over
        said = f"the partition begins at {begins}, {begins - committed} offsets are lost"
        position = begins
    else:
        said = f"the partition ends at {ends}"
        position = ends if start == "latest" else begins
    log.warning("%s-%d: committed %d, %s: going on at %d", tp.topic, tp.partition, committed, said, position)
    return int(position)
