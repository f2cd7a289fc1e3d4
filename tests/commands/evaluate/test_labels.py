from pathlib import Path

import pytest

from daemon.commands.evaluate.labels import LabelledSet, find_sets, read_set
from daemon.errors import ConfigError


def labelled(folder: Path, text: str, limit: int | None = None) -> LabelledSet:
    folder.mkdir(parents=True)
    (folder / "labels.csv").write_text(text)
    return read_set(folder / "labels.csv", limit)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "detection" / "streets"


def test_lines_of_one_picture_stand_together(folder: Path) -> None:
    read = labelled(folder, "path,x1,y1,x2,y2,ignore\na.jpg,1,2,3,4,0\nb.jpg,,,,,\na.jpg,5,6,7,8.5,1\n")
    assert str(read) == "detection/streets"
    a, b = read.pictures
    assert a.path == folder / "a.jpg"
    assert [label.box().tolist() for label in a.labels] == [[1, 2, 3, 4], [5, 6, 7, 8.5]]  # type: ignore[union-attr]
    assert [label.ignore for label in a.labels] == [False, True]
    assert b.label.box() is None
    assert not b.label.ignore


def test_the_box_of_68_points_is_theirs(folder: Path) -> None:
    """Their columns x1, y1, x2 and y2 are points."""
    names = [f"{axis}{i}" for i in range(68) for axis in "xy"]
    values = [str(value) for i in range(68) for value in (100 - i, 200 + i)]
    read = labelled(folder, f"path,{','.join(names)}\na.jpg,{','.join(values)}\n")
    (picture,) = read.pictures
    box = picture.label.box()
    assert box is not None
    assert box.tolist() == [33, 200, 100, 267]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name,x1\na.jpg,1\n", "labels.csv:1: expected a column path, got name, x1"),
        ("", "labels.csv:1: expected a column path, got nothing"),
        ("path,x1\n,1\n", "labels.csv:2: path: expected a value, got nothing"),
    ],
)
def test_what_is_no_set_is_refused(folder: Path, text: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        labelled(folder, text)


def test_a_value_that_is_none_is_named_with_its_line(folder: Path) -> None:
    read = labelled(folder, "path,x1,y1,x2,y2,mask,gender\na.jpg,1,2,3,4,1,male\nb.jpg,1,2,x,,yes,man\n")
    label = read.pictures[1].label
    with pytest.raises(ConfigError, match=r"labels.csv:3: x2: expected a number, got 'x'"):
        label.box()
    with pytest.raises(ConfigError, match=r"labels.csv:3: y2: expected a value, got nothing"):
        label.number("y2")
    with pytest.raises(ConfigError, match=r"labels.csv:3: mask: expected 0 or 1, got 'yes'"):
        label.flag("mask")
    with pytest.raises(ConfigError, match=r"labels.csv:3: gender: expected one of male, female, got 'man'"):
        label.one_of("gender", ("male", "female"))


@pytest.mark.parametrize(
    ("line", "race"),
    [
        ("images/1_0_2_20161219202914180.jpg,", "Asian"),
        ("116_1_0_20170120134921760.jpg.chip.jpg,", "White"),
        ("61_1_20170109142408075.jpg,", None),
        ("a.jpg,", None),
        ("1_0_2_20161219202914180.jpg,Indian", "Indian"),
    ],
)
def test_the_race_is_in_the_names_of_utkface(folder: Path, line: str, race: str | None) -> None:
    """But a column says it first."""
    column = "race" if race == "Indian" else "x"
    read = labelled(folder, f"path,{column}\n{line}\n")
    assert read.pictures[0].label.values.get("race") == race
    assert ("race" in read.columns) == (race is not None)


@pytest.mark.parametrize(
    ("columns", "line", "years"),
    [
        ("age", "31", (31, 31)),
        ("age_low,age_high", "30,39", (30, 39)),
        ("age,age_low,age_high", "31,30,39", (31, 31)),
        ("age,age_low,age_high", ",30,39", (30, 39)),
        ("age", "", None),
        ("x", "", None),
    ],
)
def test_an_age_is_a_year_or_a_group(folder: Path, columns: str, line: str, years: tuple[float, float] | None) -> None:
    assert labelled(folder, f"path,{columns}\na.jpg,{line}\n").pictures[0].label.years() == years


def test_one_line_a_picture(folder: Path) -> None:
    read = labelled(folder, "path,age\na.jpg,1\na.jpg,2\n")
    with pytest.raises(ConfigError, match=r"labels.csv:3: expected one line a picture, got 2"):
        _ = read.pictures[0].label


def test_sets_are_found_in_and_below(tmp_path: Path) -> None:
    for name in ("b/two", "a/one"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "labels.csv").write_text("path\n")
    assert find_sets(tmp_path) == [tmp_path / "a/one/labels.csv", tmp_path / "b/two/labels.csv"]
    assert find_sets(tmp_path / "b/two") == [tmp_path / "b/two/labels.csv"]


def test_a_folder_without_sets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected a labels.csv in it or below, found none"):
        find_sets(tmp_path)


def test_a_limit_takes_pictures_from_all_over(folder: Path) -> None:
    read = labelled(folder, "path\n" + "".join(f"{i}.jpg\n" for i in range(100)), limit=5)
    assert [int(picture.path.stem) for picture in read.pictures] == [0, 25, 50, 74, 99]


@pytest.mark.parametrize("column", ["identity", "clip"])
def test_a_limit_keeps_people_and_clips_whole(folder: Path, column: str) -> None:
    lines = "".join(f"{i}.jpg,{i // 4}\n" for i in range(100))
    read = labelled(folder, f"path,{column}\n{lines}", limit=12)
    assert [int(picture.path.stem) for picture in read.pictures] == [0, 1, 2, 3, 48, 49, 50, 51, 96, 97, 98, 99]


def test_a_limit_above_all_changes_nothing(folder: Path) -> None:
    assert len(labelled(folder, "path\na.jpg\nb.jpg\n", limit=9).pictures) == 2
