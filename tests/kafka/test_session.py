"""A partition and its sessions alone: a consumer that knows an offset, and commits that are only noted."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from daemon.flow.engine import Engine
from daemon.flow.pipeline import Outgoing
from daemon.flow.receipts import Counts, Receipt
from daemon.flow.timing import Timing
from daemon.kafka import partition as partition_module
from daemon.kafka.partition import Entry, Partition, Session
from daemon.kafka.records import READ_AGAIN, RecordCounts
from daemon.kafka.settings import ConsumerSettings
from processors.types import Frame, Sample
from sinks.base import Record
from tests.fakes import CollectingSink
from tests.kafka_frames import strip
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("accounts")

PLACE = TopicPartition("pictures", 0)
MAX_PENDING = 8


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition_module, "REOPEN_S", 0.01)
    monkeypatch.setattr(partition_module, "SWEEP_S", 0.01)


class Committed:
    """As much of a consumer as a partition asks: where the group is, and where to read from."""

    def __init__(self) -> None:
        self.position = 0
        self.sought: list[int] = []
        self._coordinator = self

    async def fetch_committed_offsets(
        self, places: Sequence[TopicPartition]
    ) -> dict[TopicPartition, OffsetAndMetadata]:
        return {place: OffsetAndMetadata(self.position, "") for place in places}

    def partitions_for_topic(self, topic: str) -> set[int]:
        return {0}

    def seek(self, place: TopicPartition, offset: int) -> None:
        self.sought.append(offset)


class Noted:
    """Commits to the consumer's position; dead letters are done at once."""

    def __init__(self, session: Session, consumer: Committed, sink: CollectingSink) -> None:
        self.outgoing: Sequence[Outgoing] = [sink]
        self.obstacle: str | None = None
        self.dead_letters: list[tuple[int, str]] = []
        self._session = session
        self._consumer = consumer

    async def open(self) -> None: ...
    async def close(self) -> None: ...
    async def flush(self) -> None: ...

    async def commit(self, entries: Sequence[Entry], position: int, metadata: str = "") -> None:
        self._consumer.position = position

    def send_dead_letter(self, entry: Entry, reason: str) -> None:
        self.dead_letters.append((entry.record.offset, reason))
        self._session.done(entry)


class Script:
    """Work that notes when a run begins and ends, and holds its end until the gate opens."""

    in_order = True
    aside = None

    def __init__(self, run: str, asked: list[str], gate: threading.Event) -> None:
        self._run = run
        self._asked = asked
        self._gate = gate

    def begin(self) -> Sequence[Record]:
        self._asked.append(f"{self._run} begins")
        return ()

    def look(self, frame: Frame, turn: int) -> Sample:
        return Sample(frame)

    def tell(self, sample: Sample, *, live: bool = False) -> Sequence[Record]:
        return [Record(sample.frame.source, b"%d" % sample.frame.index)]

    def end(self) -> Sequence[Record]:
        self._asked.append(f"{self._run} ends")
        assert self._gate.wait(10)
        return [Record("door", b"end")]

    def settle(self) -> None: ...


class Answering(CollectingSink):
    """Answers for the record of this offset with `spoil`."""

    def __init__(self, offset: int, spoil: Callable[[Receipt], None]) -> None:
        super().__init__()
        self._value = b"%d" % offset
        self._spoil = spoil

    def offer(self, record: Record, receipt: Receipt) -> None:
        if record.value == self._value:
            self._spoil(receipt)
        else:
            super().offer(record, receipt)


class Spoiling(Answering):
    """Only once."""

    def offer(self, record: Record, receipt: Receipt) -> None:
        super().offer(record, receipt)
        if record.value == self._value:
            self._value = b""


class Rig:
    """A partition of a topic at work."""

    def __init__(self, engine: Engine, sink: CollectingSink, idle_timeout: float) -> None:
        self.sink = sink
        self.consumer = Committed()
        self.counts = RecordCounts()
        self.asked: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self.commits: list[Noted] = []
        self.partition = Partition(
            PLACE,
            self.consumer,
            ConsumerSettings(topics=("pictures",), max_pending=MAX_PENDING, idle_timeout=idle_timeout),
            counts=self.counts,
            letters=Counts(),
            make_work=lambda stream, run, place: Script(run, self.asked, self.gate),
            make_commits=self._commits,
            lane=engine.lane("pictures"),
            window=1,
            timing=Timing(),
            answer_timeout=1,
            on_room=lambda: None,
        )

    def _commits(self, session: Session) -> Noted:
        self.commits.append(Noted(session, self.consumer, self.sink))
        return self.commits[-1]

    async def read(self, offsets: range) -> None:
        """As the consumer does."""
        for offset in offsets:
            await until(lambda: self.partition.room > 0)
            self.partition.take(ConsumerRecord("pictures", 0, offset, 0, 0, b"door", strip(0), 0, 0, 0, ()))

    def is_open_again(self, times: int) -> bool:
        return self.partition.reopened == times and self.partition.room > 0

    async def committed(self, position: int) -> None:
        await until(lambda: self.consumer.position == position)


@contextlib.asynccontextmanager
async def at_work(sink: CollectingSink, idle_timeout: float = 60) -> AsyncIterator[Rig]:
    engine = Engine(2)  # one may be held
    rig = Rig(engine, sink, idle_timeout)
    try:
        yield rig
    finally:
        rig.gate.set()
        sink.open.set()
        await rig.partition.close(None)
        await engine.close()


