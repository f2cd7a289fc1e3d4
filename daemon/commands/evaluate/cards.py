"""The figures in the model cards: the tables in models/README.md, and the run that they come from beside it.

<!-- figures: emotion -->
...
<!-- end of figures -->
"""

import dataclasses
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from daemon.commands.evaluate.figures import Measured, Report, Run, read_run, write_run
from daemon.commands.evaluate.tables import by_title, cells
from daemon.errors import ConfigError
from models.store import ModelStore

CARDS = "README.md"
EVALUATION = "evaluation.json"

BLOCK = re.compile(r"(<!-- figures: (?P<title>[^>]+) -->\n).*?(<!-- end of figures -->)", re.DOTALL)


def main(path: Path, folder: Path) -> int:
    """Puts the figures of the run at `path` into a folder with cards. Raises ConfigError where they can't be theirs."""
    run = read_run(path)
    expect_whole(run, ModelStore())
    cards = folder / CARDS
    try:
        text = with_figures(cards.read_text(encoding="utf-8"), run)
        cards.write_text(text, encoding="utf-8")
        write_run(without_curves(run), folder / EVALUATION)
    except OSError as err:
        raise ConfigError(f"{err.filename}: {err.strerror}") from err
    return 0


def expect_whole(run: Run, models: ModelStore) -> None:
    """Raises ConfigError for a run of some pictures only, at a lower precision, or with other models."""
    if run.limit is not None:
        raise ConfigError(f"expected a run of all pictures, got one with --limit {run.limit}")
    if run.precision != "f32":
        raise ConfigError(f"expected a run at f32, the default precision, got one at {run.precision}")
    shipped = {manifest.name: manifest.sha256 for manifest in models.manifests()}
    if changed := sorted(name for name in shipped | run.models if shipped.get(name) != run.models.get(name)):
        raise ConfigError(f"expected a run with these models, got one with others: {', '.join(changed)}")


def without_curves(run: Run) -> Run:
    """What is left is the figures alone: a third of the size, and `--compare` takes it."""
    return dataclasses.replace(
        run, measured=[dataclasses.replace(one, report=Report(one.report.rows)) for one in run.measured]
    )


def with_figures(cards: str, run: Run) -> str:
    """The cards with the run's tables. Raises ConfigError for one that the run has not."""
    measured = by_title(run.measured)

    def block(match: re.Match[str]) -> str:
        title = match["title"]
        if title not in measured:
            raise ConfigError(f"{CARDS}: figures: {title}: expected one of {', '.join(measured)}")
        return f"{match[1]}\n{markdown(list(summed_up(measured[title])))}\n\n{match[3]}"

    return BLOCK.sub(block, cards)


def summed_up(of_task: Sequence[Measured]) -> Iterator[Measured]:
    """Every set's own row; of its groups those that all sets together, which come last, do not have too."""
    together = {row.group for row in of_task[-1].report.rows} - {""}
    for one in of_task[:-1]:
        rows = tuple(row for row in one.report.rows if row.group not in together)
        yield dataclasses.replace(one, report=Report(rows))
    yield of_task[-1]


def markdown(of_task: Sequence[Measured]) -> str:
    """A table as GitHub has it; a group keeps the two spaces that it is indented by."""
    heading, *lines = cells(of_task)
    table = [heading, ["---", *("---:" for _ in heading[1:])], *lines]
    return "\n".join(f"| {' | '.join(map(_escaped, line))} |" for line in table)


def _escaped(cell: str) -> str:
    text = cell.lstrip()
    return "&ensp;" * (len(cell) - len(text)) + text.replace("|", "\\|")
