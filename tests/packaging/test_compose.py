"""compose.yaml and the workflow: as their schemas have them, and as the configurations beside them expect."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from daemon.commands.run import LAST_S
from daemon.config.load import load
from daemon.http.access.keys import Keys
from tests.packaging.wheel import ROOT

COMPOSE = ROOT / "compose.yaml"


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
    return found


@pytest.mark.parametrize(
    ("schema", "path"),
    [("vendor.compose-spec", COMPOSE), ("vendor.github-workflows", ROOT / ".github" / "workflows" / "tests.yml")],
    ids=["compose", "workflow"],
)
def test_they_are_of_their_schemas(schema: str, path: Path) -> None:
    command: list[str | Path] = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, path]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout


def test_the_keys_that_are_made_are_those_that_are_asked_for(services: dict[str, Any], tmp_path: Path) -> None:
    """By the service's own script."""
    (script,) = services["keys"]["command"]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    subprocess.run(
        [*services["keys"]["entrypoint"], script.replace("/keys", str(tmp_path))],
        env=os.environ | {"PATH": path},
        check=True,
        capture_output=True,
    )
    configuration = (ROOT / "configs" / "compose" / "visaged.yaml").read_text(encoding="utf-8")
    shown = tmp_path / "visaged.yaml"
    shown.write_text(configuration.replace("/keys/", f"{tmp_path}/"))
    http = load(shown).http
    assert http is not None
    prometheus = yaml.safe_load((ROOT / "configs" / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    (job,) = prometheus["scrape_configs"]
    file = Path(job["authorization"]["credentials_file"])
    key = Keys(http.keys).find((tmp_path / file.name).read_text().strip())
    assert key is not None
    assert key.may("metrics")
    operator = Keys(http.keys).find((tmp_path / "operator.key").read_text().strip())
    assert operator is not None
    assert operator.may("control", "camera")


def test_what_is_mounted_is_there_and_ports_are_this_machine_s(services: dict[str, Any]) -> None:
    mounts = [mount for service in services.values() for mount in service.get("volumes", ()) if mount.startswith(".")]
    assert len(mounts) >= 4
    assert [mount for mount in mounts if not (ROOT / mount.partition(":")[0]).is_dir()] == []
    ports = [port for service in services.values() for port in service.get("ports", ())]
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_a_stop_has_its_time(services: dict[str, Any]) -> None:
    assert float(services["visaged"]["stop_grace_period"].removesuffix("s")) > load(None).stop_timeout + LAST_S
