"""How much of a frame's time holds the GIL, seen from outside: python -m tests.benchmarks.gil [--cameras 1 8]

Samples the daemon with py-spy (pip install py-spy), without pausing it: first two files, then so many cameras of 720p25
(three people) as fast as they are worked on, detector and fitter. A sample counts where a thread holds the GIL. Prints
the CPU milliseconds of a frame, those that hold the GIL, and what follows from them: how many cores one process can
keep busy before its threads wait for each other more than they work. `--top` lists the functions that hold it most.
"""

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import psutil

from daemon.simulator.clip import make_clip
from tests.benchmarks.cameras import camera_of
from tests.benchmarks.cost import CHAINS, configuration, looped

RATE = 250
WARM_UP_S = 8.0


class Sampled(NamedTuple):
    frames: int
    cpu: float
    """Seconds."""
    holding: float
    """Seconds in which a thread held the GIL."""
    by_function: Counter[str]


@contextlib.contextmanager
def daemon(config: str, folder: Path) -> Iterator[psutil.Process]:
    path = folder / "visaged.yaml"
    path.write_text(config)
    with subprocess.Popen([sys.executable, "-m", "daemon", "run", str(path)]) as process:
        try:
            yield psutil.Process(process.pid)
        finally:
            process.terminate()


def sampled(config: str, folder: Path, seconds: float, profiler: str) -> Sampled:
    documents, stacks = folder / "documents.jsonl", folder / "stacks"
    with daemon(config, folder) as process:
        time.sleep(WARM_UP_S)
        before, cpu = _lines(documents), sum(process.cpu_times()[:2])
        command = [profiler, "record", "--pid", str(process.pid), "--gil", "--nonblocking", "--format", "raw"]
        command += ["--rate", str(RATE), "--duration", str(round(seconds)), "--output", str(stacks)]
        subprocess.run(command, check=True, capture_output=True)
        cpu = sum(process.cpu_times()[:2]) - cpu
        frames = _lines(documents) - before
    by_function: Counter[str] = Counter()
    for line in stacks.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        by_function[stack.rpartition(";")[2]] += int(count)
    documents.unlink()
    return Sampled(frames, cpu, by_function.total() / RATE, by_function)


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n")


def report(name: str, found: Sampled, top: int) -> None:
    cpu, holding = (seconds / found.frames * 1000 for seconds in (found.cpu, found.holding))
    print(f"  {name:12} {cpu:5.1f} CPU ms a frame, {holding:4.2f} of them hold the GIL: {cpu / holding:.1f} cores")
    for function, count in found.by_function.most_common(top):
        print(f"      {count / found.by_function.total():5.1%} {function}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, nargs="*", default=[1, 8])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--top", type=int, default=0)
    arguments = parser.parse_args()
    profiler = shutil.which("py-spy") or shutil.which("py-spy", path=str(Path(sys.executable).parent))
    if profiler is None:
        parser.error("py-spy is not here: pip install py-spy")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        clip = folder / "faces.mp4"
        make_clip(clip)
        sink = {"sinks": {"out": {"type": "file", "path": str(folder / "documents.jsonl")}}}

        def measure(name: str, sources: Mapping[str, str]) -> None:
            config = configuration(sources, CHAINS["detector+fitter"], sink, None)
            report(name, sampled(config, folder, arguments.seconds, profiler), arguments.top)

        print(f"720p, three faces, detector and fitter, {os.cpu_count()} cores:")
        long = looped(clip, 40, folder / "long.mp4")
        measure("two files", {"file-0": str(long), "file-1": str(long)})
        with camera_of(clip) as url:
            for cameras in arguments.cameras:
                measure(f"{cameras} cameras", {f"camera-{n}": url for n in range(cameras)})


if __name__ == "__main__":
    main()
