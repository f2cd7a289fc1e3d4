"""Tracks against labels, on clips small enough to count by hand, and on the demo's."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from daemon.cli import main
from daemon.commands.evaluate.figures import Row, read_run
from daemon.commands.evaluate.labels import BOX, Label
from daemon.commands.evaluate.task import Context
from daemon.commands.evaluate.tracking import (
    EVERY,
    Clip,
    Count,
    GreedyOverlap,
    Look,
    carried,
    count,
    our_tracker,
    report_tracks,
    truths,
)
from daemon.errors import ConfigError
from daemon.simulator.clip import Scene, make_clip
from models.store import ModelStore
from processors.face_detector import FaceDetectorSettings

COLUMNS = ("frame", "track", *BOX, "visible")


def labels(*lines: str) -> list[Label]:
    """Of "frame,track,x1,y1,x2,y2,visible"."""
    return [
        Label(f"labels.csv:{number}", dict(zip(COLUMNS, line.split(","), strict=True)))
        for number, line in enumerate(lines, start=2)
    ]


def box(x: float) -> tuple[float, float, float, float]:
    return (x, 0, x + 100, 100)


def line(frame: int, track: str, x: float, visible: float = 1) -> str:
    return ",".join(map(str, (frame, track, *box(x), visible)))


def clip(lines: Sequence[str], found: Sequence[Sequence[float]], fps: float = 25) -> Clip:
    """A labelled clip, and at which x the detector finds faces in each frame."""
    of_frame = truths(labels(*lines))
    looks = (
        Look(i / fps, 1280, 720, np.array([box(x) for x in xs]).reshape(-1, 4), of_frame.get(i))
        for i, xs in enumerate(found)
    )
    return Clip("walk", tuple(looks))


def scripted(*ids: Sequence[int]) -> Callable[[Look], Sequence[int]]:
    """A tracker that says this of each frame."""
    said = iter(ids)
    return lambda look: next(said)


def test_perfect_tracks() -> None:
    lines = [line(frame, track, x) for frame in range(3) for track, x in (("a", 0), ("b", 500))]
    got = count(clip(lines, [[0, 500]] * 3), scripted([1, 2], [1, 2], [1, 2]))
    assert got == Count(wanted=6, found=6, hits=6, identities=2, tracks=2, identified=6)


def test_a_track_that_changes_is_one_switch_and_half_identified() -> None:
    lines = [line(frame, "a", 0) for frame in range(4)]
    got = count(clip(lines, [[0]] * 4), scripted([1], [1], [2], [2]))
    assert got == Count(wanted=4, found=4, hits=4, switches=1, apart=1, identities=1, tracks=2, identified=2)


def test_faces_that_change_tracks_where_they_touched_are_not_apart() -> None:
    """They overlap in frame 1, where only one is found, and have come apart when the switch shows."""
    lines = [
        *(line(0, "a", 0), line(0, "b", 300)),
        *(line(1, "a", 140), line(1, "b", 160, 0.2)),
        *(line(2, "a", 300), line(2, "b", 0)),
        *(line(3, "a", 400), line(3, "b", -100)),
    ]
    got = count(clip(lines, [[0, 300], [140], [300, 0], [400, -100]]), scripted([1, 2], [1], [2, 1], [2, 1]))
    assert (got.switches, got.apart) == (2, 0)
    assert (got.wanted, got.found, got.hits, got.identified) == (7, 7, 7, 4)


def test_misses_and_false_boxes() -> None:
    lines = [line(0, "a", 0), line(1, "a", 0)]
    got = count(clip(lines, [[0, 900], []]), scripted([1, 2], []))
    assert got == Count(wanted=2, found=2, hits=1, identities=1, tracks=2, identified=1)


def test_what_is_hidden_neither_is_wanted_nor_makes_a_box_false() -> None:
    lines = [line(0, "a", 0), line(1, "a", 0, 0.49), line(2, "a", 0, 0.5)]
    got = count(clip(lines, [[0], [0], [0]]), scripted([1], [7], [1]))
    assert got == Count(wanted=2, found=2, hits=2, identities=1, tracks=1, identified=2)


def test_who_comes_back_may_be_somebody_new() -> None:
    """Frame 1 is labelled and lacks a."""
    lines = [line(0, "a", 0), line(1, "b", 500), line(2, "a", 0)]
    got = count(clip(lines, [[0], [500], [0]]), scripted([1], [2], [3]))
    assert (got.switches, got.identities, got.identified) == (0, 3, 3)


def test_frames_without_labels_are_followed_and_not_counted() -> None:
    """Frame 1 has no line; frame 2 is said to be empty."""
    lines = [line(0, "a", 0), "2,,,,,,"]
    got = count(clip(lines, [[0], [0, 700], [0]]), scripted([1], [1, 2], [1]))
    assert got == Count(wanted=1, found=2, hits=1, identities=1, tracks=1, identified=1)


def test_a_face_keeps_its_track_though_another_box_fits_better() -> None:
    """As CLEAR MOT has it: 3 is nearer in frame 1, and 1 near enough."""
    lines = [line(0, "a", 0), line(1, "a", 0)]
    got = count(clip(lines, [[0], [20, 0]]), scripted([1], [1, 3]))
    assert (got.switches, got.hits, got.found) == (0, 2, 3)


def test_greedy_overlap_foretells_and_forgets() -> None:
    """It walks on unseen for 12 frames at the last pace, and no longer."""

    def follow(gap: int) -> list[int]:
        greedy = GreedyOverlap()
        found = [[10.0 * i] for i in range(5)] + [[]] * gap + [[10.0 * (5 + gap)]]
        return [track for look in clip([], found).looks for track in greedy(look)]

    assert follow(12) == [1] * 6
    assert follow(13) == [1] * 5 + [2]


def test_greedy_overlap_takes_the_best_pair_first() -> None:
    greedy = GreedyOverlap()
    looks = clip([], [[0, 60], [55, 5]]).looks
    assert [greedy(look) for look in looks] == [[1, 2], [2, 1]]


@pytest.fixture
def context(store: ModelStore) -> Context:
    return Context(FaceDetectorSettings(), store)


def figures(rows: Sequence[Row]) -> Mapping[str, Mapping[str, float]]:
    return {row.group: {name: figure.value for name, figure in row.figures.items()} for row in rows}


def test_a_report_shows_each_clip_at_each_rate(context: Context) -> None:
    """Who walks a size in each fifth frame is lost by overlaps at 5 frames a second, and by us is not."""
    lines = [line(frame, "a", 20 * frame) for frame in range(50)]
    walk = clip(lines, [[20 * frame] for frame in range(50)])
    rows = report_tracks([walk, Clip("again", walk.looks)], context).rows
    assert [row.group for row in rows] == [
        *("", "walk", "again"),
        *("at 12.5 fps", "walk at 12.5 fps", "again at 12.5 fps"),
        *("at 5 fps", "walk at 5 fps", "again at 5 fps"),
        *("at 2 fps", "walk at 2 fps", "again at 2 fps"),
        *EVERY,
    ]
    assert [row.count for row in rows[:3]] == [100, 50, 50]
    assert rows[6].count == 20
    of = figures(rows)
    assert of["at 5 fps"]["switches"] == 0
    assert (of["at 5 fps"]["IDF1"], of["at 5 fps"]["MOTA"]) == (1, 1)
    assert of["at 5 fps"]["switches, greedy"] == of["at 5 fps"]["apart, greedy"] == 18
    assert of["at 5 fps"]["IDF1, greedy"] == 0.1


def test_a_clip_is_not_looked_at_faster_than_it_is(context: Context) -> None:
    slow = clip([line(frame, "a", 0) for frame in range(10)], [[0]] * 10, fps=4)
    assert [row.group for row in report_tracks([slow], context).rows] == ["", "at 2 fps", *EVERY]


def test_what_is_predicted_between_looks_counts_as_found() -> None:
    """Who walks a size a second is where he is predicted; who comes is found by the next look."""
    lines = [*(line(frame, "a", 4 * frame) for frame in range(50)), *(line(frame, "b", 500) for frame in range(6, 50))]
    walk = clip(lines, [[4 * frame, *([500] if frame >= 6 else [])] for frame in range(50)])
    seldom = carried(walk, 5)
    assert seldom.looks == 10
    got = count(seldom.clip, seldom.follow())
    assert (got.wanted, got.hits, got.found, got.switches, got.tracks) == (94, 90, 90, 0, 2)
    always = carried(walk, 1)
    assert count(always.clip, always.follow()) == count(walk, our_tracker())


def test_our_tracker_begins_anew_with_each_clip() -> None:
    look = clip([], [[0, 500]]).looks[0]
    assert list(our_tracker()(look)) == list(our_tracker()(look)) == [1, 2]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["0,a,0,0,x,1,1"], "labels.csv:2: x2: expected a number, got 'x'"),
        (["0,,0,0,1,1,1"], "labels.csv:2: track: expected a value"),
        (["0,a,0,0,1,1,1", "one,a,0,0,1,1,1"], "labels.csv:3: frame: expected a number, got 'one'"),
    ],
)
def test_mistakes_in_labels_are_named(lines: Sequence[str], expected: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(expected)):
        truths(labels(*lines))


def test_a_clip_is_measured_with_the_detectors_own_boxes(tmp_path: Path) -> None:
    """The demo's three people, the first two of whom have just walked round each other."""
    scene = Scene(fps=5, seconds=6)
    folder = tmp_path / "tracking" / "demo"
    folder.mkdir(parents=True)
    make_clip(folder / "people.mp4", scene)
    lines = [
        f"people.mp4,{index},{one.track},{','.join(map(str, one.box_xyxy))},{1 - one.hidden}"
        for index in range(scene.frames)
        for one in scene.truth(index)
    ]
    (folder / "labels.csv").write_text("\n".join([f"path,{','.join(COLUMNS)}", *lines]))
    assert main(["evaluate", str(folder), "--json", str(tmp_path / "run.json")]) == 0
    (measured,) = read_run(tmp_path / "run.json").measured
    assert (measured.task, measured.set) == ("tracks", "tracking/demo")
    whole = measured.report.rows[0]
    assert whole.count > 70
    of = figures([whole])[""]
    assert (of["switches"], of["people"], of["tracks"]) == (0, 3, 3)
    assert of["IDF1"] > 0.95
    assert of["MOTA"] > 0.9


def test_what_is_no_video_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "tracking" / "broken"
    folder.mkdir(parents=True)
    (folder / "a.mp4").write_bytes(b"none")
    (folder / "labels.csv").write_text(f"path,{','.join(COLUMNS)}\na.mp4,{line(0, 'a', 0)}\n")
    assert main(["evaluate", str(folder)]) == 2
    assert re.search(r"labels.csv:2: .*a.mp4", capsys.readouterr().err)
