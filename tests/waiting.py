"""Waiting for what tells nobody when it changes."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110  # counters have no event
            await asyncio.sleep(0.002)
