"""What `per: track` saves: python -m tests.benchmarks.tracks [--seconds 30]

The demo's clip with its three people, the chain with every estimator and templates, to a file sink: CPU of the daemon
a frame with every processor on every frame, and with the costly ones by track; and whether the same people are found,
by the templates of both and the matcher's threshold.
"""

import argparse
import json
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from daemon.simulator.clip import PEOPLE, Scene, make_clip
from daemon.wire.blob import decode_base64
from daemon.wire.v2 import TEMPLATE
from models.store import ModelStore
from processors.matcher import Matcher
from processors.registry import PROCESSORS
from tests.benchmarks.cost import per_frame, run_json

CHAIN = [name for name in PROCESSORS if name != "body-detector"]
SAME = 0.9
"""The score from which on two templates are one person's: fa_r is 1e-4 there."""
OFTEN = {
    "by track": {},
    "by track, emotions on every 5th frame": {"emotion-estimator": 5},
    "all by track": {"emotion-estimator": "track"},
    "the same, a look every 3 frames": {"emotion-estimator": "track", "face-fitter": "track", "face-detector": 3},
    "the same, looks by auto": {"emotion-estimator": "track", "face-fitter": "track", "face-detector": "auto"},
}
"""Of every chain that is measured beside the one with all on every frame."""


def carried(clip: Path, lines: Path, tracking: dict[str, Any] | None) -> tuple[float, list[dict[str, Any]]]:
    """CPU ms a frame, and the documents."""
    lines.unlink(missing_ok=True)
    config = {
        "streams": {"hall": {"source": str(clip), "chain": CHAIN, "tracking": tracking}},
        "sinks": {"out": {"type": "file", "path": str(lines)}},
        "http": None,
        "log": {"level": "error"},
    }
    figures = run_json("tests.benchmarks.carry", json.dumps(config))
    return per_frame(figures), [json.loads(line) for line in lines.read_bytes().splitlines()]


def templates(documents: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    for document in documents:
        for obj in document["objects"]:
            yield decode_base64(obj["template"][TEMPLATE]["blob"])


def people(blobs: Iterable[bytes], matcher: Matcher) -> list[bytes]:
    """One template of each person, by the matcher: the first that is like none before."""
    found: list[bytes] = []
    for blob in blobs:
        if not any(matcher.compare(blob, other).score >= SAME for other in found):
            found.append(blob)
    return found


def last_of_tracks(documents: Iterable[dict[str, Any]]) -> list[bytes]:
    """The last, best template of each track that has more than a passing error's boxes."""
    of_track: dict[str, list[Any]] = {}
    for document in documents:
        for obj in document["objects"]:
            of_track.setdefault(obj["track_id"], []).append(obj)
    return [next(templates([{"objects": objects[-1:]}])) for objects in of_track.values() if len(objects) >= 3]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--seconds", type=float, default=30, help="of the clip; by frame every 12th frame of it will do"
    )
    arguments = parser.parse_args()
    matcher = Matcher(ModelStore())
    with tempfile.TemporaryDirectory() as folder:
        clip, short, lines = (Path(folder) / name for name in ("clip.mp4", "short.mp4", "documents.jsonl"))
        scene = Scene(seconds=arguments.seconds)
        make_clip(clip, scene)
        make_clip(short, Scene(fps=scene.fps // 10, seconds=arguments.seconds))
        by_frame_ms, documents = carried(short, lines, None)
        by_frame = people(templates(documents), matcher)
        print(f"{arguments.seconds:g} s of {len(PEOPLE)} people at {scene.fps} frames/s, {len(CHAIN)} processors")
        print(f"  {'all by frame':38} {by_frame_ms:7.1f} CPU ms a frame; {len(by_frame)} people by the matcher")
        for what, per in OFTEN.items():
            ms, documents = carried(clip, lines, {"per": per})
            of_tracks = last_of_tracks(documents)
            found = sum(any(matcher.compare(a, b).score >= SAME for b in of_tracks) for a in by_frame)
            foreign = sum(all(matcher.compare(a, b).score < SAME for b in by_frame) for a in of_tracks)
            print(
                f"  {what:38} {ms:7.1f} CPU ms a frame, {by_frame_ms / ms:4.1f} times cheaper (at least 5); "
                f"{found} of the same people in {len(of_tracks)} tracks, {foreign} tracks of nobody"
            )


if __name__ == "__main__":
    main()
