"""What the motion gate saves, misses and costs: python -m tests.benchmarks.motion [CLIP-OR-FOLDER ...]

On the clips named, where visaged's detectors say what there is; without any, on scenes drawn here, whose truth is
known. A miss is a frame passed over although it shows an object that, in the frame looked at last, was not there or
elsewhere (IoU below 0.5). Detectors flicker, so for clips misses are an upper bound.
"""

import argparse
import statistics
import tempfile
import time
from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import av
import numpy as np

from daemon.config.load import load
from daemon.prepare import prepare
from daemon.simulator.clip import Scene
from daemon.sources.base import Waits
from daemon.sources.settings import MotionSettings, SourceSettings
from daemon.sources.video import VideoReader
from models.store import ModelStore
from processors.boxes import iou
from processors.registry import build_chain
from processors.types import Floats, Frame, Image, Sample

SAME = 0.5
SUFFIXES = (".mp4", ".mkv", ".avi")
Boxes = dict[str, Floats]
"""(n, 4) by label."""


class Frames:
    """Takes a reader's frames."""

    stopped = False

    def __init__(self, take: Callable[[Frame], object]) -> None:
        self._take = take

    def put(self, frame: Frame) -> None:
        self._take(frame)

    offer = put

    def fail(self, error: Exception) -> None:
        raise error

    def skip(self, reason: str) -> None: ...
    def opened(self, codec: str) -> None: ...
    def waits(self, what: Waits | None) -> None: ...


def read(path: Path, take: Callable[[Frame], object], motion: MotionSettings | None = None) -> None:
    VideoReader(SourceSettings(source=str(path), motion=motion)).read(Frames(take))


@dataclass
class Result:
    frames: int
    skipped: int
    judged: int = 0
    """Of the skipped ones."""
    objects: int = 0
    """In these."""
    missed: int = 0
    longest_s: float = 0.0
    """From the look to the last frame in which something of it was missed."""


def judge(path: Path, motion: MotionSettings, find: Callable[[set[float]], dict[float, Boxes]], nth: int) -> Result:
    """`find`: the objects of the frames of these times; every `nth` of the skipped frames is judged."""
    times: list[float] = []
    read(path, lambda frame: times.append(frame.pts))
    looks: list[float] = []
    read(path, lambda frame: looks.append(frame.pts), motion)
    skipped = sorted(set(times) - set(looks))
    last_look = {pts: looks[bisect(looks, pts) - 1] for pts in skipped[::nth]}
    boxes = find({*last_look, *last_look.values()})
    result = Result(len(times), len(skipped), len(last_look))
    for pts, look in last_look.items():
        result.objects += sum(map(len, boxes[pts].values()))
        if any(is_news(each, boxes[look][label]) for label, each in boxes[pts].items()):
            result.missed += 1
            result.longest_s = max(result.longest_s, pts - look)
    return result


def is_news(boxes: Floats, known: Floats) -> bool:
    if len(boxes) == 0 or len(known) == 0:
        return len(boxes) > 0
    return bool(np.any(iou(boxes, known).max(axis=1) < SAME))


# --- drawn


def room(noise: float, light: float, window: Scene | None) -> Iterator[Image]:
    """10 s of 720p: the demo's first picture stands still; sensor noise, light that swings by a share of itself.

    `window`: a scene so small that it is far away, whose people move.
    """
    scene, random = Scene(), np.random.default_rng(0)
    still = scene.draw(0)
    for index in range(scene.frames):
        picture = still.copy()
        if window is not None:
            picture[40 : 40 + window.height, 560 : 560 + window.width] = window.draw(index)
        grain = random.normal(0, noise, picture.shape[:2])[..., None]
        gain = 1 + light * np.sin(index / scene.frames * 4 * np.pi)
        yield np.clip(picture * gain + grain, 0, 255).astype(np.uint8)


