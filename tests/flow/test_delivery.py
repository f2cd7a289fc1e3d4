import asyncio
import itertools
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import pytest

from daemon.flow import delivery as delivery_module
from daemon.flow.delivery import Delivery
from daemon.flow.receipts import Counts, Ending
from sinks.base import Record, SinkError, SinkInUse
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("accounts")

Write = Callable[[Sequence[Record]], Awaitable[None]]


@pytest.fixture(autouse=True)
def short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery_module, "FIRST_DELAY_S", 0.001)
    monkeypatch.setattr(delivery_module, "LONGEST_DELAY_S", 0.004)


def retriable(records: Sequence[Record] = (), refused: Sequence[tuple[Record, str]] = ()) -> SinkError:
    return SinkError("the broker is away", retriable=True, unwritten=records, refused=refused)


def final(records: Sequence[Record] = ()) -> SinkError:
    return SinkError("gone for good", retriable=False, unwritten=records)


class ScriptedSink:
    """Raises what is scripted for its next calls, if anything; keeps what it has written."""

    def __init__(self, *, opens: Sequence[Exception | None] = (), writes: Sequence[Write | None] = ()) -> None:
        self.counts: Counter[str] = Counter()
        self.written: list[bytes] = []
        self.calls: list[str] = []
        self._opens = iter(opens)
        self._writes = iter(writes)

    async def open(self) -> None:
        self.calls.append("open")
        if error := next(self._opens, None):
            raise error

    async def write(self, records: Sequence[Record]) -> None:
        self.calls.append("write")
        if script := next(self._writes, None):
            await script(records)
        self.keep(records)

    async def close(self) -> None:
        self.calls.append("close")

    def keep(self, records: Sequence[Record]) -> None:
        self.written += [record.value for record in records]


class Rig:
    """A delivery at work, and the frames that its records come from."""

    def __init__(self, sink: ScriptedSink, backlog: int = 100, batch: int = 100, in_use_timeout: float = 0.0) -> None:
        self.sink = sink
        self.delivery = Delivery("kafka", sink, backlog, batch, in_use_timeout=in_use_timeout)
        self.frames = Counts()

    async def start(self) -> "asyncio.Task[None]":
        running = asyncio.create_task(self.delivery.run())
        await asyncio.sleep(0)  # it has begun
        return running

    def offer(self, numbers: range) -> None:
        for number in numbers:
            self.delivery.offer(Record("door", b"%d" % number), self.frames.open())

    async def put(self, numbers: range) -> None:
        for number in numbers:
            await self.delivery.put(Record("door", b"%d" % number), self.frames.open())

    def ended(self) -> dict[str, int]:
        """How the frames ended; the delivery's own counters must say the same."""
        own = self.delivery.counts
        assert (own.received, own.acknowledged, own.reasons) == (
            self.frames.received,
            self.frames.acknowledged,
            self.frames.reasons,
        )
        return {"acknowledged": own.acknowledged, **own.dropped, **own.failed}


def numbers(values: Sequence[bytes]) -> list[int]:
    return [int(value) for value in values]


async def test_writes_what_is_put_and_offered_in_order() -> None:
    rig = Rig(ScriptedSink())
    await rig.start()
    await rig.put(range(10))
    rig.offer(range(10, 20))
    await rig.delivery.close(1)
    assert numbers(rig.sink.written) == list(range(20))
    assert rig.ended() == {"acknowledged": 20}
    assert rig.sink.calls[-1] == "close"
    assert rig.delivery.state == "closed"


async def test_the_lag_is_that_of_the_oldest_record_that_waits_or_is_being_written() -> None:
    written = asyncio.Event()

    async def slow(_: Sequence[Record]) -> None:
        await written.wait()

    rig = Rig(ScriptedSink(writes=[slow]))
    assert rig.delivery.lag == 0
    rig.offer(range(1))
    await asyncio.sleep(0.05)
    rig.offer(range(1, 2))
    waiting = rig.delivery.lag
    await rig.start()
    await until(lambda: rig.sink.calls[-1] == "write")
    writing = rig.delivery.lag
    written.set()
    await until(lambda: rig.frames.acknowledged == 2)
    assert 0.05 <= waiting <= writing < 5
    assert rig.delivery.lag == 0
    await rig.delivery.close(1)


