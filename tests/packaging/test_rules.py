"""The rules for Prometheus, as promtool sees them; the dashboard and the remedies beside them."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.packaging.rules import ALERTS, FOLDER, METRICS_OF_RULES, MOVE_ELSEWHERE, RECORDED
from tests.packaging.wheel import ROOT

HERE = Path(__file__).parent
DASHBOARD = ROOT / "configs" / "grafana" / "visaged.json"
RECORDED_NAME = re.compile(r"\bvisaged:\w+:?\w*")


def promtool(*arguments: str | Path, folder: Path) -> str:
    """What it says. Fails where it finds fault."""
    ran = subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def cases_of(file: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((HERE / file).read_text(encoding="utf-8"))["tests"]
    return found


def test_promtool_finds_no_fault_in_the_rules() -> None:
    said = promtool("check", "rules", *sorted(FOLDER.glob("*.rules.yml")), folder=FOLDER)
    assert [int(count) for count in re.findall(r"(\d+) rules found", said)] == [len(ALERTS), len(RECORDED)]


@pytest.mark.parametrize("file", ["alerts.test.yml", "dashboard.test.yml"])
def test_the_rules_say_what_they_should_of_series_that_are_known(file: str, tmp_path: Path) -> None:
    for path in (*FOLDER.glob("*.rules.yml"), HERE / file):
        shutil.copy(path, tmp_path)
    promtool("test", "rules", file, folder=tmp_path)


def test_each_rule_is_tested_and_each_alert_is_seen_to_be_silent_too() -> None:
    cases = [case for test in cases_of("alerts.test.yml") for case in test["alert_rule_test"]]
    names = {rule["alert"] for rule in ALERTS}
    assert {case["alertname"] for case in cases if case.get("exp_alerts")} == names
    assert {case["alertname"] for case in cases if not case.get("exp_alerts")} == names
    expected = {case["expr"] for test in cases_of("dashboard.test.yml") for case in test["promql_expr_test"]}
    assert expected == {rule["record"] for rule in RECORDED}


def test_each_alert_names_its_remedy() -> None:
    headings = re.findall(r"^### (\w+)$", (ROOT / "docs" / "operations.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings == [rule["alert"] for rule in ALERTS]
    links = [rule["annotations"]["runbook_url"] for rule in ALERTS]
    assert links == [f"docs/operations.md#{name.lower()}" for name in headings]


def test_promtool_takes_the_configuration_that_the_docs_show(tmp_path: Path) -> None:
    """With a key too: its line is a comment."""
    (shown,) = re.findall(
        r"^```yml\n(.*?)^```$", (ROOT / "docs" / "operations.md").read_text(encoding="utf-8"), re.M | re.S
    )
    key = tmp_path / "visaged.key"
    key.touch()
    shown = shown.replace("/opt/visaged-clone", str(ROOT)).replace("/etc/prometheus/visaged.key", str(key))
    for text in (shown, shown.replace("# authorization", "authorization")):
        (tmp_path / "prometheus.yml").write_text(text, encoding="utf-8")
        assert "2 rule files found" in promtool("check", "config", "prometheus.yml", folder=tmp_path)


def test_the_dashboard_asks_for_what_the_rules_record_and_for_nothing_else() -> None:
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    expressions = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    asked = [RECORDED_NAME.match(expression) for expression in expressions]
    assert [name and name[0] for name in asked] == [re.split(r"[{]", expression)[0] for expression in expressions]
    assert {name[0] for name in asked if name} == {rule["record"] for rule in RECORDED}


def test_panels_lie_beside_each_other() -> None:
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for at in (panel["gridPos"] for panel in panels):
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert max(x for x, _ in cells) < 24
        assert not cells & taken
        taken |= cells


def test_each_metric_that_no_run_of_cameras_moves_is_looked_at_where_it_says() -> None:
    assert MOVE_ELSEWHERE.keys() <= METRICS_OF_RULES
    for name, file in MOVE_ELSEWHERE.items():
        text = (ROOT / "tests" / file).read_text(encoding="utf-8")
        assert name.removeprefix("visaged_consumer_") in text, name
