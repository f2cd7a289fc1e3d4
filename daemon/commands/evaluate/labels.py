"""Labelled folders: TASK/SET/labels.csv and the pictures that it names. The format is told in docs/evaluation.md."""

import csv
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from daemon.errors import ConfigError, words
from processors.types import Floats

FILE = "labels.csv"
BOX = ("x1", "y1", "x2", "y2")
POINTS = 68
TOGETHER = ("identity", "clip")
"""Pictures that share one of these are of use together."""
UTKFACE = re.compile(r"\d+_[01]_(?P<race>[0-4])_\d{17}\b")
"""A file's name in UTKFace: age, gender, race, date and time."""
RACES = ("White", "Black", "Asian", "Indian", "others")


@dataclass(frozen=True, slots=True)
class Label:
    """One line of labels.csv. What is asked for and does not stand there raises ConfigError with the line."""

    place: str
    values: Mapping[str, str]

    def text(self, column: str) -> str:
        value = self.values.get(column)
        if not value:
            raise ConfigError(f"{self.place}: {column}: expected a value, got nothing")
        return value

    def number(self, column: str) -> float:
        text = self.text(column)
        try:
            return float(text)
        except ValueError:
            raise ConfigError(f"{self.place}: {column}: expected a number, got {text!r}") from None

    def flag(self, column: str) -> bool:
        text = self.text(column)
        if text not in ("0", "1"):
            raise ConfigError(f"{self.place}: {column}: expected 0 or 1, got {text!r}")
        return text == "1"

    def one_of(self, column: str, choices: Sequence[str]) -> str:
        text = self.text(column)
        if text not in choices:
            raise ConfigError(f"{self.place}: {column}: expected one of {', '.join(choices)}, got {text!r}")
        return text

    def points(self) -> Floats:
        """(68, 2) pixels."""
        return np.array([[self.number(f"{axis}{i}") for axis in "xy"] for i in range(POINTS)])

    def box(self) -> Floats | None:
        """(4,), None where the line has no box; of a line with points, which are numbered as corners are, theirs."""
        if "x0" in self.values:
            points = self.points()
            return np.concatenate([points.min(axis=0), points.max(axis=0)])
        if not any(self.values.get(column) for column in BOX):
            return None
        return np.array([self.number(column) for column in BOX])

    def years(self) -> tuple[float, float] | None:
        """The first and the last year of age that it may be, None where the line has no age."""
        if self.values.get("age"):
            return self.number("age"), self.number("age")
        if self.values.get("age_low"):
            return self.number("age_low"), self.number("age_high")
        return None

    @property
    def ignore(self) -> bool:
        return bool(self.values.get("ignore")) and self.flag("ignore")


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture and its lines."""

    path: Path
    labels: tuple[Label, ...]

    @property
    def label(self) -> Label:
        """Of a picture that must have one line alone."""
        if len(self.labels) > 1:
            raise ConfigError(f"{self.labels[1].place}: expected one line a picture, got {len(self.labels)}")
        return self.labels[0]


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """`task` and `name` are the names of the folders: TASK/SET."""

    task: str
    name: str
    columns: frozenset[str]
    pictures: tuple[Picture, ...]

    def __str__(self) -> str:
        return f"{self.task}/{self.name}"


def find_sets(folder: Path) -> list[Path]:
    """The labels.csv in or below the folder, by name. Raises ConfigError where there is none."""
    found = sorted(folder.resolve().rglob(FILE))
    if not found:
        raise ConfigError(f"{folder}: expected a {FILE} in it or below, found none")
    return found


def read_set(path: Path, limit: int | None = None) -> LabelledSet:
    """With a limit, so many pictures at most, taken evenly from the whole. Raises ConfigError."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            columns = frozenset(reader.fieldnames or ())
            labels = [
                Label(f"{path}:{reader.line_num}", said_by_name(values.get("path") or "") | values) for values in reader
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as err:
        raise ConfigError(f"{path}: {words(err)}") from err
    if "path" not in columns:
        raise ConfigError(f"{path}:1: expected a column path, got {', '.join(sorted(columns)) or 'nothing'}")
    by_path: dict[str, list[Label]] = {}
    for label in labels:
        by_path.setdefault(label.text("path"), []).append(label)
    pictures = [Picture(path.parent / name, tuple(lines)) for name, lines in by_path.items()]
    columns = columns.union(*(said_by_name(label.text("path")) for label in labels))
    return LabelledSet(path.parent.parent.name, path.parent.name, columns, tuple(_thinned(pictures, limit)))


def said_by_name(path: str) -> dict[str, str]:
    """What a file's name says beside the columns: of UTKFace the race."""
    match = UTKFACE.match(Path(path).name)
    return {"race": RACES[int(match["race"])]} if match else {}


def _thinned(pictures: Sequence[Picture], limit: int | None) -> Iterator[Picture]:
    """People and clips stay whole."""
    if limit is None or limit >= len(pictures):
        yield from pictures
        return
    groups: dict[str, list[Picture]] = {}
    for picture in pictures:
        values = picture.labels[0].values
        key = next((values[column] for column in TOGETHER if values.get(column)), str(picture.path))
        groups.setdefault(key, []).append(picture)
    count = max(round(len(groups) * limit / len(pictures)), 1)
    chosen = [list(groups.values())[i] for i in np.linspace(0, len(groups) - 1, count).round().astype(int)]
    yield from itertools.islice(itertools.chain.from_iterable(chosen), limit)
