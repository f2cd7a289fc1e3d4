"""The files of rules for Prometheus, and the metrics that they ask for."""

import re
from typing import Any

import yaml

from tests.packaging.wheel import ROOT

FOLDER = ROOT / "configs" / "prometheus"
METRIC = re.compile(r"\b(?:visaged|process)_\w+")


def rules(file: str) -> list[dict[str, Any]]:
    document = yaml.safe_load((FOLDER / file).read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


RECORDED = rules("dashboard.rules.yml")
ALERTS = rules("alerts.rules.yml")
METRICS_OF_RULES = {name for rule in (*RECORDED, *ALERTS) for name in METRIC.findall(rule["expr"])}
MOVE_ELSEWHERE = {
    "visaged_consumer_frames_acknowledged_total": "integration/test_kafka_frames.py",
    "visaged_consumer_frames_failed_total": "integration/test_kafka_frames.py",
    "visaged_consumer_partition_lag": "integration/test_kafka_frames.py",
    "visaged_consumer_state": "integration/test_kafka_frames.py",
    "visaged_history_bytes": "http/test_history.py",
    "visaged_sink_lag_seconds": "http/test_metrics.py",
    "visaged_sink_records_dropped_total": "http/test_metrics.py",
    "visaged_sink_records_failed_total": "http/test_metrics.py",
    "visaged_stream_frames_failed_total": "http/test_metrics.py",
    "visaged_stream_line_crossed_total": "http/test_metrics.py",
    "visaged_subscribers": "http/test_metrics.py",
    "visaged_workers_abandoned_total": "http/test_metrics.py",
}
"""Metrics that one run of cameras and requests does not move, and the test that sees them move."""