async def test_what_was_taken_before_the_start_is_written() -> None:
    rig = Rig(ScriptedSink())
    rig.offer(range(5))
    states = [rig.delivery.state]
    await rig.start()
    await until(lambda: rig.frames.acknowledged == 5)
    states.append(rig.delivery.state)
    await rig.delivery.close(1)
    assert [*states, rig.delivery.state] == ["opening", "writing", "closed"]


async def test_a_batch_has_at_most_its_size() -> None:
    sizes = []

    async def note(records: Sequence[Record]) -> None:
        sizes.append(len(records))

    rig = Rig(ScriptedSink(writes=[note] * 3), batch=4)
    rig.offer(range(10))
    await rig.start()
    await rig.delivery.close(1)
    assert sizes == [4, 4, 2]


async def test_a_full_backlog_drops_the_oldest_offered(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(ScriptedSink(), backlog=3)
    rig.offer(range(5))
    assert caplog.messages == ["kafka: the backlog of 3 records is full: the oldest are dropped"]
    await rig.start()
    await rig.delivery.close(1)
    assert numbers(rig.sink.written) == [2, 3, 4]
    assert rig.ended() == {"acknowledged": 3, "kafka: backlog full": 2}


async def test_put_waits_for_room() -> None:
    rig = Rig(ScriptedSink(), backlog=2)
    putting = asyncio.create_task(rig.put(range(6)))
    await asyncio.sleep(0.01)
    assert not putting.done()
    await rig.start()
    await putting
    await rig.delivery.close(1)
    assert numbers(rig.sink.written) == list(range(6))


async def test_a_put_that_is_cancelled_ends_its_receipt() -> None:
    rig = Rig(ScriptedSink(), backlog=1)
    putting = asyncio.create_task(rig.put(range(2)))
    await asyncio.sleep(0.01)
    putting.cancel()
    await rig.start()
    await rig.delivery.close(1)
    assert rig.ended() == {"acknowledged": 1, "kafka: stopped": 1}


async def test_tries_again_what_was_not_written_and_keeps_the_order() -> None:
    async def half(records: Sequence[Record]) -> None:
        middle = len(records) // 2
        rig.sink.keep(records[:middle])
        raise retriable(records[middle:])

    rig = Rig(ScriptedSink(writes=[half, half, None, half]), batch=10)
    await rig.start()
    await rig.put(range(30))
    await rig.delivery.close(1)
    assert numbers(rig.sink.written) == list(range(30))
    assert rig.ended() == {"acknowledged": 30}
    assert rig.delivery.retries == 3


async def test_an_error_that_names_no_record_speaks_of_all() -> None:
    async def fail(records: Sequence[Record]) -> None:
        raise retriable()

    rig = Rig(ScriptedSink(writes=[fail]))
    rig.offer(range(3))
    await rig.start()
    await rig.delivery.close(1)
    assert numbers(rig.sink.written) == [0, 1, 2]


async def test_a_reason_that_changes_is_logged_again(caplog: pytest.LogCaptureFixture) -> None:
    reasons = iter(["connection refused", "connection refused", "wrong password", "wrong password"])

    async def fail(records: Sequence[Record]) -> None:
        if reason := next(reasons, None):
            raise SinkError(reason, retriable=True, unwritten=records)

    rig = Rig(ScriptedSink(writes=itertools.repeat(fail)))  # type: ignore[arg-type]
    rig.offer(range(1))
    await rig.start()
    await until(lambda: rig.delivery.counts.acknowledged == 1)
    await rig.delivery.close(1)
    assert caplog.messages == ["kafka: connection refused; trying again", "kafka: wrong password; trying again"]


async def test_tells_why_it_waits_and_logs_an_outage_once(caplog: pytest.LogCaptureFixture) -> None:
    back = asyncio.Event()

    async def fail_until_back(records: Sequence[Record]) -> None:
        if not back.is_set():
            raise retriable(records)

    caplog.set_level(logging.INFO)
    rig = Rig(ScriptedSink(writes=itertools.repeat(fail_until_back)))  # type: ignore[arg-type]
    rig.offer(range(1))
    await rig.start()
    await until(lambda: rig.delivery.retries >= 3)
    assert (rig.delivery.state, rig.delivery.error) == ("waiting", "the broker is away")
    back.set()
    await rig.delivery.close(1)
    assert rig.delivery.error is None
    assert [record.getMessage() for record in caplog.records] == [
        "kafka: the broker is away; trying again",
        "kafka: writing again",
    ]


async def test_the_delay_grows_to_its_longest_and_starts_afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    delays: list[float] = []
    sleep = asyncio.sleep

    async def note(delay: float) -> None:
        delays.append(delay)
        await sleep(0)

    async def fail(records: Sequence[Record]) -> None:
        raise retriable(records)

    rig = Rig(ScriptedSink(writes=[fail, fail, fail, fail, None, fail]), batch=1)
    await rig.start()
    monkeypatch.setattr("daemon.flow.delivery.asyncio.sleep", note)
    rig.offer(range(2))
    await rig.delivery.close(1)
    assert delays == [0.001, 0.002, 0.004, 0.004, 0.001]


async def test_refused_records_fail_alone() -> None:
    async def refuse(records: Sequence[Record]) -> None:
        rig.sink.keep([records[0], records[2]])
        raise SinkError("of three", retriable=False, refused=[(records[1], "too large")])

    rig = Rig(ScriptedSink(writes=[refuse]))
    rig.offer(range(3))
    await rig.start()
    await rig.delivery.close(1)
    assert numbers(rig.sink.written) == [0, 2]
    assert rig.ended() == {"acknowledged": 2, "kafka: too large": 1}
    assert rig.delivery.retries == 0


async def test_records_in_doubt_are_neither_written_again_nor_said_to_be_lost() -> None:
    async def doubt(records: Sequence[Record]) -> None:
        rig.sink.keep(records[:1])
        raise SinkError("of three", retriable=False, in_doubt=records[1:])

    rig = Rig(ScriptedSink(writes=[doubt]))
    endings: list[Ending] = []
    for number in range(3):
        receipt = rig.frames.open(lambda ending, _: endings.append(ending))
        rig.delivery.offer(Record("door", b"%d" % number), receipt)
    await rig.start()
    await rig.delivery.close(1)
    assert endings == [Ending.ACKNOWLEDGED, Ending.IN_DOUBT, Ending.IN_DOUBT]
    assert rig.ended() == {"acknowledged": 1, "kafka: in doubt": 2}
    assert rig.sink.calls == ["open", "write", "close"]


async def test_refused_and_unwritten_records_of_one_error() -> None:
    async def both(records: Sequence[Record]) -> None:
        rig.sink.keep(records[:1])
        raise retriable(records[2:], refused=[(records[1], "too large")])

    rig = Rig(ScriptedSink(writes=[both]))
    rig.offer(range(4))
    await rig.start()
    await rig.delivery.close(1)
    assert numbers(rig.sink.written) == [0, 2, 3]
    assert rig.ended() == {"acknowledged": 3, "kafka: too large": 1}


async def test_opens_again_until_it_can() -> None:
    rig = Rig(ScriptedSink(opens=[retriable(), retriable()]))
    rig.offer(range(2))
    await rig.start()
    await rig.delivery.close(1)
    assert rig.sink.calls == ["open", "open", "open", "write", "close"]
    assert rig.ended() == {"acknowledged": 2}


async def test_a_sink_that_cannot_be_opened_ends_the_run() -> None:
    rig = Rig(ScriptedSink(opens=[final()]))
    rig.offer(range(2))
    with pytest.raises(SinkError, match="gone for good"):
        await (await rig.start())
    rig.offer(range(2, 3))
    await rig.put(range(3, 4))
    await rig.delivery.close(1)
    assert rig.ended() == {"acknowledged": 0, "kafka: stopped": 4}
    assert rig.sink.calls == ["open", "close"]


FAULTS: list[BaseException] = [
    final(),
    ZeroDivisionError("a bug"),
    TimeoutError("a library's"),
    asyncio.CancelledError("a library's"),
]


def fail_with(error: BaseException) -> Write:
    async def fail(records: Sequence[Record]) -> None:
        raise error

    return fail


async def test_a_sink_in_use_is_waited_for() -> None:
    rig = Rig(ScriptedSink(opens=[SinkInUse("in use by process 12")] * 3), in_use_timeout=60)
    rig.offer(range(2))
    await rig.start()
    await until(lambda: rig.frames.acknowledged == 2)
    await rig.delivery.close(1)
    assert rig.delivery.retries == 3


async def test_a_sink_that_stays_in_use_ends_the_run() -> None:
    rig = Rig(ScriptedSink(opens=[SinkInUse("in use by process 12")] * 1000), in_use_timeout=0.02)
    with pytest.raises(SinkInUse, match="in use by process 12"):
        await (await rig.start())
    assert rig.delivery.retries > 0
    assert rig.sink.calls[-1] == "close"


@pytest.mark.parametrize("error", FAULTS, ids=lambda error: type(error).__name__)
async def test_a_sink_that_breaks_is_opened_again_and_loses_nothing(error: BaseException) -> None:
    rig = Rig(ScriptedSink(writes=[None, fail_with(error), fail_with(error)]), batch=2)
    rig.offer(range(6))
    await rig.start()
    await rig.delivery.close(1)
    assert rig.ended() == {"acknowledged": 6}
    assert numbers(rig.sink.written) == list(range(6))
    assert rig.sink.calls == ["open", "write", *["write", "close", "open"] * 2, "write", "write", "close"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [*zip(FAULTS, ["SinkError", "ZeroDivisionError", "TimeoutError", "RuntimeError"], strict=True)],
    ids=str,
)
async def test_a_batch_that_breaks_a_sink_three_times_fails_alone(error: BaseException, reason: str) -> None:
    rig = Rig(ScriptedSink(writes=[None, *[fail_with(error)] * 3]), batch=2)
    rig.offer(range(6))
    await rig.start()
    await rig.delivery.close(1)
    assert rig.ended() == {"acknowledged": 4, f"kafka: {reason}": 2}
    assert numbers(rig.sink.written) == [0, 1, 4, 5]


async def test_a_fault_is_told_once_with_its_traceback_and_shown_while_it_lasts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    held = asyncio.Event()

    async def wait_until_held(records: Sequence[Record]) -> None:
        held.set()
        await asyncio.Event().wait()

    rig = Rig(ScriptedSink(writes=[*[fail_with(KeyError("a bug"))] * 2, wait_until_held]))
    rig.offer(range(1))
    running = await rig.start()
    await held.wait()
    assert (rig.delivery.state, rig.delivery.error, rig.delivery.retries) == ("waiting", "KeyError('a bug')", 2)
    (told,) = caplog.records
    assert told.getMessage() == "kafka: KeyError('a bug'); opening it again"
    assert told.exc_info is not None
    await rig.delivery.close(0)
    await running


async def test_a_sink_that_breaks_while_it_opens_is_opened_again() -> None:
    rig = Rig(ScriptedSink(opens=[ValueError("a bug"), TimeoutError()]))
    rig.offer(range(2))
    await rig.start()
    await rig.delivery.close(1)
    assert rig.ended() == {"acknowledged": 2}


async def test_a_sink_that_cannot_be_opened_again_ends_the_run() -> None:
    rig = Rig(ScriptedSink(opens=[None, final()], writes=[fail_with(final())]), batch=2)
    rig.offer(range(3))
    with pytest.raises(SinkError, match="gone for good"):
        await (await rig.start())
    assert rig.ended() == {"acknowledged": 0, "kafka: SinkError": 2, "kafka: stopped": 1}


async def test_a_sink_that_breaks_while_it_closes_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Closing(ScriptedSink):
        async def close(self) -> None:
            raise TimeoutError("a library's")

    rig = Rig(Closing())
    rig.offer(range(2))
    running = await rig.start()
    await rig.delivery.close(1)
    await running
    assert rig.ended() == {"acknowledged": 2}
    assert caplog.messages == ["kafka: failed to close"]


async def hang(records: Sequence[Record]) -> None:
    await asyncio.Event().wait()


async def test_close_drops_what_is_not_written_in_time() -> None:
    rig = Rig(ScriptedSink(writes=[None, hang]), batch=2)
    rig.offer(range(6))
    running = await rig.start()
    await until(lambda: rig.frames.acknowledged == 2)
    await rig.delivery.close(0.05)
    assert running.done()
    assert rig.ended() == {"acknowledged": 2, "kafka: stopped": 4}
    assert rig.sink.calls[-1] == "close"


async def test_close_does_not_wait_for_a_sink_that_does_not_open() -> None:
    rig = Rig(ScriptedSink(opens=[retriable()] * 10_000))
    rig.offer(range(2))
    await rig.start()
    await until(lambda: rig.delivery.retries > 2)
    await rig.delivery.close(0.05)
    assert rig.ended() == {"acknowledged": 0, "kafka: stopped": 2}


async def test_with_nothing_to_write_a_close_waits_for_no_sink() -> None:
    rig = Rig(ScriptedSink(opens=[retriable()] * 10_000))
    await rig.start()
    await until(lambda: rig.delivery.retries > 2)
    async with asyncio.timeout(1):
        await rig.delivery.close(60)
    assert rig.sink.calls[-1] == "close"


async def test_cancelled_it_drops_what_it_has_and_closes_the_sink() -> None:
    rig = Rig(ScriptedSink(writes=[None, hang]), batch=2)
    rig.offer(range(6))
    running = await rig.start()
    await until(lambda: rig.frames.acknowledged == 2)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert rig.ended() == {"acknowledged": 2, "kafka: stopped": 4}
    assert rig.sink.calls[-1] == "close"
    await rig.delivery.close(1)


async def test_closed_before_it_began_it_drops_what_it_has() -> None:
    rig = Rig(ScriptedSink())
    rig.offer(range(2))
    await rig.delivery.close(1)
    await rig.start()
    rig.offer(range(2, 3))
    assert rig.ended() == {"acknowledged": 0, "kafka: stopped": 3}
    assert rig.sink.calls == []


async def test_closes_twice() -> None:
    rig = Rig(ScriptedSink())
    await rig.start()
    await asyncio.gather(rig.delivery.close(1), rig.delivery.close(1))
    await rig.delivery.close(1)
    assert rig.sink.calls == ["open", "close"]


async def test_what_the_sink_does_not_take_is_skipped_and_the_rest_is_formed_before_it_is_written() -> None:
    sink, frames = ScriptedSink(), Counts()
    delivery = Delivery(
        "kafka",
        sink,
        takes=lambda record: record.value != b"1",
        form=lambda record: replace(record, value=record.value * 2),
    )
    taken = [record for number in range(3) if delivery.takes(record := Record("door", b"%d" % number))]
    for record in taken:
        delivery.offer(record, frames.open())
    running = asyncio.create_task(delivery.run())
    await asyncio.sleep(0)  # it has begun
    await delivery.close(1)
    await running
    assert sink.written == [b"00", b"22"]
    assert (delivery.counts.received, delivery.counts.acknowledged) == (3, 2)
    assert delivery.counts.skipped == {"not taken": 1}


async def test_a_record_that_cannot_be_formed_fails_and_does_not_leave() -> None:
    def form(record: Record) -> Record:
        if record.value == b"1":
            raise ValueError("no document")
        return record

    sink, frames = ScriptedSink(), Counts()
    delivery = Delivery("kafka", sink, form=form)
    for number in range(3):
        delivery.offer(Record("door", b"%d" % number), frames.open())
    running = asyncio.create_task(delivery.run())
    await asyncio.sleep(0)  # it has begun
    await delivery.close(1)
    await running
    assert sink.written == [b"0", b"2"]
    assert frames.failed == delivery.counts.failed == {"kafka: ValueError": 1}


async def test_a_sink_that_was_told_to_wait_is_called_again_only_then() -> None:
    async def busy(records: Sequence[Record]) -> None:
        raise SinkError("too many", retriable=True, unwritten=records, retry_after=0.2)

    rig = Rig(ScriptedSink(writes=[busy]))
    began = time.monotonic()
    await rig.start()
    await rig.put(range(1))
    await until(lambda: rig.frames.acknowledged == 1)
    assert time.monotonic() - began >= 0.2
    await rig.delivery.close(1)


async def test_no_sink_waits_for_ever_whatever_it_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def busy(records: Sequence[Record]) -> None:
        raise SinkError("too many", retriable=True, unwritten=records, retry_after=1e9)

    monkeypatch.setattr(delivery_module, "LONGEST_RETRY_AFTER_S", 0.01)
    rig = Rig(ScriptedSink(writes=[busy]))
    await rig.start()
    await rig.put(range(1))
    await until(lambda: rig.frames.acknowledged == 1)
    await rig.delivery.close(1)
