"""An outage of a webhook's receiver, or of an MQTT broker, while documents go on to come, counted document by document.

python -m tests.benchmarks.outages [--seconds 30] [--rate 100] [--backlog 1000] [webhook] [batches] [mqtt]
Ends with status 1 where a document is neither there nor counted, where the order is wrong, or where too many waited.
"""

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from daemon.flow.delivery import LONGEST_DELAY_S, Delivery
from daemon.flow.receipts import Counts
from sinks.base import Record, Sink
from sinks.mqtt import MqttSink
from sinks.webhook import WebhookSink
from sinks.webhook_settings import WebhookSettings
from tests.mqtt import listening, mosquitto, mqtt_settings
from tests.sinks.receiver import Receiver

BEFORE_S, AFTER_S = 3.0, LONGEST_DELAY_S + 3.0
BATCH = 500


@dataclass
class Place:
    """Where documents go; `cut` and `mend` begin and end its outage."""

    sink: Sink
    cut: Callable[[], object]
    mend: Callable[[], object]
    numbers: Callable[[], list[int]]


@contextlib.asynccontextmanager
async def webhook(batch: int) -> AsyncIterator[Place]:
    receiver = Receiver()
    await receiver.start()
    try:
        yield Place(
            WebhookSink(WebhookSettings(type="webhook", url=receiver.url, batch=batch)),
            receiver.stop,
            receiver.start,
            lambda: [int(one) for body in receiver.taken for one in body.strip(b"[]").split(b",")],
        )
    finally:
        await receiver.stop()


@contextlib.asynccontextmanager
async def mqtt() -> AsyncIterator[Place]:
    """The broker keeps what it has taken for a listener whose session outlives it no more: it listens anew at once."""
    with tempfile.TemporaryDirectory() as folder, mosquitto(Path(folder)) as broker:
        async with contextlib.AsyncExitStack() as listeners:
            heard = [await listeners.enter_async_context(listening(broker.port, "visaged/documents/#"))]

            async def mend() -> None:
                await asyncio.to_thread(broker.start)
                heard.append(await listeners.enter_async_context(listening(broker.port, "visaged/documents/#")))

            yield Place(
                MqttSink(mqtt_settings(broker.port)),
                lambda: asyncio.to_thread(broker.kill),
                mend,
                lambda: [int(message.payload) for listener in heard for message in listener.heard],
            )


async def run(name: str, place: Place, seconds: float, rate: float, backlog: int) -> bool:
    frames, most, back = Counts(), 0, 0.0
    delivery = Delivery(name, place.sink, backlog=backlog, batch=BATCH)
    running = asyncio.create_task(delivery.run())
    began, number = time.monotonic(), 0
    acts = [(BEFORE_S, place.cut), (BEFORE_S + seconds, place.mend)]
    while (now := time.monotonic() - began) < BEFORE_S + seconds + AFTER_S:
        if acts and now >= acts[0][0]:
            await acts.pop(0)[1]()  # type: ignore[misc]
        while number < now * rate:
            delivery.offer(Record("door", b"%d" % number), frames.open())
            number += 1
        most = max(most, delivery.counts.pending)
        if not acts and not back and delivery.error is None:
            back = now - BEFORE_S - seconds
        await asyncio.sleep(0.01)
    await delivery.close(30)
    await running
    await asyncio.sleep(0.5)
    got = place.numbers()
    dropped = frames.dropped.total()
    once = list(dict.fromkeys(got))
    print(
        f"{name}: {frames.received} documents, {frames.acknowledged} acknowledged, {dropped} dropped, {len(got)} there,"
        f" {len(got) - len(once)} of them twice; {most} waited at most; writing again {back:.1f} s after the outage"
    )
    return (
        once == sorted(once)
        and len(once) >= frames.acknowledged
        and frames.received == frames.acknowledged + dropped
        and most <= backlog + BATCH
    )


async def main(places: list[str], seconds: float, rate: float, backlog: int) -> bool:
    makers = {"webhook": lambda: webhook(1), "batches": lambda: webhook(100), "mqtt": mqtt}
    good = True
    for name in places or list(makers):
        async with makers[name]() as place:
            good &= await run(name, place, seconds, rate, backlog)
    return good


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("places", nargs="*", choices=["webhook", "batches", "mqtt", []])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=100.0)
    parser.add_argument("--backlog", type=int, default=1000)
    given = parser.parse_args()
    sys.exit(not asyncio.run(main(given.places, given.seconds, given.rate, given.backlog)))
