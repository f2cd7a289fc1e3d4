"""Reports as text: a table a task with a row a set, and what has changed since an earlier run."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from daemon.commands.evaluate.figures import Figure, LeftOut, Measured, Run

NOISE = 2.0
"""Standard errors, of both runs together, up to which a change is no finding."""


def tables(run: Run) -> str:
    """All that was measured, then what was not."""
    parts = [_table(title, of_table) for title, of_table in by_title(run.measured).items()]
    if run.left_out:
        parts.append(_left_out(run.left_out))
    return "\n\n".join(parts)


def _left_out(left_out: Sequence[LeftOut]) -> str:
    return "\n".join(["NOT MEASURED", *(f"  {left.set}: {left.why}" for left in left_out)])


def by_title(measured: Sequence[Measured]) -> dict[str, list[Measured]]:
    titles: dict[str, list[Measured]] = {}
    for one in measured:
        titles.setdefault(one.title, []).append(one)
    return titles


def _table(title: str, of_table: Sequence[Measured]) -> str:
    heading, *lines = cells(of_table)
    heading[0] = title.upper()
    return aligned([heading, *lines])


def cells(of_task: Sequence[Measured]) -> list[list[str]]:
    """The names of the columns, then a line for each set and, indented, each of its groups."""
    names = list(dict.fromkeys(name for one in of_task for row in one.report.rows for name in row.figures))
    decimals = {name: _decimals(list(_figures(of_task, name))) for name in names}
    lines = [["", "n", *names]]
    for one in of_task:
        for row in one.report.rows:
            figures = [_cell(row.figures.get(name), decimals[name]) for name in names]
            lines.append([f"  {row.group}" if row.group else one.set, str(row.count), *figures])
    return lines


def _figures(of_task: Sequence[Measured], name: str) -> Iterator[Figure]:
    for one in of_task:
        for row in one.report.rows:
            if name in row.figures:
                yield row.figures[name]


def _decimals(figures: Sequence[Figure]) -> int:
    """Of a column: counts have none, shares three, what is larger (degrees, years) two."""
    values = [figure.value for figure in figures]
    if all(value == int(value) and figure.error is None for value, figure in zip(values, figures, strict=True)):
        return 0
    return 3 if all(abs(value) <= 1 for value in values) else 2


def _cell(figure: Figure | None, decimals: int) -> str:
    if figure is None:
        return ""
    error = "" if figure.error is None else f" ±{figure.error:.{decimals}f}"
    return f"{figure.value:.{decimals}f}{error}"


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """The first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))]).rstrip()
        for line in lines
    )


class Change(NamedTuple):
    place: str
    """Table, set, group and figure."""
    old: Figure
    new: Figure

    @property
    def is_clear(self) -> bool:
        """Beyond noise, where both standard errors are known."""
        if self.old.error is None or self.new.error is None:
            return False
        noise = math.hypot(self.old.error, self.new.error)
        return abs(self.new.value - self.old.value) > NOISE * noise


def changes(old: Run, new: Run) -> list[Change]:
    """The figures of both runs that differ, in the new run's order."""
    before = dict(_placed(old))
    return [
        Change(place, before[place], figure)
        for place, figure in _placed(new)
        if place in before and before[place].value != figure.value
    ]


def _placed(run: Run) -> Iterator[tuple[str, Figure]]:
    for one in run.measured:
        for row in one.report.rows:
            for name, figure in row.figures.items():
                yield " ".join(filter(None, (one.title, one.set, row.group and f"({row.group})", name))), figure


def comparison(old: Run, new: Run) -> str:
    """A line for each figure that has changed; `!` marks changes beyond NOISE standard errors."""
    before, after = {place for place, _ in _placed(old)}, {place for place, _ in _placed(new)}
    lines = [["CHANGED", "before", "now", "by", ""]]
    for change in changes(old, new):
        decimals = _decimals([change.old, change.new])
        by = f"{change.new.value - change.old.value:+.{decimals}f}"
        cells = [_cell(change.old, decimals), _cell(change.new, decimals), by, "!" if change.is_clear else ""]
        lines.append([change.place, *cells])
    notes = [f"{len(before & after) - len(lines) + 1} figures are the same"]
    if before - after:
        notes.append(f"{len(before - after)} were measured before alone")
    if after - before:
        notes.append(f"{len(after - before)} are new")
    if old.limit != new.limit:
        notes.append(f"the limits differ: {old.limit or 'none'} before, {new.limit or 'none'} now")
    ways = [f"{run.provider} {run.precision}" for run in (old, new)]
    if ways[0] != ways[1]:
        notes.append(f"the models ran by {ways[0]} before, by {ways[1]} now")
    notes.append(f"changed models: {', '.join(changed_models(old, new)) or 'none'}")
    return "\n".join([aligned(lines) if len(lines) > 1 else "NOTHING CHANGED", "; ".join(notes)])


def changed_models(old: Run, new: Run) -> list[str]:
    return sorted(name for name in old.models | new.models if old.models.get(name) != new.models.get(name))
