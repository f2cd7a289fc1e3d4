import asyncio
import contextlib
import gc
import hashlib
import threading
import time
import weakref
from collections.abc import AsyncIterator, Iterator

import pytest

from daemon.errors import DeadlineExceeded, EngineClosed
from daemon.flow.engine import Engine
from tests.waiting import until


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    engine = Engine(2)
    yield engine
    await engine.close()


@pytest.fixture
async def alone() -> AsyncIterator[Engine]:
    """One worker: what it does is in order."""
    engine = Engine(1)
    yield engine
    await engine.close()


class Gate:
    """Holds the worker that comes through it until it is opened."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def pass_through(self) -> None:
        self.reached.set()
        assert self.opened.wait(10)

    async def hold(self, engine: Engine) -> "asyncio.Future[None]":
        """Occupies a worker; returns once it is held."""
        held = engine.lane("gate").submit(self.pass_through)
        await asyncio.to_thread(self.reached.wait, 10)
        return held


async def test_jobs_run_in_the_workers_threads(engine: Engine) -> None:
    lane = engine.lane("a")
    threads = set(await asyncio.gather(*(lane.submit(threading.get_ident) for _ in range(20))))
    assert threading.get_ident() not in threads
    assert threads <= {thread.ident for thread in threading.enumerate() if thread.name in ("worker-0", "worker-1")}


async def test_arguments_and_results(engine: Engine) -> None:
    assert await engine.lane("a").submit(divmod, 17, 5) == (3, 2)


async def test_as_many_jobs_run_at_once_as_there_are_workers(engine: Engine) -> None:
    both = threading.Barrier(2)
    lane = engine.lane("a")
    # Each waits for the other: one after the other they would break the barrier.
    await asyncio.gather(lane.submit(both.wait, 10), lane.submit(both.wait, 10))


async def test_results_awaited_in_turn_are_in_order(engine: Engine) -> None:
    lane = engine.lane("a")

    def slow_if_even(n: int) -> int:
        time.sleep(0.003 if n % 2 == 0 else 0)
        return n

    futures = [lane.submit(slow_if_even, n) for n in range(20)]
    assert [await future for future in futures] == list(range(20))


class Unusual(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


async def test_an_error_comes_to_the_one_who_awaits(engine: Engine) -> None:
    def fail() -> None:
        raise Unusual(7)

    lane = engine.lane("a")
    failing, fine = lane.submit(fail), lane.submit(str, 1)
    with pytest.raises(Unusual) as error:
        await failing
    assert error.value.code == 7
    assert await fine == "1"


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, MemoryError])
async def test_no_error_ends_a_worker(alone: Engine, kind: type[BaseException]) -> None:
    def fail() -> None:
        raise kind

    lane = alone.lane("a")
    with pytest.raises(kind):
        await lane.submit(fail)
    assert await lane.submit(str, 1) == "1"


async def test_stop_iteration_which_no_future_takes_does_not_leave_its_caller_waiting(alone: Engine) -> None:
    lane = alone.lane("a")
    with pytest.raises(RuntimeError, match="StopIteration"):
        await asyncio.wait_for(lane.submit(next, iter(())), 5)
    assert await lane.submit(str, 1) == "1"


async def test_a_cancelled_job_that_has_not_begun_is_skipped(alone: Engine) -> None:
    ran: list[str] = []
    gate = Gate()
    held = await gate.hold(alone)
    lane = alone.lane("a")
    skipped, kept = lane.submit(ran.append, "skipped"), lane.submit(ran.append, "kept")
    assert lane.waiting == 2
    skipped.cancel()
    gate.opened.set()
    await asyncio.gather(held, kept)
    assert ran == ["kept"]
    assert lane.waiting == 0


async def test_a_job_that_is_cancelled_while_it_runs_ends_for_itself(alone: Engine) -> None:
    gate = Gate()
    held = await gate.hold(alone)
    held.cancel()
    gate.opened.set()
    assert await alone.lane("a").submit(str, 1) == "1"
    assert held.cancelled()


async def test_deadline_that_passes_in_the_lane(alone: Engine) -> None:
    ran: list[str] = []
    gate = Gate()
    held = await gate.hold(alone)
    lane = alone.lane("a")
    late = lane.submit(ran.append, "late", deadline=time.monotonic() + 0.01)
    in_time = lane.submit(ran.append, "in time", deadline=time.monotonic() + 60)
    await asyncio.sleep(0.02)
    gate.opened.set()
    with pytest.raises(DeadlineExceeded):
        await late
    await asyncio.gather(held, in_time)
    assert ran == ["in time"]


def burn(seconds: float) -> None:
    """Keeps the CPU busy for so long."""
    ends = time.thread_time() + seconds
    while time.thread_time() < ends:
        hashlib.sha256(bytes(4096)).digest()  # long enough a piece for the GIL to be given up


class Spent:
    """CPU seconds that a lane's jobs took."""

    def __init__(self, job_s: float) -> None:
        self.job_s = job_s
        self.total = 0.0

    def work(self) -> None:
        began = time.thread_time()
        burn(self.job_s)
        self.total += time.thread_time() - began


