"""Labels taken apart by a column, and the figures of each part."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from daemon.commands.evaluate.figures import Figure, Report, Row
from daemon.commands.evaluate.groups import Groups, named
from daemon.commands.evaluate.labels import Label, Picture
from daemon.commands.evaluate.observed import nested


def labels(*values: str | None) -> list[Label]:
    return [
        Label(f"labels.csv:{i}", {} if value is None else {"light": value, "box": "b"})
        for i, value in enumerate(values)
    ]


def picture(*values: str) -> Picture:
    return Picture(Path("a.jpg"), tuple(labels(*values)))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"sun", "lamp"}, {"lamp": "lamp", "sun": "sun"}),
        ({"10", "9", "-1"}, {"-1": "-1", "9": "9", "10": "10"}),
        ({"10", "9", "old"}, {"10": "10", "9": "9", "old": "old"}),
        (set(), {}),
    ],
)
def test_a_value_is_a_group_of_its_own(values: set[str], expected: dict[str, str]) -> None:
    assert list(named(values).items()) == list(expected.items())


def test_many_numbers_are_four_bands() -> None:
    groups = named({f"{i / 2:g}" for i in range(12)})
    assert list(dict.fromkeys(groups.values())) == ["0 to 1", "1.5 to 2.5", "3 to 4", "4.5 to 5.5"]
    assert groups["2.5"] == "1.5 to 2.5"


def test_what_has_no_value_is_the_last_group() -> None:
    groups = Groups("light", labels("sun", "", None, "lamp"))
    assert groups.names == ("lamp", "sun", "no light")
    assert [groups.of(label) for label in labels("", None, "sun")] == ["no light", "no light", "sun"]


def test_a_picture_counts_in_each_group_with_its_own_lines() -> None:
    """The lines of the other groups are ignored; what else they say stays."""
    groups = Groups("light", labels("sun", "lamp"))
    parts = groups.parts(picture("sun", "lamp", "sun"))
    ignored = {name: [label.ignore for label in part.labels] for name, part in parts.items()}
    assert ignored == {"sun": [False, True, False], "lamp": [True, False, True]}
    assert {label.text("box") for part in parts.values() for label in part.labels} == {"b"}


@pytest.mark.parametrize(("lights", "expected"), [((("sun", "sun"), ("lamp",)), False), ((("sun", "lamp"),), True)])
def test_pictures_are_split_by_what_differs_within_one(lights: Sequence[Sequence[str]], expected: bool) -> None:
    assert Groups("light", labels("sun", "lamp")).split([picture(*values) for values in lights]) is expected


def row(group: str, count: int, value: float) -> Row:
    return Row(group, count, {"accuracy": Figure(value)})


def test_groups_of_groups_are_named_after_both() -> None:
    """What repeats its group is left out: here the women among women."""
    women = Report((row("", 3, 0.5), row("female", 3, 0.5), row("old", 1, 1)))
    men = Report((row("", 2, 0.7), row("young", 2, 0.6)))
    report = nested({"": Report((row("", 5, 0.6), row("old", 1, 1))), "female": women, "male": men})
    assert [(each.group, each.count) for each in report.rows] == [
        ("", 5),
        ("female", 3),
        ("female, old", 1),
        ("male", 2),
        ("male, young", 2),
    ]
