"""Frames from Kafka while daemons are killed and restarted, counted frame by frame.

python -m tests.benchmarks.kafka_faults [--records 20000] [--keys 50] [--kills 20] [--stops 5] [--restarts 2]
[--daemons 1 2] [--delivery at_least_once exactly_once] [--seed 0] sends pictures to an Apache Kafka that it starts.
While they go through it kills real daemons with SIGKILL at random moments, holds some with SIGSTOP until the group has
given them up (they wake as zombies), restarts each in turn (SIGTERM), and then compares what a read-committed consumer
sees with what was sent. Ends with status 1 where something is missing (or, exactly once, doubled) or a key is out of
order.
"""

import argparse
import asyncio
import contextlib
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError

from tests.brokers import ApacheKafka
from tests.kafka_frames import Frames, Tally, tally

TIMEOUT_S = 900.0
POLL_S = 0.05
SESSION_TIMEOUT_S = 4.0  # which apache_kafka/server.properties allows
STOP_S = SESSION_TIMEOUT_S + 3.0
AT_WORK_SHARE = 0.8  # of the acts; the others may come while the group still sorts itself out after the last one
LONGEST_PAUSE_S = 0.5  # between a kill's place among the records and the kill, for a moment of no importance to us


@dataclass(frozen=True)
class Faults:
    records: int
    keys: int
    kills: int
    stops: int
    restarts: int
    """Rounds in which each daemon is stopped and started, one after the other."""
    daemons: int
    partitions: int = 8
    seed: int = 0


class Daemon:
    """A process of `visaged run`."""

    def __init__(self, configuration: Path, output: Path) -> None:
        self._configuration = configuration
        self._output = output
        self._process = self._start()

    def kill(self) -> None:
        self.end(signal.SIGKILL)
        self._process = self._start()

    def stop(self) -> None:
        """The group has given it up when it goes on."""
        self._process.send_signal(signal.SIGSTOP)
        time.sleep(STOP_S)
        self._process.send_signal(signal.SIGCONT)

    def restart(self) -> None:
        self.end()
        self._process = self._start()

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        self._process.send_signal(number)
        self._process.wait(60)

    def _start(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "daemon", "run", str(self._configuration)]
        with self._output.open("ab") as output:
            return subprocess.Popen(command, stdout=output, stderr=output)


async def carry(frames: Frames, delivery: str, faults: Faults, folder: Path) -> Tally:
    """Sends the frames, does what the faults say, and counts."""
    draw = random.Random(faults.seed)  # noqa: S311  # no secret
    await frames.create()
    path = folder / f"{frames.group}.yaml"
    path.write_text(json.dumps(frames.configuration(delivery, session_timeout=SESSION_TIMEOUT_S)))
    daemons = [
        await asyncio.to_thread(Daemon, path, folder / f"{frames.group}-{number}.log")
        for number in range(faults.daemons)
    ]
    acts = ["kill"] * faults.kills + ["stop"] * faults.stops + ["restart"] * (faults.restarts * faults.daemons)
    draw.shuffle(acts)
    marks = sorted(draw.uniform(0.05, 0.9) * faults.records for _ in acts)
    turns = deque(daemons)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await until_joined(frames, faults.daemons)
            await frames.send(frames.pictures(faults.records, faults.keys, faults.seed))
            for act, mark in zip(acts, marks, strict=True):
                await until_committed(frames, round(mark))
                if draw.random() < AT_WORK_SHARE:
                    await until_joined(frames, faults.daemons)
                await asyncio.sleep(draw.uniform(0, LONGEST_PAUSE_S))
                if act == "kill":
                    await asyncio.to_thread(draw.choice(daemons).kill)
                elif act == "stop":
                    await asyncio.to_thread(draw.choice(daemons).stop)
                else:
                    await asyncio.to_thread(turns[0].restart)
                    turns.rotate(-1)
            await until_committed(frames, faults.records)
    finally:
        for daemon in daemons:
            await asyncio.to_thread(daemon.end)
    return tally(frames.sent, await frames.results())


async def until_joined(frames: Frames, members: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=frames.servers)
    await admin.start()
    try:
        while True:
            with contextlib.suppress(GroupCoordinatorNotAvailableError):  # the broker's first group takes a while
                (answer,) = await admin.describe_consumer_groups([frames.group])
                ((_, _, state, _, _, found, *_),) = answer.groups
                if state == "Stable" and len(found) == members:
                    return
            await asyncio.sleep(POLL_S)
    finally:
        await admin.close()


async def until_committed(frames: Frames, count: int) -> None:
    async with frames.onlooker() as onlooker:
        while await frames.committed_as_seen_by(onlooker) < count:  # noqa: ASYNC110  # brokers have no event for it
            await asyncio.sleep(POLL_S)


def holds(delivery: str, found: Tally) -> bool:
    if delivery == "exactly_once":
        return found == Tally(0, 0, 0, 0)
    return found._replace(doubled=0) == Tally(0, 0, 0, 0)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--keys", type=int, default=50)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--stops", type=int, default=5)
    parser.add_argument("--restarts", type=int, default=2)
    parser.add_argument("--daemons", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--delivery", nargs="+", default=["at_least_once", "exactly_once"])
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    held = True
    with tempfile.TemporaryDirectory() as folder:
        kafka = ApacheKafka(Path(folder))
        kafka.format()
        kafka.start()
        try:
            for delivery in chosen.delivery:
                for daemons in chosen.daemons:
                    faults = Faults(
                        chosen.records,
                        chosen.keys,
                        chosen.kills,
                        chosen.stops,
                        chosen.restarts,
                        daemons,
                        seed=chosen.seed,
                    )
                    frames = Frames(kafka.address(), partitions=faults.partitions)
                    began = time.monotonic()
                    found = asyncio.run(carry(frames, delivery, faults, Path(folder)))
                    held = held and holds(delivery, found)
                    print(f"{delivery}, {faults}: {found} in {time.monotonic() - began:.0f} s", flush=True)
        finally:
            kafka.kill()
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