async def test_records_are_committed_and_no_more_is_taken_than_may_be_pending() -> None:
    sink = CollectingSink()
    sink.open.clear()
    async with at_work(sink) as rig:
        await rig.read(range(MAX_PENDING))
        assert rig.partition.room == 0
        sink.open.set()
        await rig.committed(MAX_PENDING)
        await rig.read(range(MAX_PENDING, 3 * MAX_PENDING))
        await rig.committed(3 * MAX_PENDING)
    assert sink.values == [b"%d" % offset for offset in range(3 * MAX_PENDING)] + [b"end"]
    assert rig.asked == ["pictures-0-0 begins", "pictures-0-0 ends"]


async def test_a_key_that_comes_back_begins_when_its_run_before_has_ended() -> None:
    async with at_work(CollectingSink(), idle_timeout=0.02) as rig:
        rig.gate.clear()
        await rig.read(range(3))
        await until(lambda: "pictures-0-0 ends" in rig.asked)
        await rig.read(range(3, 6))
        await asyncio.sleep(0.05)
        assert rig.asked == ["pictures-0-0 begins", "pictures-0-0 ends"]
        rig.gate.set()
        await rig.committed(6)
    assert rig.sink.values == [b"0", b"1", b"2", b"end", b"3", b"4", b"5", b"end"]
    assert rig.asked == [f"pictures-0-{first} {what}" for first in (0, 3) for what in ("begins", "ends")]


async def test_what_waits_for_its_keys_run_before_when_a_session_fails_is_read_again() -> None:
    async with at_work(CollectingSink(), idle_timeout=0.02) as rig:
        rig.gate.clear()
        await rig.read(range(3))
        await until(lambda: "pictures-0-0 ends" in rig.asked)
        await rig.read(range(3, 6))
        rig.partition.miss(9)
        rig.gate.set()
        await until(lambda: rig.partition.reopened == 1 and rig.partition.room == MAX_PENDING)
        assert (rig.counts.pending, rig.counts.skipped) == (0, {READ_AGAIN: 3})
        await rig.read(range(3, 6))
        await rig.committed(6)


async def test_a_record_that_failed_goes_to_the_dead_letters() -> None:
    async with at_work(Spoiling(2, lambda receipt: receipt.fail("out: too large"))) as rig:
        await rig.read(range(4))
        await rig.committed(4)
        assert rig.commits[0].dead_letters == [(2, "out: too large")]
    assert rig.partition.reopened == 0
    assert (rig.counts.acknowledged, rig.counts.failed) == (3, {"out: too large": 1})


@pytest.mark.parametrize(
    ("spoil", "counted"),
    [
        (lambda receipt: receipt.drop("out: stopped"), {READ_AGAIN: 1}),
        (lambda receipt: receipt.doubt("out: in doubt"), {"out: in doubt": 1}),
        (lambda receipt: receipt.doubt("nobody knows"), {"nobody knows": 1}),
    ],
)
async def test_a_record_that_was_dropped_or_is_in_doubt_is_read_again(
    spoil: Callable[[Receipt], None], counted: dict[str, int]
) -> None:
    async with at_work(Spoiling(2, spoil)) as rig:
        await rig.read(range(3))
        await until(lambda: rig.partition.reopened == 1 and rig.partition.room > 0)
        assert rig.consumer.sought == [0, 2]
        await rig.read(range(2, 5))
        await rig.committed(5)
        assert [noted.dead_letters for noted in rig.commits] == [[], []]
    assert rig.counts.skipped + rig.counts.failed == counted
    assert rig.counts.acknowledged == 5


async def test_a_record_whose_work_hangs_each_time_is_a_dead_letter() -> None:
    """The others of its partition do not wait for it for ever."""
    async with at_work(Answering(1, lambda receipt: receipt.hang("WorkerHung"))) as rig:
        for reopened in range(1, partition_module.MOST_HANGS + 1):
            await rig.read(range(rig.consumer.position, 3))
            await until(partial(rig.is_open_again, reopened))
            assert rig.consumer.position == 1
        await rig.read(range(1, 4))
        await rig.committed(4)
        assert rig.commits[-1].dead_letters == [(1, "AlwaysHangs")]
    assert rig.counts.failed == {"AlwaysHangs": 1}
    assert rig.partition.hangs == {}


async def test_a_record_whose_work_hung_once_is_worked_on_again() -> None:
    async with at_work(Spoiling(1, lambda receipt: receipt.hang("WorkerHung"))) as rig:
        await rig.read(range(3))
        await until(lambda: rig.partition.reopened == 1 and rig.partition.room > 0)
        await rig.read(range(1, 4))
        await rig.committed(4)
    assert (rig.counts.acknowledged, rig.counts.failed, rig.partition.hangs) == (4, {}, {})


async def test_what_waits_in_a_key_when_a_session_fails_is_read_again() -> None:
    sink = CollectingSink()
    sink.open.clear()
    async with at_work(sink) as rig:
        await rig.read(range(MAX_PENDING))
        rig.partition.miss(9)
        sink.open.set()
        await until(lambda: rig.partition.reopened == 1 and rig.partition.room == MAX_PENDING)
        assert (rig.counts.received, rig.counts.pending) == (MAX_PENDING, 0)
        await rig.read(range(rig.consumer.position, MAX_PENDING))
        await rig.committed(MAX_PENDING)
