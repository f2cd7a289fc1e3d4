"""Work that no frame waits for."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from daemon.flow.aside import Aside
from daemon.flow.engine import Engine, Lane
from tests.waiting import until


class Noted:
    """A job that notes what became of it; its steps wait for `gate`."""

    def __init__(self, steps: int = 1, error: Exception | None = None) -> None:
        self.gate = threading.Event()
        self.begun = 0
        self.ended = ""
        self._steps = steps
        self._error = error

    @property
    def steps(self) -> Sequence[Callable[[], None]]:
        return [self._step] * self._steps

    def _step(self) -> None:
        self.begun += 1
        assert self.gate.wait(10)
        if self._error is not None:
            raise self._error

    def end(self) -> None:
        self.ended = "done"

    def fail(self, err: BaseException) -> None:
        self.ended = type(err).__name__


class Listed:
    def __init__(self, *jobs: Noted) -> None:
        self.jobs = list(jobs)

    def take(self) -> Noted | None:
        return self.jobs.pop(0) if self.jobs else None

    def shed(self, reason: str) -> None:
        for job in self.jobs:
            job.ended = reason
        self.jobs.clear()


@pytest.fixture
async def lane() -> AsyncIterator[Lane]:
    engine = Engine(2)
    yield engine.lane("shots", share=0.2)
    await engine.close()


async def test_so_many_at_once_and_each_in_turn(lane: Lane) -> None:
    one, two, three = (Noted(steps=2) for _ in range(3))
    aside = Aside(Listed(one, two, three), lane, 2, raise_)
    aside.wake()
    await until(lambda: one.begun == two.begun == 1)
    assert three.begun == 0
    for job in (one, two, three):
        job.gate.set()
    await until(lambda: one.ended == two.ended == three.ended == "done")
    assert one.begun == two.begun == three.begun == 2


async def test_one_that_fails_fails_alone_and_is_told(lane: Lane) -> None:
    told: list[BaseException] = []
    bad, good = Noted(error=ZeroDivisionError()), Noted()
    bad.gate.set()
    good.gate.set()
    Aside(Listed(bad, good), lane, 1, told.append).wake()
    await until(lambda: good.ended == "done")
    assert bad.ended == "ZeroDivisionError"
    assert [type(err) for err in told] == [ZeroDivisionError]


async def test_close_lets_end_what_is_under_way_and_sheds_the_rest(lane: Lane) -> None:
    under_way, waiting = Noted(), Noted()
    aside = Aside(Listed(under_way, waiting), lane, 1, raise_)
    aside.wake()
    await until(lambda: under_way.begun == 1)
    closing = asyncio.create_task(aside.close(10, "stopped"))
    await until(lambda: waiting.ended == "stopped")
    under_way.gate.set()
    await closing
    assert under_way.ended == "done"


async def test_close_gives_up_what_takes_too_long(lane: Lane) -> None:
    stuck = Noted()
    aside = Aside(Listed(stuck), lane, 1, raise_)
    aside.wake()
    await until(lambda: stuck.begun == 1)
    await aside.close(0.01, "stopped")
    await until(lambda: stuck.ended == "CancelledError")
    stuck.gate.set()


def raise_(err: BaseException) -> None:
    raise err
