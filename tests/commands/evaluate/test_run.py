"""`visaged evaluate` on small labelled folders, made of the demo's portraits."""

import re
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest

from daemon.cli import main
from daemon.commands.evaluate.figures import Run, read_run
from daemon.commands.evaluate.tracking import EVERY
from daemon.simulator.clip import Scene, make_clip
from processors.types import Image
from tests.processors.pictures import portrait

DATA = Path(__file__).parents[2] / "data" / "pictures"

BOXES = {"astronaut": (140, 60, 230, 180), "obama": (210, 70, 400, 340), "biden": (210, 90, 410, 370)}
"""Drawn by hand, in pixels of the demo's pictures."""

FLAT = portrait("obama")[:60, :60]
"""A corner of a wall."""


def write_set(folder: Path, columns: str, lines: Iterable[tuple[str, Image, str]]) -> Path:
    """A labelled set: name, picture and the rest of the line of each."""
    folder.mkdir(parents=True)
    text = [f"path,{columns}"]
    for name, picture, rest in lines:
        cv2.imwrite(str(folder / f"{name}.png"), picture)
        text.append(f"{name}.png,{rest}")
    (folder / "labels.csv").write_text("\n".join(text) + "\n")
    return folder


def box(name: str) -> str:
    return ",".join(map(str, BOXES[name]))


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """Three faces, a wall without one, and a face that is labelled where there is none."""
    return write_set(
        tmp_path / "labelled" / "detection" / "portraits",
        "x1,y1,x2,y2,ignore",
        [
            *((name, portrait(name), f"{box(name)},0") for name in BOXES),
            ("wall", FLAT, ",,,,"),
            ("nobody", FLAT, "5,5,45,45,0"),
        ],
    )


def run_of(path: Path, *arguments: str | Path) -> Run:
    assert main(["evaluate", *map(str, arguments), "--json", str(path)]) == 0
    return read_run(path)


def of_whole(run: Run, task: str) -> dict[str, float]:
    one = next(one for one in run.measured if one.task == task)
    return {name: figure.value for name, figure in one.report.rows[0].figures.items()}


