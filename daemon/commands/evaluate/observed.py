"""What tasks saw on sets, on all of a set and on its groups."""

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol

from daemon.commands.evaluate.figures import Measured, Report, Row
from daemon.commands.evaluate.groups import Groups
from daemon.commands.evaluate.labels import Picture
from daemon.commands.evaluate.task import ClipTask, Context, Task

AnyTask = Task[Any] | ClipTask[Any]
Part = tuple[str, str]
"""A column, and one of its groups; both empty: the whole."""
WHOLE: Part = ("", "")


class Grouping(Protocol):
    """Into which groups what was observed is taken apart."""

    column: str
    names: tuple[str, ...]


def parts(picture: Picture, groupings: Sequence[Groups]) -> dict[Part, Picture]:
    """The picture as it counts in the whole and in each group that it has a part in."""
    of_groups = {(by.column, name): part for by in groupings for name, part in by.parts(picture).items()}
    return {WHOLE: picture, **of_groups}


@dataclass(frozen=True, slots=True)
class Observed:
    """By group what a task saw on a set, all of it under ""; `by` is the column, empty where nothing else is there."""

    task: AnyTask
    set: str
    by: str
    groups: Mapping[str, Sequence[Any]]

    def measured(self, context: Context) -> Measured:
        reports = {name: self.task.report(seen, context) for name, seen in self.groups.items()}
        return Measured(self.task.name, self.set, nested(reports) if self.by else reports[""], self.by)


def observed(
    task: AnyTask, name: str, groupings: Sequence[Grouping], seen: Sequence[Mapping[Part, Any]]
) -> Iterator[Observed]:
    """Of what was seen of each picture: the whole set, then the set by each column."""
    by_part: dict[Part, list[Any]] = defaultdict(list)
    for of_picture in seen:
        for part, observation in of_picture.items():
            by_part[part].append(observation)
    yield Observed(task, name, "", {"": by_part[WHOLE]})
    for by in groupings:
        groups = {group: by_part[by.column, group] for group in by.names if (by.column, group) in by_part}
        yield Observed(task, name, by.column, {"": by_part[WHOLE], **groups})


def together(of_sets: Sequence[Observed], groupings: Sequence[Grouping]) -> Iterator[Observed]:
    """All sets of a task, and of a task by a column, where they are several."""
    order = {by.column: ("", *by.names) for by in groupings} | {"": ("",)}
    alike: dict[tuple[str, str], list[Observed]] = defaultdict(list)
    for one in of_sets:
        alike[one.task.name, one.by].append(one)
    for (_, column), several in alike.items():
        if len(several) > 1:
            names = [name for name in order[column] if any(name in one.groups for one in several)]
            groups = {name: list(chain.from_iterable(one.groups.get(name, ()) for one in several)) for name in names}
            yield dataclasses.replace(several[0], set=f"all {len(several)} sets", groups=groups)


def nested(reports: Mapping[str, Report]) -> Report:
    """The row of the whole, then the rows of each group, with its name before theirs."""
    whole, *groups = reports.items()
    rows = [
        dataclasses.replace(row, group=", ".join(filter(None, (name, row.group))))
        for name, report in groups
        for row in report.rows
        if not row.group or not repeats(row, report.rows[0])
    ]
    return Report((whole[1].rows[0], *rows))


def repeats(row: Row, other: Row) -> bool:
    """As of the women among women."""
    return row.count == other.count and row.figures.items() <= other.figures.items()
