"""The figures of the model cards, in models/README.md, are those of models/evaluation.json, and of these models."""

from dataclasses import replace
from pathlib import Path

import pytest

from daemon.cli import main
from daemon.commands.evaluate.cards import BLOCK, CARDS, EVALUATION, expect_whole, with_figures, without_curves
from daemon.commands.evaluate.cards import main as write_cards
from daemon.commands.evaluate.figures import Confusion, Curve, Figure, Measured, Report, Row, Run, read_run, write_run
from daemon.commands.evaluate.tables import changes
from daemon.errors import ConfigError
from models.store import ModelStore
from tests.models.conftest import MODELS

SHIPPED = {manifest.name: manifest.sha256 for manifest in ModelStore().manifests()}

CARD = """\
### `a`: ages

- Text before.

<!-- figures: age -->
| old |
<!-- end of figures -->

- Text after.
"""


def row(group: str, count: int, value: float) -> Row:
    return Row(group, count, {"MAE": Figure(value, 0.5)})


@pytest.fixture
def run() -> Run:
    """Two sets and both together; the first has a group of its own."""
    one = Report(
        (row("", 3, 4), row("|old|", 1, 6), row("young", 2, 3)),
        (Curve("", (0.0, 1.0), (0.0, 1.0)),),
        Confusion(("a", "b"), ((1, 0), (0, 1))),
    )
    return Run(
        "1",
        None,
        SHIPPED,
        [
            Measured("age", "age/one", one),
            Measured("gender", "gender/one", Report((row("", 1, 1),))),
            Measured("age", "age/two", Report((row("", 1, 1), row("young", 1, 1)))),
            Measured("age", "all 2 sets", Report((row("", 4, 3.25), row("young", 3, 7 / 3)))),
        ],
    )


def test_the_cards_show_the_committed_run() -> None:
    cards = (MODELS / CARDS).read_text(encoding="utf-8")
    assert with_figures(cards, read_run(MODELS / EVALUATION)) == cards, "run: visaged models --cards (models/README.md)"


def test_the_committed_run_is_of_all_pictures_and_these_models() -> None:
    expect_whole(read_run(MODELS / EVALUATION), ModelStore())


def test_a_run_at_a_lower_precision_is_none_for_the_cards(run: Run) -> None:
    with pytest.raises(ConfigError, match="expected a run at f32, the default precision, got one at bf16"):
        expect_whole(replace(run, provider="openvino", precision="bf16"), ModelStore())


def test_every_task_of_the_committed_run_is_in_a_card() -> None:
    cards = (MODELS / CARDS).read_text(encoding="utf-8")
    shown = [match["title"] for match in BLOCK.finditer(cards)]
    assert len(set(shown)) == len(shown)
    assert {one.task for one in read_run(MODELS / EVALUATION).measured} <= set(shown)


def test_a_table_has_each_set_and_the_groups_of_all_together(run: Run) -> None:
    cards = with_figures(CARD, run)
    assert cards.splitlines() == [
        "### `a`: ages",
        "",
        "- Text before.",
        "",
        "<!-- figures: age -->",
        "",
        "|  | n | MAE |",
        "| --- | ---: | ---: |",
        "| age/one | 3 | 4.00 ±0.50 |",
        r"| &ensp;&ensp;\|old\| | 1 | 6.00 ±0.50 |",
        "| age/two | 1 | 1.00 ±0.50 |",
        "| all 2 sets | 4 | 3.25 ±0.50 |",
        "| &ensp;&ensp;young | 3 | 2.33 ±0.50 |",
        "",
        "<!-- end of figures -->",
        "",
        "- Text after.",
    ]
    assert with_figures(cards, run) == cards


def test_the_groups_of_the_only_set_are_shown(run: Run) -> None:
    alone = Run("1", None, SHIPPED, run.measured[:1])
    assert with_figures(CARD, alone).count("&ensp;&ensp;") == 2


def test_a_task_that_was_not_measured_is_named(run: Run) -> None:
    with pytest.raises(ConfigError, match=r"figures: pose: expected one of age, gender"):
        with_figures(CARD.replace("figures: age", "figures: pose"), run)


def test_a_task_by_a_column_is_a_table_of_its_own(run: Run) -> None:
    by_race = Measured("age", "age/one", Report((row("", 3, 4), row("White", 2, 3))), "race")
    cards = with_figures(CARD.replace("figures: age", "figures: age by race"), Run("1", None, SHIPPED, [by_race]))
    assert "| age/one | 3 | 4.00 ±0.50 |\n| &ensp;&ensp;White | 2 | 3.00 ±0.50 |" in cards
    assert "White" not in with_figures(CARD, Run("1", None, SHIPPED, [*run.measured, by_race]))


def test_a_run_is_put_into_the_cards(run: Run, tmp_path: Path) -> None:
    (tmp_path / CARDS).write_text(CARD, encoding="utf-8")
    write_run(run, tmp_path / "run.json")
    assert write_cards(tmp_path / "run.json", tmp_path) == 0
    kept = read_run(tmp_path / EVALUATION)
    assert kept == without_curves(run)
    assert changes(run, kept) == []
    assert all(not one.report.curves and one.report.confusion is None for one in kept.measured)
    assert (tmp_path / CARDS).read_text(encoding="utf-8") == with_figures(CARD, kept)


def test_a_folder_without_cards_is_named(run: Run, tmp_path: Path) -> None:
    write_run(run, tmp_path / "run.json")
    with pytest.raises(ConfigError, match=rf"{CARDS}: No such file"):
        write_cards(tmp_path / "run.json", tmp_path)


@pytest.mark.parametrize(
    ("limit", "models", "said"),
    [
        (50, SHIPPED, "expected a run of all pictures, got one with --limit 50"),
        (None, SHIPPED | {"age-v1": "0" * 64}, "expected a run with these models, got one with others: age-v1"),
        (None, SHIPPED | {"age-v2": "0" * 64}, "expected a run with these models, got one with others: age-v2"),
    ],
)
def test_a_run_that_is_not_of_the_shipped_models_is_refused(
    limit: int | None, models: dict[str, str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the command, which leaves the cards as they are."""
    before = (MODELS / CARDS).read_bytes()
    write_run(Run("1", limit, models), tmp_path / "run.json")
    assert main(["models", "--cards", str(tmp_path / "run.json")]) == 2
    assert capsys.readouterr().err == said + "\n"
    assert (MODELS / CARDS).read_bytes() == before
