"""Cameras beyond what the machine can do: python -m tests.benchmarks.overload [--seconds 30]

- Documents a second with 2 and with 8 cameras (720p, three people who come and go, `fps: 5`), for each chain.
- The same with 2 cameras before, in and 10 s after 60 s in which other processes take the cores.
- By how much a crowd of 30 who appear at once delays documents, beside the same chain without what is costly.

Every figure is counted from what a sink has got, in the daemon's own process or not: a busy machine blurs them all.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from daemon.simulator.clip import make_clip
from processors.registry import PROCESSORS
from tests.benchmarks.cameras import camera_of
from tests.processors.pictures import portrait

FPS = 5
WARM_UP_S = 10.0
EVERYTHING = [name for name in PROCESSORS if name != "body-detector"]
CHAINS: dict[str, tuple[list[str], dict[str, Any] | None]] = {
    "faces and bodies, everything, tracked": (["body-detector", *EVERYTHING], {}),
    "faces, everything, tracked": (EVERYTHING, {}),
    "faces, everything, emotions by track": (EVERYTHING, {"per": {"emotion-estimator": "track"}}),
    "faces, templates, tracked": (["face-detector", "face-fitter", "template-extractor"], {}),
    "detector and fitter, tracked": (["face-detector", "face-fitter"], {}),
    "detector and fitter": (["face-detector", "face-fitter"], None),
    "everything on every frame": (EVERYTHING, None),
}
CROWD = 30


@contextmanager
def daemon(
    url: str, cameras: int, chain: Sequence[str], tracking: dict[str, Any] | None, folder: Path
) -> Iterator[Path]:
    """The file that documents and events of so many streams come to."""
    out = folder / "out.jsonl"
    out.unlink(missing_ok=True)
    stream = {"source": url, "chain": list(chain), "fps": FPS}
    if tracking is not None:
        stream["tracking"] = {"events": {}, **tracking}
    config = {
        "streams": {f"camera-{n}": stream for n in range(cameras)},
        "sinks": {"out": {"type": "file", "path": str(out), "linger": 0.0}},
        "http": None,
        "log": {"level": "error"},
    }
    path = folder / "overload.yaml"
    path.write_text(json.dumps(config))
    with subprocess.Popen([sys.executable, "-m", "daemon", "run", str(path)]) as process:
        try:
            while not out.exists() or not out.stat().st_size:
                assert process.poll() is None
                time.sleep(0.1)
            yield out
        finally:
            process.terminate()


def values(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.read_bytes().split(b"\n")[:-1]]


def rate(out: Path, seconds: float) -> float:
    """Documents a second, from now on."""
    before = sum("event" not in value for value in values(out))
    began = time.monotonic()
    time.sleep(seconds)
    return (sum("event" not in value for value in values(out)) - before) / (time.monotonic() - began)


def broken_contract(found: Sequence[dict[str, Any]]) -> list[str]:
    """Tracks that did not appear once, then leave once, with nothing behind it."""
    by_track: dict[str, list[str]] = {}
    for value in found:
        if "event" in value:
            by_track.setdefault(value["track"]["id"], []).append(value["event"])
    return [
        f"{track}: {events}"
        for track, events in by_track.items()
        if events[0] != "appeared" or events[-1] != "left" or events.count("appeared") + events.count("left") != 2
    ]


def many_cameras(clip: Path, folder: Path, seconds: float, only: str) -> None:
    print(f"documents/s at fps: {FPS}, 2 and 8 cameras of 720p25 with three people:")
    for name, (chain, tracking) in CHAINS.items():
        if only not in name:
            continue
        rates = []
        for cameras in (2, 8):
            with camera_of(clip) as url:
                with daemon(url, cameras, chain, tracking, folder) as out:
                    time.sleep(WARM_UP_S)
                    rates.append(rate(out, seconds))
                events = sum("event" in value for value in values(out))
                broken = broken_contract(values(out))
        print(f"  {name:40} {rates[0]:5.1f} {rates[1]:5.1f}  x{rates[1] / rates[0]:.2f}", end="")
        print(f"  {events} events, {len(broken)} tracks out of order" if tracking is not None else "", flush=True)


@contextmanager
def busy_cores() -> Iterator[None]:
    """Two processes a core that only compute."""
    with ExitStack() as stack:
        for _ in range(2 * (os.cpu_count() or 1)):
            process = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            stack.callback(process.kill)
        yield


def overload(clip: Path, folder: Path, seconds: float) -> None:
    chain, tracking = CHAINS["faces, everything, tracked"]
    with camera_of(clip) as url, daemon(url, 2, chain, tracking, folder) as out:
        time.sleep(WARM_UP_S)
        before = rate(out, seconds)
        with busy_cores():
            during = rate(out, 60.0)
        time.sleep(10.0)
        after = rate(out, seconds)
    print(f"2 cameras, everything, tracked: {before:.1f} documents/s, {during:.1f} in an overload of 60 s,", end="")
    print(f" {after:.1f} from 10 s after it on", flush=True)


def crowd_clip(path: Path) -> None:
    """720p: nobody for 6 s, then 30 faces at once for 4 s, cut from the scene's portraits."""
    small = cv2.resize(portrait("obama"), (112, 112), interpolation=cv2.INTER_AREA)
    empty = np.full((720, 1280, 3), 120, np.uint8)
    full = empty.copy()
    for number in range(CROWD):
        y, x = divmod(number, 6)
        full[20 + 140 * y : 132 + 140 * y, 60 + 200 * x : 172 + 200 * x] = small
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "veryfast", "g": "25", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        for index in range(250):
            picture = empty if index < 150 else full
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode())


