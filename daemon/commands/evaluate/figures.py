"""What was measured: figures with their standard errors, rows of them, and what a whole run found. Also as JSON."""

from dataclasses import dataclass, field
from pathlib import Path

import pydantic

from daemon.errors import ConfigError, InvalidDocument
from daemon.wire.codec import encode, parse


@dataclass(frozen=True, slots=True)
class Figure:
    """`error` is the standard error of `value`, None where none is known."""

    value: float
    error: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of a set, or of the `group` of it that they name; `count` is how many cases stand behind them."""

    group: str
    count: int
    figures: dict[str, Figure]


@dataclass(frozen=True, slots=True)
class Curve:
    """A receiver operating characteristic: share of the negatives and of the positives that are taken."""

    name: str
    fpr: tuple[float, ...]
    tpr: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Confusion:
    """`counts[i][j]`: how many of class i were taken for class j."""

    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Report:
    """Rows of one task on one set, the one of the whole set (group "") first."""

    rows: tuple[Row, ...]
    curves: tuple[Curve, ...] = ()
    confusion: Confusion | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """A task on a set; with `by`, its figures for each value of that column of the labels."""

    task: str
    set: str
    report: Report
    by: str = ""

    @property
    def title(self) -> str:
        """Of the table that it belongs to."""
        return f"{self.task} by {self.by}" if self.by else self.task


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A set, or one task of it, that was not measured."""

    set: str
    why: str


@dataclass(frozen=True, slots=True)
class Run:
    """A run of `visaged evaluate`; `models` are the hashes of all files that could have been used."""

    version: str
    limit: int | None
    models: dict[str, str]
    measured: list[Measured] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    provider: str = "cpu"
    precision: str = "f32"


_RUN = pydantic.TypeAdapter(Run)


def write_run(run: Run, path: Path) -> None:
    path.write_bytes(encode(run) + b"\n")


def read_run(path: Path) -> Run:
    """Raises ConfigError."""
    try:
        return _RUN.validate_python(parse(path.read_bytes()))
    except OSError as err:
        raise ConfigError(f"{path}: {err.strerror}") from err
    except (InvalidDocument, pydantic.ValidationError) as err:
        raise ConfigError(f"{path}: expected what `visaged evaluate --json` writes: {err}") from err