@contextlib.contextmanager
def held(alone: Engine) -> Iterator[None]:
    """Its worker begins nothing meanwhile: on a busy machine one lane's jobs would end before another's are there."""
    lane, opened = alone.lane("gate"), threading.Event()
    lane.submit(opened.wait)
    yield
    lane.close()
    opened.set()


@pytest.mark.parametrize(("heavy_s", "light_s"), [(0.002, 0.002), (0.001, 0.006), (0.006, 0.001)])
async def test_busy_lanes_get_time_by_their_weight_whatever_their_jobs_take(
    alone: Engine, heavy_s: float, light_s: float
) -> None:
    heavy, light = Spent(heavy_s), Spent(light_s)
    lanes = (alone.lane("heavy", weight=3), heavy), (alone.lane("light", weight=1), light)
    with held(alone):
        jobs = [lane.submit(spent.work) for lane, spent in lanes for _ in range(1000)]
    await until(lambda: heavy.total + light.total > 0.6)
    await alone.close()
    assert any(job.cancelled() for job in jobs)  # neither ran dry
    assert heavy.total / light.total == pytest.approx(3, rel=0.15)


@pytest.mark.parametrize("others", [1, 6])
async def test_a_share_is_kept_whatever_the_number_of_others(alone: Engine, others: int) -> None:
    kept, rest = Spent(0.002), Spent(0.002)
    with held(alone):
        lane = alone.lane("requests", share=0.5)
        jobs = [lane.submit(kept.work) for _ in range(1000)]
        for n in range(others):
            busy = alone.lane(f"stream-{n}")
            jobs += [busy.submit(rest.work) for _ in range(1000)]
    await until(lambda: kept.total + rest.total > 0.6)
    await alone.close()
    assert kept.total / rest.total == pytest.approx(1, rel=0.15)
    for job in jobs:
        job.cancel()


async def test_a_share_is_of_the_streams_and_of_the_shares_made_before(alone: Engine) -> None:
    shots, http = alone.lane("shots", share=0.2), alone.lane("http", share=0.5)
    streams = [alone.lane("one", 3), alone.lane("other", 1)]
    weights = [lane.weight for lane in (shots, http, *streams)]
    assert [weight / sum(weights) for weight in weights] == pytest.approx([0.1, 0.5, 0.3, 0.1])
    for lane in streams:
        lane.close()
    assert (shots.weight, http.weight) == pytest.approx((0.25, 1.0))


async def test_a_lane_takes_no_more_workers_than_it_may(engine: Engine) -> None:
    """The others are free for those who cannot wait, also while much of it waits."""
    lane, other = engine.lane("shots", at_once=1), engine.lane("frames")
    gate, begun = threading.Event(), threading.Semaphore(0)

    def hold() -> None:
        begun.release()
        assert gate.wait(10)

    held = [lane.submit(hold) for _ in range(3)]
    assert await asyncio.to_thread(begun.acquire, timeout=10)
    assert await asyncio.wait_for(other.submit(lambda: 7), 10) == 7
    assert lane.waiting == 2
    gate.set()
    await asyncio.wait_for(asyncio.gather(*held), 10)


@pytest.mark.parametrize("share", [0, 1, 1.5, float("nan")])
async def test_shares_that_cannot_be_are_refused(alone: Engine, share: float) -> None:
    with pytest.raises(ValueError, match="share between 0 and 1"):
        alone.lane("a", share=share)


async def test_with_more_workers_time_goes_by_weight_too(engine: Engine) -> None:
    heavy, light = Spent(0.002), Spent(0.002)
    lock = threading.Lock()

    def work(spent: Spent) -> None:
        one = Spent(spent.job_s)
        one.work()
        with lock:
            spent.total += one.total

    lanes = (engine.lane("heavy", weight=3), heavy), (engine.lane("light", weight=1), light)
    for lane, spent in lanes:
        for _ in range(1000):
            lane.submit(work, spent)
    await asyncio.sleep(0.6)
    await engine.close()
    assert heavy.total / light.total == pytest.approx(3, rel=0.15)


