"""No frame and no record goes missing: at the end of every test in = acknowledged + skipped + dropped + failed."""

from collections.abc import Iterator

import pytest

from daemon.flow.receipts import Counts


@pytest.fixture(autouse=True)
def accounts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Counts]]:
    """Every Counts that is made in the test; at its end each must add up."""
    made: list[Counts] = []
    init = Counts.__init__

    def registered(counts: Counts) -> None:
        init(counts)
        made.append(counts)

    monkeypatch.setattr(Counts, "__init__", registered)
    yield made
    for counts in made:
        assert counts.pending == 0, vars(counts)
