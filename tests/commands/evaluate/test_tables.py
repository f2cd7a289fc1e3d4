from dataclasses import replace
from pathlib import Path

import pytest

from daemon.commands.evaluate.figures import (
    Confusion,
    Curve,
    Figure,
    LeftOut,
    Measured,
    Report,
    Row,
    Run,
    read_run,
    write_run,
)
from daemon.commands.evaluate.tables import changes, comparison, tables
from daemon.errors import ConfigError


def run(value: float, *, error: float | None = 0.01, model: str = "aa", limit: int | None = None) -> Run:
    rows = (
        Row("", 200, {"AP50": Figure(value, error), "false boxes": Figure(3)}),
        Row("8 to 16 px", 90, {"AP50": Figure(0.25)}),
    )
    measured = Measured("faces", "detection/streets", Report(rows))
    return Run("1.0", limit, {"yunet": model}, [measured])


def test_a_table_has_a_row_a_set_and_its_groups_below() -> None:
    assert tables(run(0.5)).splitlines() == [
        "FACES                n          AP50  false boxes",
        "detection/streets  200  0.500 ±0.010            3",
        "  8 to 16 px        90         0.250",
    ]


def test_what_is_above_one_has_two_decimals() -> None:
    """By column: errors in degrees stand under each other whole."""
    rows = (Row("", 2, {"yaw": Figure(12.345, 0.5)}), Row("|yaw| 0 to 15", 1, {"yaw": Figure(0.5, 0.25)}))
    text = tables(Run("1.0", None, {}, [Measured("pose", "pose/heads", Report(rows))]))
    assert "12.35 ±0.50" in text or "12.34 ±0.50" in text
    assert "0.50 ±0.25" in text


def test_what_was_not_measured_is_said() -> None:
    text = tables(Run("1.0", None, {}, [], [LeftOut("age/x", "age: there is no age-estimator yet")]))
    assert text == "NOT MEASURED\n  age/x: age: there is no age-estimator yet"


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    report = Report(
        (Row("", 2, {"AUC": Figure(0.5, 0.1), "EER": Figure(0.25)}),),
        (Curve("", (0.0, 1.0), (0.5, 1.0)),),
        Confusion(("male", "female"), ((1, 0), (1, 0))),
    )
    written = Run("1.0", 7, {"a": "bb"}, [Measured("gender", "gender/x", report)], [LeftOut("y", "because")])
    write_run(written, tmp_path / "run.json")
    assert read_run(tmp_path / "run.json") == written


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"version": "1"}'])
def test_what_is_no_run_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "old.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"old.json: expected what `visaged evaluate --json` writes"):
        read_run(path)


def test_a_run_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_run(tmp_path / "old.json")


@pytest.mark.parametrize(
    ("now", "error", "clear"),
    [
        (0.53, 0.01, True),  # three hundredths where the errors together are 1.4
        (0.52, 0.01, False),
        (0.47, 0.01, True),
        (0.9, None, False),  # nobody knows
    ],
)
def test_a_change_is_clear_beyond_the_noise(now: float, error: float | None, clear: bool) -> None:
    (change,) = changes(run(0.5), run(now, error=error))
    assert change.place == "faces detection/streets AP50"
    assert change.is_clear == clear


def test_a_comparison_has_what_changed_alone() -> None:
    assert comparison(run(0.5), run(0.6, model="bb")).splitlines() == [
        "CHANGED                             before           now      by",
        "faces detection/streets AP50  0.500 ±0.010  0.600 ±0.010  +0.100  !",
        "2 figures are the same; changed models: yunet",
    ]


def test_a_comparison_of_equal_runs() -> None:
    assert comparison(run(0.5), run(0.5)) == "NOTHING CHANGED\n3 figures are the same; changed models: none"


def test_a_comparison_says_what_cannot_be_compared() -> None:
    old = run(0.5, limit=10)
    new = Run("1.0", None, old.models, [Measured("age", "age/x", Report((Row("", 1, {"MAE": Figure(5.0)}),)))])
    assert comparison(old, new).splitlines()[1] == (
        "0 figures are the same; 3 were measured before alone; 1 are new; "
        "the limits differ: 10 before, none now; changed models: none"
    )


def test_a_comparison_says_that_the_models_ran_otherwise() -> None:
    new = replace(run(0.5), provider="openvino", precision="bf16")
    assert comparison(run(0.5), new).splitlines()[1] == (
        "3 figures are the same; the models ran by cpu f32 before, by openvino bf16 now; changed models: none"
    )
