"""`visaged models`: lists the models, says by what they run, or puts the figures of an evaluation into their cards."""

import sys
from pathlib import Path

import models
from daemon.commands.evaluate import cards
from daemon.commands.store import model_store
from daemon.config.model import Config
from models.listing import listing, opened, table, table_of_runtimes
from models.store import ModelStore


def main(run: Path | None, config: Config | None) -> int:
    """1 where a model's file is missing or is another. `run`: what `evaluate --json` wrote.

    With a `config` each model is opened as it says, and by what it runs is told too. Raises ModelError.
    """
    if run is not None:
        return cards.main(run, Path(models.__file__).parent)
    store = ModelStore() if config is None else model_store(config)
    rows = listing(store)
    sys.stdout.write(table(rows) + "\n")
    if config is not None:
        sys.stdout.write("\n" + table_of_runtimes(opened(store, rows)) + "\n")
    return 0 if all(row.file == "ok" for row in rows) else 1
