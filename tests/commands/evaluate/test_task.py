import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from daemon.commands.evaluate.figures import Report
from daemon.commands.evaluate.geometry import COLUMNS
from daemon.commands.evaluate.labels import Label, Picture
from daemon.commands.evaluate.run import chosen, obstacle
from daemon.commands.evaluate.task import Context, Faces, Task, completed
from daemon.commands.evaluate.tasks import TASKS, tasks_of
from models.store import ModelStore
from processors.boxes import iou
from processors.face_detector import FaceDetector, FaceDetectorSettings
from processors.registry import PROCESSORS
from processors.types import Box, Floats, Frame, Image, Sample
from tests.processors.pictures import portrait

EMPTY: Image = np.zeros((60, 80, 3), np.uint8)


def labelled(box: Sequence[float] | None = None) -> Picture:
    values = {} if box is None else dict(zip(("x1", "y1", "x2", "y2"), map(str, box), strict=True))
    return Picture(Path("a.jpg"), (Label("labels.csv:2", values),))


def face(store: ModelStore, faces: Faces, image: Image, box: Sequence[float] | None = None) -> list[Floats]:
    sample = Sample(Frame.of(image))
    detector = FaceDetector(FaceDetectorSettings(), store)
    return [obj.box_xyxy for obj in chosen(faces, labelled(box), sample, detector)]


@pytest.fixture(scope="module")
def two() -> Image:
    """Obama's face at 210..400 and 70..340, and a smaller one 608 pixels to the right at 748..838 and 60..180."""
    picture: Image = np.zeros((576, 968, 3), np.uint8)
    picture[:, :608] = portrait("obama")
    picture[:330, 608:] = portrait("astronaut")
    return picture


LARGE, SMALL = (210, 70, 400, 340), (748, 60, 838, 180)


def overlap(box: Floats, other: Sequence[float]) -> float:
    return float(iou(box[None], np.array([other], float))[0, 0])


def test_a_given_face_is_where_the_label_says(store: ModelStore) -> None:
    (box,) = face(store, "given", EMPTY, (1, -2, 30, 40))
    assert box.tolist() == [1, -2, 30, 40]


@pytest.mark.parametrize("faces", ["given", "found"])
def test_without_a_box_it_is_the_largest_found(store: ModelStore, two: Image, faces: Faces) -> None:
    (box,) = face(store, faces, two)
    assert overlap(box, LARGE) > 0.6


def test_a_found_face_is_the_one_on_the_label(store: ModelStore, two: Image) -> None:
    (box,) = face(store, "found", two, (740, 70, 850, 190))
    assert overlap(box, SMALL) > 0.6
    assert box.tolist() != [740, 70, 850, 190]


def test_a_face_elsewhere_is_not_the_labelled_one(store: ModelStore, two: Image) -> None:
    assert face(store, "found", two, (500, 400, 600, 500)) == []


def test_where_none_is_found_a_crop_is_all_face(store: ModelStore) -> None:
    (box,) = face(store, "given", EMPTY)
    assert box.tolist() == [0, 0, 80, 60]


def test_where_none_is_found_none_is_made_up(store: ModelStore) -> None:
    assert face(store, "found", EMPTY) == []


@pytest.mark.parametrize("name", PROCESSORS)
def test_a_processor_runs_after_what_makes_its_needs(name: str) -> None:
    """Each once, and none before what it needs; no detector, which would put other faces in the place of the given."""
    chain = completed(name, frozenset({Box}))
    assert chain[-1] == name
    assert len(set(chain)) == len(chain)
    there: set[type] = {Box}
    for step in chain:
        assert PROCESSORS[step].needs <= there
        there |= PROCESSORS[step].makes
    assert all(PROCESSORS[step].needs for step in chain[:-1])


def task(processor: str, *columns: str) -> Task[None]:
    def report(seen: Sequence[None], context: Context) -> Report:
        return Report(())

    return Task("x", frozenset(columns), processor, "all", lambda picture, sample: None, report)


def test_a_task_without_its_processor_is_not_measured() -> None:
    assert obstacle(task("mind-reader"), frozenset({"path"})) == "there is no mind-reader yet"


def test_a_task_without_its_columns_is_not_measured() -> None:
    lacking = task("face-detector", "a", "b", "c", "d", "e", "f")
    assert obstacle(lacking, frozenset({"path", "b"})) == "expected the columns a, c, d, e, ..."
    assert obstacle(task("face-detector", "a"), frozenset({"path", "a"})) is None


def test_tasks_are_told_apart_by_their_names() -> None:
    """Reports are compared, and pictures written, by them."""
    every = {id(one): one for tasks in TASKS.values() for one in tasks}
    assert len({one.name for one in every.values()}) == len(every)


GROUPS = frozenset({"path", "age_low", "age_high"})


@pytest.mark.parametrize(
    ("folder", "columns", "names"),
    [
        ("gender", {"gender"}, ["gender"]),
        ("gender", GROUPS, ["gender", "age group"]),
        ("anything", GROUPS, ["age group"]),
        ("anything", {"age_low"}, []),
        ("age", GROUPS, ["gender", "age group"]),
        ("age", GROUPS | {"age"}, ["age", "gender", "age group"]),
        ("age", {"age_low"}, ["age", "gender"]),
    ],
)
def test_a_set_with_age_groups_is_one_of_ages_wherever_it_lies(
    folder: str, columns: frozenset[str], names: list[str]
) -> None:
    """In `age` it is then not said to lack ages."""
    assert [one.name for one in tasks_of(folder, frozenset(columns))] == names


def test_every_task_is_documented() -> None:
    text = (Path(__file__).parents[3] / "docs" / "evaluation.md").read_text()
    table = [line for line in text.splitlines() if line.startswith("| `")]
    documented = {name: line for line in table for name in re.findall(r"`(\w+)`", line.split("|")[1])}
    assert documented.keys() == TASKS.keys()
    for name, tasks in TASKS.items():
        for column in set().union(*(one.columns for one in tasks)) - COLUMNS:
            assert f"`{column}`" in documented[name]