def delays(url: str, chain: Sequence[str], tracking: dict[str, Any], folder: Path, seconds: float) -> list[float]:
    """Seconds from capture to the sink's file of the documents that bear a crowd, as a reader of it sees them."""
    found: list[float] = []
    with daemon(url, 1, chain, tracking, folder) as out, out.open("rb") as lines:
        end = time.monotonic() + WARM_UP_S + seconds
        rest = b""
        while time.monotonic() < end:
            rest += lines.read()
            *whole, rest = rest.split(b"\n")
            now = time.time()
            documents = [value for value in map(json.loads, whole) if "event" not in value]
            found += [now - captured_at(value) for value in documents if len(value["objects"]) >= CROWD - 3]
            time.sleep(0.005)
    return found


def captured_at(document: dict[str, Any]) -> float:
    return datetime.fromisoformat(document["stream"]["captured_at"]).timestamp()


def crowd(folder: Path, seconds: float) -> None:
    clip = folder / "crowd.mp4"
    crowd_clip(clip)
    with camera_of(clip) as url:
        bare = delays(url, ["face-detector", "face-fitter"], {}, folder, seconds)
        chain = [name for name in EVERYTHING if name not in ("emotion-estimator", "quality-assessment-estimator")]
        costly = delays(url, chain, {}, folder, seconds)
        all_by_track = delays(url, EVERYTHING, {"per": {"emotion-estimator": "track"}}, folder, seconds)
    print(f"a crowd of {CROWD} at once, seconds from capture to the sink (median, worst):")
    for name, found in (
        ("detector and fitter", bare),
        ("with age, gender, mask, liveness, template", costly),
        ("everything, by track", all_by_track),
    ):
        print(f"  {name:44} {statistics.median(found):.2f} {max(found):.2f}  ({len(found)} documents)")
    print(f"  more than two frame intervals is {2 / FPS:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30, help="of each measurement")
    parser.add_argument("--chain", default="", help="only those chains whose names have this in them")
    parser.add_argument("--only", choices=["cameras", "overload", "crowd"])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, clip = Path(name), Path(name) / "faces.mp4"
        make_clip(clip)
        if arguments.only in (None, "cameras"):
            many_cameras(clip, folder, arguments.seconds, arguments.chain)
        if arguments.only in (None, "overload"):
            overload(clip, folder, arguments.seconds)
        if arguments.only in (None, "crowd"):
            crowd(folder, arguments.seconds)


if __name__ == "__main__":
    main()
