"""Who may import what, read from the source files; and what the command line imports, seen from outside."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("models", "processors", "sinks", "daemon", "configs")

MAY_IMPORT = {
    "models": {"configs"},
    "processors": {"models", "configs"},
    "sinks": {"configs"},
    "daemon": {"models", "processors", "sinks", "configs"},
    "configs": set(),
}
"""Of our own packages, beside itself."""

ROOMS = {
    "__main__": "cli",
    "cli": "commands config errors sinks models",
    "commands": "client config http status history control kafka work traces flow sources wire simulator pictures "
    "prepare logs errors sinks processors models",
    "client": "wire errors",
    "config": "http history control kafka work traces sources logs errors sinks processors",
    "http": "status history control flow sources wire pictures logs errors processors",
    "status": "history kafka flow wire",
    "history": "work flow wire errors sinks",
    "control": "work flow sources wire logs errors sinks models",
    "kafka": "work flow sources wire pictures errors sinks processors",
    "work": "flow sources wire pictures errors sinks processors models",
    "traces": "flow sinks",
    "flow": "sources wire pictures logs errors sinks processors models",
    "sources": "pictures prepare errors processors",
    "wire": "pictures errors processors",
    "simulator": "processors",
    "pictures": "errors processors",
    "prepare": "",
    "logs": "",
    "errors": "",
    "sinks": "",
    "processors": "models",
    "models": "",
}
"""What each room imports of the others. A room is a package of the daemon, one of its loose modules, or a package
beside it. Each stands above all that it imports, so there is no circle. docs/architecture.md has the same table.
"""

MOST_ROOMS = 23
"""The history is one: nothing else knows SQLite; so are the traces: nothing else knows OpenTelemetry; and the client,
which programs import without the rest."""
MOST_ARROWS = 103
"""9 of them for the history: 4 rooms use it, it uses 5; 3 for privacy: a consumer has masks, which are a source's, and
documents and looks have who is hidden on pictures of them; 4 for the log: who begins a work says what its lines are
about, and the configuration has the format; 5 for the traces: the configuration has where they go, a command sends
them, they are made of spans and go the way of a sink, and spans, which are flow's, have ids, which wire reads; 3 for
the client: commands ask by it, it has JSON and errors."""

HOMES = {
    "json": ("daemon/wire/", "daemon/logs.py"),
    "sqlite3": ("daemon/history/",),
    "yaml": ("daemon/config/load.py", "models/manifest.py"),
    "onnxruntime": ("models/onnxruntime.py",),
    "openvino": ("models/openvino.py",),
    "av": (
        "daemon/sources/open.py",
        "daemon/sources/video.py",
        "daemon/sources/reading.py",
        "daemon/sources/planes.py",
        "daemon/simulator/",
        "daemon/commands/drawn_video.py",
        "daemon/commands/sbom.py",
    ),
    "aiohttp": ("daemon/http/", "daemon/client/asynchronous.py", "daemon/sources/onvif.py", "sinks/http_client.py"),
    "defusedxml": ("daemon/sources/discovery.py",),
    "opentelemetry": ("daemon/traces/otlp.py",),
    "google": ("daemon/traces/otlp.py",),
    "onvif": ("daemon/sources/onvif.py",),
    "zeep": ("daemon/sources/onvif.py",),
    "lxml": ("daemon/sources/onvif.py",),
    "shtab": ("daemon/commands/completion.py",),
    "paho": ("sinks/mqtt_client.py",),
    "prometheus_client": ("daemon/http/metrics.py",),
    "aiokafka": (
        "sinks/kafka.py",
        "sinks/kafka_batches.py",
        "sinks/kafka_client.py",
        "sinks/kafka_rights.py",
        "daemon/kafka/",
        "daemon/commands/demo/",
    ),
}
"""Where an outside library is known."""

JSON_OF_PYDANTIC = {"from_json", "to_json", "model_validate_json", "model_dump_json", "validate_json", "dump_json"}


def sources() -> list[Path]:
    """Recipes are programs of their own, that no package imports."""
    return [
        path.relative_to(ROOT)
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        if "recipes" not in path.parts
    ]


def imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Modules by their full names, wherever in the file they are imported, and the line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in line {node.lineno}"
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno


def broken_rules(path: Path, source: str) -> list[str]:
    """What a file at this path, from the root, imports or calls although it may not."""
    package, place = path.parts[0], path.as_posix()
    tree = ast.parse(source)
    broken = []
    for module, line in imports(tree):
        top = module.partition(".")[0]
        if top in PACKAGES and top != package and top not in MAY_IMPORT[package]:
            broken.append(f"{place}:{line}: {package} must not import {top}")
        if top == "tests":
            broken.append(f"{place}:{line}: must not import the tests")
        if top in HOMES and not place.startswith(HOMES[top]):
            broken.append(f"{place}:{line}: {top} belongs to {', '.join(HOMES[top])}")
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute | ast.Name):
            continue
        name = node.attr if isinstance(node, ast.Attribute) else node.id
        if name in JSON_OF_PYDANTIC and not place.startswith(HOMES["json"]):
            broken.append(f"{place}:{node.lineno}: JSON ({name}) belongs to {', '.join(HOMES['json'])}")
    return broken


def room_of(module: str) -> str:
    """The room that a module of ours is in; a package, as `daemon` itself, is in none until a module of it is named."""
    top, _, below = module.partition(".")
    return below.partition(".")[0] if top == "daemon" else top


def arrows() -> dict[str, set[str]]:
    """Each room, and the others that it imports. `configs` is none: it holds what every room may build on."""
    found: dict[str, set[str]] = {}
    for path in sources():
        room = room_of(".".join(path.with_suffix("").parts).removesuffix(".__init__"))
        if room in ("", "configs"):
            continue
        ours = (module for module, _ in imports(ast.parse((ROOT / path).read_text(encoding="utf-8"))))
        others = {room_of(module) for module in ours if module.partition(".")[0] in PACKAGES}
        found.setdefault(room, set()).update(others - {room, "", "configs"})
    return found


def test_rooms_import_what_the_table_says() -> None:
    assert arrows() == {room: set(imported.split()) for room, imported in ROOMS.items()}


def test_every_room_stands_above_those_it_imports() -> None:
    order = list(ROOMS)
    for room, imported in ROOMS.items():
        places = [order.index(other) for other in (room, *imported.split())]
        assert places == sorted(places), room


def test_there_are_few_rooms_and_few_arrows() -> None:
    assert len(ROOMS) <= MOST_ROOMS
    assert sum(len(imported.split()) for imported in ROOMS.values()) <= MOST_ARROWS


def test_the_picture_of_the_architecture_shows_these_rooms() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w/]+)` \| [^|]+ \| ([^|]*) \|$", text.split("## The rooms")[1], re.MULTILINE)
    shown = {room.removeprefix("daemon/"): " ".join(re.findall(r"`(\w+)`", imported)) for room, imported in rows}
    assert list(shown.items()) == list(ROOMS.items())


def test_every_file_keeps_the_rules() -> None:
    files = sources()
    assert len(files) > 40
    assert [rule for path in files for rule in broken_rules(path, (ROOT / path).read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(
    ("path", "source", "expected"),
    [
        ("processors/a.py", "import daemon.flow.engine", "processors must not import daemon"),
        ("processors/a.py", "def f():\n    from sinks.base import Record", "a.py:2: processors must not import sinks"),
        ("sinks/a.py", "if TYPE_CHECKING:\n    from processors import types", "sinks must not import processors"),
        ("models/a.py", "from processors.types import Frame", "models must not import processors"),
        ("configs/a.py", "from models.store import ModelStore", "configs must not import models"),
        ("daemon/a.py", "import tests.fakes", "must not import the tests"),
        ("daemon/a.py", "import json", "json belongs to daemon/wire/"),
        ("daemon/a.py", "from json import dumps", "json belongs to daemon/wire/"),
        ("daemon/a.py", "pydantic_core.to_json(1)", "JSON (to_json) belongs"),
        ("daemon/a.py", "model.model_dump_json()", "JSON (model_dump_json) belongs"),
        ("daemon/a.py", "from pydantic_core import from_json\nfrom_json(b'')", "JSON (from_json) belongs"),
        ("processors/a.py", "import onnxruntime as ort", "onnxruntime belongs to models/onnxruntime.py"),
        ("models/session.py", "from openvino import Core", "openvino belongs to models/openvino.py"),
        ("daemon/sources/folder.py", "import av", "av belongs to daemon/sources/open.py"),
        ("daemon/a.py", "from aiohttp import web", "aiohttp belongs to daemon/http/"),
        ("sinks/base.py", "import aiokafka.errors", "aiokafka belongs to sinks/kafka.py"),
        (
            "daemon/flow/a.py",
            "from prometheus_client import Counter",
            "prometheus_client belongs to daemon/http/metrics",
        ),
    ],
)
def test_a_broken_rule_is_seen(path: str, source: str, expected: str) -> None:
    (rule,) = broken_rules(Path(path), source)
    assert expected in rule


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("daemon/a.py", "import asyncio\nfrom processors.types import Frame\nfrom sinks.base import Record"),
        ("daemon/wire/a.py", "import json\nfrom pydantic_core import to_json\nto_json(1)"),
        ("daemon/sources/video.py", "import av"),
        ("processors/a.py", "from models.store import ModelStore"),
        ("daemon/a.py", "import jsonschema_like\nimport avahi"),
    ],
)
def test_what_is_allowed(path: str, source: str) -> None:
    assert broken_rules(Path(path), source) == []


def loaded_by(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded after running `code`."""
    program = f"{code}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(ran.stdout.split())


RUNTIMES = {"onnxruntime", "openvino"}
HEAVY = RUNTIMES | {"cv2", "av", "aiohttp", "aiokafka", "numpy", "pydantic", "pydantic_settings", "yaml", "PIL"}


def test_the_command_line_is_light() -> None:
    """For `visaged --version` in under 0.4 s."""
    assert loaded_by("import daemon.cli") & HEAVY == set()


def test_a_configuration_loads_without_the_libraries_of_what_it_configures() -> None:
    assert loaded_by("import daemon.config.load") & (RUNTIMES | {"av", "aiohttp", "aiokafka"}) == set()