async def test_an_idle_lane_saves_nothing_up(alone: Engine) -> None:
    order: list[str] = []

    def work(name: str) -> None:
        order.append(name)
        burn(0.002)

    busy, idle = alone.lane("busy"), alone.lane("idle")
    await idle.submit(work, "idle")  # it has been seen, then falls silent
    first = [busy.submit(work, "busy") for _ in range(60)]
    await first[39]
    done = len(order)
    last = [idle.submit(work, "idle") for _ in range(20)]
    await asyncio.gather(*first, *last)
    # Saved-up time would let idle's 20 jobs go first.
    assert 6 <= order[done : done + 20].count("idle") <= 14


async def test_a_new_lane_does_not_start_with_the_others_past_as_credit(alone: Engine) -> None:
    order: list[str] = []

    def work(name: str) -> None:
        order.append(name)
        burn(0.002)

    old = alone.lane("old")
    first = [old.submit(work, "old") for _ in range(60)]
    await first[39]
    done = len(order)
    new = alone.lane("new")
    last = [new.submit(work, "new") for _ in range(20)]
    await asyncio.gather(*first, *last)
    assert 6 <= order[done : done + 20].count("new") <= 14


async def test_close_ends_what_runs_cancels_what_waits_and_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    engine = Engine(2)
    workers = set(threading.enumerate()) - before
    assert len(workers) == 2
    gates = Gate(), Gate()
    held = [await gate.hold(engine) for gate in gates]
    waiting = engine.lane("a").submit(str, 1)
    closing = asyncio.create_task(engine.close())
    await asyncio.sleep(0.01)
    assert waiting.cancelled()
    assert not closing.done()
    for gate in gates:
        gate.opened.set()
    await closing
    assert await asyncio.gather(*held) == [None, None]
    assert not any(worker.is_alive() for worker in workers)


async def test_workers_that_hang_share_the_time_of_a_close(caplog: pytest.LogCaptureFixture) -> None:
    engine, never = Engine(4), threading.Event()
    lane = engine.lane("a")
    held = [lane.submit(never.wait) for _ in range(4)]
    await asyncio.sleep(0.01)
    began = time.monotonic()
    await engine.close(0.1)
    assert 0.1 <= time.monotonic() - began < 0.35
    assert [record.levelname for record in caplog.records] == ["ERROR"] * 4
    never.set()
    await asyncio.gather(*held)


async def test_close_of_an_idle_engine_and_a_second_close() -> None:
    engine = Engine(3)
    await asyncio.wait_for(engine.close(), 5)
    await asyncio.wait_for(engine.close(), 5)


async def test_a_closed_engine_takes_no_job() -> None:
    engine = Engine(1)
    lane = engine.lane("a")
    await engine.close()
    with pytest.raises(EngineClosed):
        lane.submit(str, 1)


async def test_closing_a_lane_cancels_what_waits_in_it_alone(alone: Engine) -> None:
    gate = Gate()
    held = await gate.hold(alone)
    closed, kept = alone.lane("closed"), alone.lane("kept")
    gone, stays = closed.submit(str, 1), kept.submit(str, 2)
    closed.close()
    gate.opened.set()
    assert await stays == "2"
    await held
    assert gone.cancelled()


async def test_a_worker_that_waits_holds_neither_job_nor_result(alone: Engine) -> None:
    class Picture:
        pass

    picture = Picture()
    gone = weakref.ref(picture)
    lane = alone.lane("a")
    assert await lane.submit(isinstance, picture, Picture)
    await lane.submit(str, 1)
    del picture
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("workers", [0, -1])
def test_no_workers_are_refused(workers: int) -> None:
    with pytest.raises(ValueError, match=f"1 worker or more, got {workers}"):
        Engine(workers)


@pytest.mark.parametrize("weight", [0, -1.0, float("nan")])
async def test_weights_that_cannot_be_are_refused(alone: Engine, weight: float) -> None:
    with pytest.raises(ValueError, match="weight above 0"):
        alone.lane("a", weight)


async def test_busy_seconds_are_those_of_all_workers_at_work(engine: Engine) -> None:
    lane, gate = engine.lane("a"), Gate()
    assert (engine.busy_seconds, engine.busy_share(10)) == (0, None)
    engine.sample()
    began = time.monotonic()
    await asyncio.gather(*(lane.submit(time.sleep, 0.1) for _ in range(4)))
    over = time.monotonic() - began
    done = engine.busy_seconds
    assert 0.4 <= done <= 2 * over
    await asyncio.sleep(0.1)
    assert engine.busy_seconds == pytest.approx(done, abs=0.01)  # at rest
    held = await gate.hold(engine)
    await asyncio.sleep(0.1)
    assert engine.busy_seconds >= done + 0.1  # under way
    gate.opened.set()
    await held
    engine.sample()
    share = engine.busy_share(10)
    assert share == pytest.approx(engine.busy_seconds / (2 * (time.monotonic() - began)), rel=0.05)
