"""`visaged models`: lists the models, says by what they run, or puts the figures of an evaluation into their cards."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import models
from daemon.commands.evaluate import cards
from daemon.commands.output import print_json
from daemon.commands.store import model_store
from daemon.config.model import Config
from models.listing import Opened, Row, listing, opened, table, table_of_runtimes
from models.store import ModelStore


def main(run: Path | None, config: Config | None, *, json: bool) -> int:
    """1 where a model's file is missing or is another. `run`: what `evaluate --json` wrote.

    With a `config` each model is opened as it says, and by what it runs is told too. Raises ModelError.
    """
    if run is not None:
        return cards.main(run, Path(models.__file__).parent)
    store = ModelStore() if config is None else model_store(config)
    rows = listing(store)
    running = [] if config is None else opened(store, rows)
    if json:
        by_name = {row.name: row for row in running}
        print_json([_members(row, by_name) for row in rows])
    else:
        sys.stdout.write(table(rows) + "\n")
        if config is not None:
            sys.stdout.write("\n" + table_of_runtimes(running) + "\n")
    return 0 if all(row.file == "ok" for row in rows) else 1


def _members(row: Row, running: Mapping[str, Opened]) -> dict[str, Any]:
    return row._asdict() | (running[row.name]._asdict() if row.name in running else {})
