"""How many cameras this machine carries without a drop: python -m tests.benchmarks.many [--cameras 8 10] [--minutes 3]

Cameras of 720p25 (H.264 at 3 Mbit/s, noise, three people, looped without an end) from a simulator in a process of its
own; faces and bodies tracked with all attributes and templates by track, documents at 5 a second to a file. First one
camera with looks on every frame, for what is to be found; then each number of cameras by the settings of `--per` and
`--processors`. Written for CPUs with VNNI: for others `--processors '{}'` has bodies found at float32.

`--clip PATH` writes the clip and ends.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import av
import numpy as np

from daemon.simulator.clip import Scene
from processors.registry import PROCESSORS
from tests.benchmarks.cameras import camera_of
from tests.benchmarks.cost import run_json

FPS = 5
BIT_RATE = 3_000_000
NOISE = 4.0
"""Standard deviation in grey levels: of a small sensor by day."""
EVERY_FRAME: Mapping[str, Any] = {"emotion-estimator": "track"}
PER = {"face-detector": 5, "body-detector": 5, "face-fitter": "track", "emotion-estimator": "track"}
EIGHT_BITS = {"body_detector": {"model": "nanodet_g_416_int8"}}
EVERY_FRAME_S = 30.0


@dataclass(frozen=True, slots=True)
class Found:
    """Faces and bodies a document."""

    faces: float
    bodies: float


def make_noisy_clip(path: Path, scene: Scene | None = None) -> None:
    """A keyframe a second and no B-frames, as cameras do; each turn of the loop has the same noise."""
    scene, random = scene or Scene(), np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        options = {"preset": "veryfast", "tune": "zerolatency", "threads": "1"}
        stream = container.add_stream("libx264", rate=scene.fps, options=options)
        stream.width, stream.height, stream.pix_fmt = scene.width, scene.height, "yuv420p"
        stream.gop_size, stream.max_b_frames, stream.bit_rate = scene.fps, 0, BIT_RATE
        for index in range(scene.frames):
            noisy = scene.draw(index) + random.normal(0, NOISE, (scene.height, scene.width, 1))
            frame = av.VideoFrame.from_ndarray(noisy.clip(0, 255).astype(np.uint8), format="bgr24")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def measured(url: str, cameras: int, per: Mapping[str, Any], seconds: float, settings: Mapping[str, Any]) -> Found:
    """Prints what became of it. `settings`: models and processors, as in a configuration."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "documents.jsonl"
        stream = {"source": url, "chain": list(PROCESSORS), "fps": FPS, "tracking": {"per": per}}
        config = {
            "streams": {f"camera-{n}": stream for n in range(cameras)},
            "sinks": {"out": {"type": "file", "path": str(out)}},
            **settings,
            "http": None,
            "log": {"level": "error"},
        }
        figures = run_json("tests.benchmarks.carry", json.dumps(config), str(seconds))
        objects = [json.loads(line)["objects"] for line in out.read_bytes().splitlines()]
    dropped = sum(frames.get("dropped", 0) for frames in figures["streams"].values())
    found = Found(
        *(fmean(sum(one["class"] == label for one in each) for each in objects) for label in ("face", "body"))
    )
    print(
        f"  {cameras:2} cameras: {figures['frames'] / figures['wall']:5.1f} documents/s, {dropped} frames dropped, "
        f"{figures['cpu'] / figures['wall']:.2f} cores, p95 {figures['p95'] * 1000:.0f} ms from capture to "
        f"acknowledgement, {found.faces:.2f} faces and {found.bodies:.2f} bodies a document",
        flush=True,
    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, nargs="+", default=[8])
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--per", type=json.loads, default=PER, help="tracking.per, as JSON")
    parser.add_argument("--processors", type=json.loads, default=EIGHT_BITS, help="processors, as JSON")
    parser.add_argument("--models", type=json.loads, default={}, help='e.g. {"provider": "openvino"}')
    parser.add_argument("--clip", type=Path)
    arguments = parser.parse_args()
    if arguments.clip is not None:
        make_noisy_clip(arguments.clip)
        return
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "people.mp4"
        make_noisy_clip(clip)
        with camera_of(clip) as url:
            print(f"looks on every frame, per {json.dumps(EVERY_FRAME)}:")
            measured(url, 1, EVERY_FRAME, EVERY_FRAME_S, {"models": arguments.models})
            settings = {"models": arguments.models, "processors": arguments.processors}
            print(f"per {json.dumps(arguments.per)}, {json.dumps(settings)}:")
            for cameras in arguments.cameras:
                measured(url, cameras, arguments.per, arguments.minutes * 60, settings)


if __name__ == "__main__":
    main()