def test_faces_are_measured(faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_of(tmp_path / "run.json", faces)
    whole = of_whole(run, "faces")
    assert whole["recall"] == 3 / 4
    assert whole["precision"] == 1
    assert whole["AP50"] == pytest.approx(76 / 101)
    table = capsys.readouterr().out.splitlines()
    assert table[0].startswith("FACES")
    assert table[1].split()[:2] == ["detection/portraits", "4"]
    assert [line.strip().split("  ")[0] for line in table[2:]] == ["32 to 64 px", "64 to 128 px", "from 128 px"]


def test_average_precision_looks_below_the_threshold(tmp_path: Path) -> None:
    """At a threshold that no face reaches nothing is found, but the order of all scores is what it was."""
    folder = write_set(
        tmp_path / "detection" / "one", "x1,y1,x2,y2,ignore", [("obama", portrait("obama"), f"{box('obama')},0")]
    )
    config = tmp_path / "strict.yaml"
    config.write_text("processors: {face_detector: {score_threshold: 0.999}}\n")
    whole = of_whole(run_of(tmp_path / "run.json", folder, "--config", config), "faces")
    assert (whole["AP50"], whole["recall"]) == (1, 0)


def test_pose_and_landmarks_are_measured(tmp_path: Path) -> None:
    """The portraits look at the camera, within 11 degrees (tests/processors/pictures.py)."""
    folder = write_set(
        tmp_path / "pose" / "portraits",
        "yaw,pitch,roll",
        [*((name, portrait(name), "0,0,0") for name in BOXES), ("wall", FLAT, "0,0,0")],
    )
    whole = of_whole(run_of(tmp_path / "run.json", folder), "pose")
    assert whole["missed"] == 1 / 4
    assert 0 < whole["yaw"] < 8
    assert 0 < whole["pitch"] < 8
    assert 0 < whole["roll"] < 8


def test_turned_pictures_are_measured_beside_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Turned by 90 degrees not every face is found; those that lie upside down are answered as they lie."""
    folder = tmp_path / "labelled"
    write_set(folder / "pose" / "portraits", "yaw,pitch,roll", [(name, portrait(name), "0,0,0") for name in BOXES])
    lines = [(name, portrait(name), f"male,{box(name)}") for name in ("biden", "obama")]
    write_set(folder / "gender" / "men", "gender,x1,y1,x2,y2", lines)
    write_set(folder / "eyes" / "walls", "open", [("wall", FLAT, "0")])
    run = run_of(tmp_path / "run.json", folder, "--turn", "180,45")
    (pose,) = (one for one in run.measured if (one.task, one.by) == ("pose", "turn"))
    rows = {row.group: row for row in pose.report.rows}
    assert [name for name in rows if "," not in name] == ["", "45", "180"]
    assert all(rows[name].figures["missed"].value == 0 for name in ("45", "180"))
    assert all(rows[name].figures["roll"].value < 12 for name in ("45", "180"))
    (gender,) = (one for one in run.measured if (one.task, one.by) == ("gender", "turn"))
    assert [row.figures["accuracy"].value for row in gender.report.rows if row.group in ("", "45", "180")] == [1, 1, 1]
    assert [left.why for left in run.left_out] == ["crops of eyes by turn: expected pictures of faces or people"]
    assert "POSE BY TURN" in capsys.readouterr().out


def test_turns_are_degrees(faces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in ("", "left", "90;180", "400"):
        with pytest.raises(SystemExit):
            main(["evaluate", str(faces), "--turn", wrong])
        assert "expected degrees below 360 with commas between" in capsys.readouterr().err


def test_sets_of_a_task_are_also_measured_together(faces: Path, tmp_path: Path) -> None:
    write_set(faces.parent / "walls", "x1,y1,x2,y2,ignore", [("wall", FLAT, ",,,,")])
    run = run_of(tmp_path / "run.json", faces.parent.parent)
    assert [(one.task, one.set) for one in run.measured] == [
        ("faces", "detection/portraits"),
        ("faces", "detection/walls"),
        ("faces", "all 2 sets"),
    ]
    assert run.measured[2].report.rows[0].figures["recall"].value == 3 / 4


def test_a_second_run_is_compared(faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_of(tmp_path / "old.json", faces)
    capsys.readouterr()
    run_of(tmp_path / "same.json", faces, "--compare", tmp_path / "old.json")
    assert "NOTHING CHANGED" in capsys.readouterr().out
    run_of(tmp_path / "two.json", faces, "--limit", "2", "--compare", tmp_path / "old.json")
    said = capsys.readouterr().out
    assert re.search(r"faces detection/portraits recall +0.750 ±\S+ +0.500 ±\S+ +-0.250", said)
    assert "the limits differ: none before, 2 now" in said


def test_what_cannot_be_measured_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_set(tmp_path / "labelled" / "pose" / "bare", "yaw", [("wall", FLAT, "0")])
    write_set(tmp_path / "labelled" / "weather" / "rain", "drops", [("wall", FLAT, "0")])
    run = run_of(tmp_path / "run.json", tmp_path / "labelled")
    assert [(left.set, left.why.split(", ")[0]) for left in run.left_out] == [
        ("pose/bare", "pose: expected the columns pitch"),
        ("weather/rain", "expected a folder named after a task"),
    ]
    assert "NOT MEASURED" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("path,yaw,pitch,roll\nnone.png,0,0,0\n", "labels.csv:2: .*none.png: .*No such file"),
        ("path,yaw,pitch,roll\nlabels.csv,0,0,0\n", "labels.csv:2: .*labels.csv: This image format is not supported"),
        ("path,yaw,pitch,roll\nwall.png,0,x,0\n", "labels.csv:2: pitch: expected a number, got 'x'"),
    ],
)
def test_mistakes_in_the_labels_are_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], labels: str, expected: str
) -> None:
    folder = write_set(tmp_path / "pose" / "x", "yaw", [("wall", FLAT, "0")])
    (folder / "labels.csv").write_text(labels)
    assert main(["evaluate", str(folder)]) == 2
    assert re.search(expected, capsys.readouterr().err)


@pytest.mark.parametrize("argument", ["--compare", "--json"])
def test_files_are_looked_at_before_anything_is_measured(
    faces: Path, tmp_path: Path, argument: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(faces), argument, str(tmp_path / "none" / "run.json")]) == 2
    said = capsys.readouterr()
    assert "run.json" in said.err
    assert said.out == ""


@pytest.mark.parametrize("limit", ["0", "-1", "x"])
def test_a_limit_is_a_number_of_pictures(limit: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["evaluate", "x", "--limit", limit])
    assert "argument --limit: expected a whole number of 1 or more, got" in capsys.readouterr().err


def test_every_estimator_of_a_face_is_measured(tmp_path: Path) -> None:
    """The portraits are of a woman of 36 years and men of 48 and 71, unmasked, smiling and there when photographed."""
    about = {"astronaut": "female,36", "obama": "male,48", "biden": "male,71"}
    labels = "x1,y1,x2,y2,gender,age,emotion,mask,live,attack_type"
    for task in ("age", "emotion", "mask", "liveness"):
        lines = [(name, portrait(name), f"{box(name)},{of},happy,0,1,live") for name, of in about.items()]
        write_set(tmp_path / "labelled" / task / "portraits", labels, lines)
    run = run_of(tmp_path / "run.json", tmp_path / "labelled", "--pictures", tmp_path / "drawn")
    assert of_whole(run, "gender")["accuracy"] == 1
    assert of_whole(run, "age")["MAE"] < 15
    assert of_whole(run, "emotion")["accuracy"] >= 2 / 3
    assert of_whole(run, "mask")["FPR"] == 0
    assert of_whole(run, "masked faces found")["recall"] == 1
    assert of_whole(run, "liveness")["BPCER"] == 0
    assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == [
        "emotion-emotion-portraits.confusion.png",
        "gender-age-portraits.confusion.png",
    ]


def rows_of(run: Run, task: str, by: str, labelled: str) -> dict[str, int]:
    """Counts by group."""
    one = next(one for one in run.measured if (one.task, one.by, one.set) == (task, by, labelled))
    return {row.group: row.count for row in one.report.rows}


def test_any_task_is_taken_apart_by_any_column(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two sets, one of which lacks the column, and a third in which a picture has no value."""
    labelled = tmp_path / "labelled"
    lines = [(name, portrait(name), rest) for name, rest in (("obama", "male,club"), ("astronaut", "female,lab"))]
    write_set(labelled / "gender" / "one", "gender,place", lines)
    write_set(labelled / "gender" / "two", "gender", [("biden", portrait("biden"), "male")])
    write_set(labelled / "gender" / "three", "gender,place", [("biden", portrait("biden"), "male,")])
    run = run_of(tmp_path / "run.json", labelled, "--by", "place")
    assert rows_of(run, "gender", "place", "gender/one") == {"": 2, "club": 1, "lab": 1}
    assert rows_of(run, "gender", "place", "gender/three") == {"": 1, "no place": 1}
    assert rows_of(run, "gender", "place", "all 2 sets") == {"": 3, "club": 1, "lab": 1, "no place": 1}
    assert rows_of(run, "gender", "", "all 3 sets") == {"": 4, "male": 3, "female": 1}
    assert "GENDER BY PLACE" in capsys.readouterr().out


def test_boxes_of_one_picture_are_taken_apart(tmp_path: Path) -> None:
    """Both faces of a picture are found; beside one of them the other is not false."""
    left = portrait("obama")[:400]
    picture = np.hstack([left, portrait("biden")[:400]])
    x1, y1, x2, y2 = BOXES["biden"]
    shift = left.shape[1]
    first, second = f"{box('obama')},0,blue", f"{x1 + shift},{y1},{x2 + shift},{y2},0,red"
    folder = write_set(tmp_path / "detection" / "two", "x1,y1,x2,y2,ignore,tie", [("both", picture, first)])
    with (folder / "labels.csv").open("a") as labels:
        labels.write(f"both.png,{second}\n")
    run = run_of(tmp_path / "run.json", folder, "--by", "tie")
    (by_tie,) = (one for one in run.measured if one.by)
    of_groups = {row.group: row for row in by_tie.report.rows}
    for tie in ("blue", "red"):
        assert of_groups[tie].count == 1
        assert of_groups[tie].figures["recall"].value == 1
        assert of_groups[tie].figures["false boxes"].value == 0


def test_a_column_that_no_set_has_is_refused(faces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(faces), "--by", "race"]) == 2
    said = capsys.readouterr()
    assert said.err == "--by: expected a column of the labels, ignore, path, x1, x2, y1, y2; got race\n"
    assert said.out == ""


