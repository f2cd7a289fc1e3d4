from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx

from daemon.prepare import prepare
from models.store import ModelStore
from tests.accounting import accounts

__all__ = ["accounts"]  # fixtures are found by their names here
pytest_plugins = ["tests.brokers"]


@pytest.fixture(scope="session")
def store() -> ModelStore:
    """The shipped models, each opened once for all tests."""
    return ModelStore()


@pytest.fixture(autouse=True)
def prepared() -> None:
    """As the commands are; for each test, as pytest lays its own filters of warnings over those that there are."""
    prepare()


@pytest.fixture(scope="session", autouse=True)
def no_blocking_calls() -> Iterator[None]:
    """A call of our code that blocks the event loop raises BlockingError; what tests do themselves does not."""
    with blockbuster_ctx(["daemon", "processors", "sinks", "models"]) as checks:
        # The thread has made its last call into the loop: the join waits for microseconds.
        checks.functions["threading.Lock.acquire"].can_block_in("daemon/sources/base.py", "run")
        yield