def encode(path: Path, pictures: Iterator[Image]) -> Path:
    """As a camera does, at some 2 Mbit/s."""
    with av.open(str(path), "w") as container:
        options = {"preset": "veryfast", "tune": "zerolatency", "maxrate": "2M", "bufsize": "2M", "threads": "2"}
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 1280, 720, "yuv420p", 50
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def truth(window: Scene | None, times: set[float]) -> dict[float, Boxes]:
    """The faces that move; those that stand still are known."""
    found = {pts: window.truth(round(pts * 25)) if window else [] for pts in times}
    return {pts: {"face": np.array([face.box_xyxy for face in faces]).reshape(-1, 4)} for pts, faces in found.items()}


SCENES = {
    "still, no noise": (0.0, 0.0, None),
    "still, noise of 4 levels": (4.0, 0.0, None),
    "still, noise of 10 levels": (10.0, 0.0, None),
    "still, noise of 4, light +-20 %": (4.0, 0.2, None),
    "faces of 12 to 53 px": (4.0, 0.0, Scene(width=272, height=156)),
    "faces of 6 to 26 px": (4.0, 0.0, Scene(width=136, height=78)),
    "faces of 6 to 26 px, noise of 10": (10.0, 0.0, Scene(width=136, height=78)),
}


# --- real


def detected(path: Path, times: set[float]) -> dict[float, Boxes]:
    chain = build_chain(["face-detector", "body-detector"], load(None).processor_settings(), ModelStore())
    found: dict[float, Boxes] = {}

    def take(frame: Frame) -> None:
        if frame.pts in times:
            sample = Sample(frame)
            chain([sample])
            found[frame.pts] = {label: boxes_of(sample, label) for label in ("face", "body")}

    read(path, take)
    return found


def boxes_of(sample: Sample, label: str) -> Floats:
    return np.array([obj.box_xyxy for obj in sample.objects if obj.label == label]).reshape(-1, 4)


def clips(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(each for each in path.rglob("*") if each.suffix in SUFFIXES)
        else:
            yield path


# --- cost


def cost_ms(path: Path) -> tuple[float, float]:
    """CPU of reading a frame without the gate, and what the gate adds."""

    def cpu(motion: MotionSettings | None) -> float:
        began = time.thread_time()
        read(path, lambda _: None, motion)
        return time.thread_time() - began

    frames = Scene().frames
    pairs = [(cpu(None), cpu(MotionSettings(every=1000))) for _ in range(5)]
    without = statistics.median(without for without, _ in pairs)
    added = statistics.median(gated - without for without, gated in pairs)
    return without / frames * 1000, added / frames * 1000


def show(name: str, result: Result) -> None:
    print(
        f"{name:34} {result.frames:5} frames, {result.skipped / result.frames:6.1%} skipped; of {result.judged:3} of "
        f"these with {result.objects:3} objects {result.missed:3} miss something, {result.longest_s:.2f} s after a "
        "look at most",
        flush=True,
    )


def drawn(motion: MotionSettings) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, (noise, light, window) in SCENES.items():
            path = encode(Path(folder) / "scene.mp4", room(noise, light, window))
            show(name, judge(path, motion, partial(truth, window), 1))
        without, added = cost_ms(path)
        print(f"720p: {without:.2f} ms of CPU to read a frame, the gate {added:.3f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", type=Path, metavar="CLIP-OR-FOLDER")
    parser.add_argument("--threshold", type=float, default=MotionSettings().threshold)
    parser.add_argument("--area", type=float, default=MotionSettings().area)
    parser.add_argument("--every", type=float, default=MotionSettings().every, help="seconds (default: %(default)s)")
    parser.add_argument(
        "--nth", type=int, default=1, help="judge every Nth of the frames skipped of clips (default: all)"
    )
    args = parser.parse_args()
    motion = MotionSettings(threshold=args.threshold, area=args.area, every=args.every)
    prepare()
    for path in clips(args.paths):
        show(path.name, judge(path, motion, partial(detected, path), args.nth))
    if not args.paths:
        drawn(motion)


if __name__ == "__main__":
    main()