def test_clips_are_not_cut_in_pieces(tmp_path: Path) -> None:
    """A clip is followed as a whole: a column that differs within it can't take it apart."""
    folder = tmp_path / "tracking" / "x"
    folder.mkdir(parents=True)
    scene = Scene(fps=5, seconds=1)
    make_clip(folder / "people.mp4", scene)
    lines = [
        f"people.mp4,{index},{one.track},{','.join(map(str, one.box_xyxy))},hall,{one.track}"
        for index in range(scene.frames)
        for one in scene.truth(index)
    ]
    (folder / "labels.csv").write_text("\n".join(["path,frame,track,x1,y1,x2,y2,place,who", *lines]) + "\n")
    run = run_of(tmp_path / "run.json", folder, "--by", "place", "--by", "who")
    seldom = {f"hall, {name}": 15 for name in EVERY}
    assert rows_of(run, "tracks", "place", "tracking/x") == {"": 15, "hall": 15, "hall, at 2 fps": 9} | seldom
    assert [left.why for left in run.left_out] == ["tracks by who: expected one value a clip, got several"]


def test_age_groups_are_measured_wherever_they_are(tmp_path: Path) -> None:
    lines = [("obama", portrait("obama"), "male,30,49"), ("astronaut", portrait("astronaut"), "female,0,2")]
    folder = write_set(tmp_path / "gender" / "groups", "gender,age_low,age_high", lines)
    run = run_of(tmp_path / "run.json", folder)
    whole = of_whole(run, "age group")
    assert whole["inside"] == 1 / 2
    assert 10 < whole["years outside"] < 30
    assert run.left_out == []


