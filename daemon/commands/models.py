"""`visaged models`: lists the models, or puts the figures of an evaluation into their cards."""

import sys
from pathlib import Path

import models
from daemon.commands.evaluate import cards
from models.listing import listing, table
from models.store import ModelStore


def main(run: Path | None) -> int:
    """1 where a model's file is missing or is another. `run`: what `evaluate --json` wrote."""
    if run is not None:
        return cards.main(run, Path(models.__file__).parent)
    rows = listing(ModelStore())
    sys.stdout.write(table(rows) + "\n")
    return 0 if all(row.file == "ok" for row in rows) else 1
