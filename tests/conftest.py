"""What all tests share, and how pytest-xdist deals them out.

A worker takes a group at a time: all that meet one broker, so that each broker is started once, the simulated cameras,
whose tests watch the clock and so do not run beside each other, and every other file by itself.
"""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx

from daemon.prepare import prepare
from models.store import ModelStore
from tests.accounting import accounts

__all__ = ["accounts"]  # fixtures are found by their names here
pytest_plugins = ["tests.brokers", "tests.schemas"]

HERE = Path(__file__).parent
APACHE_KAFKA, EMBEDDED, CAMERAS, MOSQUITTO = "apache-kafka", "embedded-broker", "cameras", "mosquitto"
LONGEST_FIRST = [APACHE_KAFKA, EMBEDDED, CAMERAS, MOSQUITTO]
"""They mostly wait, while the other workers use the cores."""
BROKERS = {
    "apache_kafka": APACHE_KAFKA,
    "embedded": EMBEDDED,
    "tansu": EMBEDDED,
    "kafka_bench": EMBEDDED,
    "kafka_bench_without_idempotence": EMBEDDED,
    "mqtt_bench": MOSQUITTO,
}
"""By fixture, or the parameter that asks for one."""
FILES = {
    "control/test_homeassistant.py": MOSQUITTO,
    "sinks/test_mqtt.py": MOSQUITTO,
    "commands/demo/test_run.py": EMBEDDED,  # the demo's camera has one port
    "simulator/test_camera.py": CAMERAS,
    "sources/test_camera_faults.py": CAMERAS,
    "integration/test_told.py": CAMERAS,
}
SLOW = {
    # Processes of their own, and servers that are slow on purpose.
    "commands/demo/test_broker.py",
    "commands/test_check.py",
    "commands/test_cli.py",
    "commands/test_find.py",
    "commands/test_history.py",
    "commands/test_run.py",
    "commands/test_streams.py",
    "flow/test_hung.py",
    "flow/test_starvation.py",
    "http/test_events.py",
    "http/test_history.py",
    "http/test_docs_page.py",
    "http/test_schemathesis.py",
    "http/test_streams.py",
    "http/test_video.py",
    "http/web/test_browser.py",
    "http/web/test_types.py",
    "integration/test_churn.py",
    "integration/test_tracks.py",
    "sinks/test_rotation.py",
    "sources/test_discovery.py",
    "sources/test_http.py",
    "sources/test_isolated.py",
    "sources/test_open.py",
    "test_extending.py",
    "test_prepare.py",
    # Long tables with the real models; other files have one row of each service and processor.
    "commands/evaluate/test_run.py",
    "http/test_estimators.py",
    "http/test_hardly_seen.py",
    "http/test_liveness_modules.py",
    "models/test_auto.py",
    "models/test_openvino.py",
    "processors/quality/test_defects.py",
    "processors/quality/test_estimator.py",
    "processors/test_quarter_turn.py",
}


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the marks
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        group = _group(item)
        item.add_marker(pytest.mark.xdist_group(group))
        if group in LONGEST_FIRST or group in SLOW:
            item.add_marker(pytest.mark.slow)
    if hasattr(config, "workerinput"):
        items.sort(key=_turn)


def pytest_collection_finish(session: pytest.Session) -> None:
    """A group that pytest-xdist did not see would start brokers in every worker, and nobody would be told why."""
    for item in session.items:
        if session.config.getoption("loadgroup", False) and not item.nodeid.endswith(f"@{_group(item)}"):
            raise pytest.UsageError(f"expected pytest-xdist to put {item.nodeid} into the group {_group(item)}")
    gc.freeze()  # thousands of tests and modules, which each collection of garbage would look through again


def _group(item: pytest.Item) -> str:
    path = item.path.relative_to(HERE).as_posix()
    asked = set(getattr(item, "fixturenames", ()))
    if callspec := getattr(item, "callspec", None):
        asked |= {word for value in callspec.params.values() if isinstance(value, str) for word in value.split()}
    brokers = {BROKERS[name] for name in asked & BROKERS.keys()}
    return min(brokers, default=FILES.get(path, path))  # of two, Apache Kafka is the one to be started once


def _turn(item: pytest.Item) -> int:
    group = _group(item)
    return LONGEST_FIRST.index(group) if group in LONGEST_FIRST else len(LONGEST_FIRST)


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