def test_a_group_of_ages_has_its_ends_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_set(tmp_path / "x" / "groups", "age_low,age_high", [("wall", FLAT, "9,3")])
    assert main(["evaluate", str(folder)]) == 2
    assert "labels.csv:2: age_high: expected 9 or more, as age_low is, got 3" in capsys.readouterr().err


def test_bodies_are_measured(tmp_path: Path) -> None:
    """Obama, from the waist up, fills his portrait."""
    folder = write_set(
        tmp_path / "body" / "x",
        "x1,y1,x2,y2,ignore",
        [("obama", portrait("obama"), "20,20,600,576,0"), ("wall", FLAT, ",,,,")],
    )
    whole = of_whole(run_of(tmp_path / "run.json", folder), "bodies")
    assert (whole["AP50"], whole["recall"], whole["precision"]) == (1, 1, 1)
    assert 0 < whole["AP50:95"] <= 1


def test_crops_of_eyes_are_measured(tmp_path: Path) -> None:
    """Both eyes of a portrait; from corner to corner they are 37 pixels."""
    eyes = {"left": (266, 172), "right": (350, 172)}
    crops = {name: portrait("obama")[y - 22 : y + 22, x - 30 : x + 30] for name, (x, y) in eyes.items()}
    lines = [(name, crop, "1") for name, crop in crops.items()]
    folder = write_set(tmp_path / "eyes" / "x", "open", lines)
    assert of_whole(run_of(tmp_path / "run.json", folder), "crops of eyes")["accuracy"] == 1


def test_open_eyes_are_measured_on_faces(tmp_path: Path) -> None:
    lines = [(name, portrait(name), f"{box(name)},1") for name in ("obama", "biden")]
    folder = write_set(tmp_path / "quality" / "x", "x1,y1,x2,y2,good", lines)
    run = run_of(tmp_path / "run.json", folder)
    assert of_whole(run, "open eyes")["open called closed"] == 0
    assert run.measured[0].report.rows[0].count == 4


def test_people_are_told_apart(tmp_path: Path) -> None:
    """Two photographs of one president and one of another."""
    photos = {name: str(DATA / f"{name}.jpg") for name in ("obama", "obama2", "biden")}
    folder = write_set(
        tmp_path / "verification" / "x",
        "identity",
        [(name, cv2.imread(path), name.rstrip("2")) for name, path in photos.items()],  # type: ignore[misc]
    )
    run = run_of(tmp_path / "run.json", folder, "--pictures", tmp_path / "drawn")
    whole = of_whole(run, "verification")
    assert whole == {
        "missed": 0,
        "TPR at 1e-03": 1,
        "TPR at 1e-04": 1,
        "EER": 0,
        "FPR / fa_r at 1e-03": 0,
        "FPR / fa_r at 1e-04": 0,
    }
    assert (tmp_path / "drawn" / "verification-verification-x.roc.png").is_file()
    assert [left.why for left in run.left_out] == ["gender: expected the columns gender"]
