"""Prometheus' configuration and rules: valid by its own tool, and true to the code."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from deployment import COMPOSE_FILE, PROMETHEUS, need, run, said, services, stage_port
from metrics_of_the_code import problems, series

from deploy.local.stack import SERVICES

ALERTS = PROMETHEUS / "alerts.yml"
ALERT_TESTS = PROMETHEUS / "alerts.test.yml"


def _config() -> dict[str, Any]:
    return yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8"))


def _alerts() -> list[dict[str, Any]]:
    document = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def test_prometheus_accepts_its_configuration_and_rules() -> None:
    result = run(need("promtool"), "check", "config", "prometheus.yml", cwd=PROMETHEUS)
    assert result.returncode == 0, said(result)
    assert f"{len(_alerts())} rules found" in result.stdout


def test_every_alert_fires_when_it_should_and_not_before() -> None:
    result = run(need("promtool"), "test", "rules", ALERT_TESTS.name, cwd=PROMETHEUS)
    assert result.returncode == 0, said(result)


def test_every_alert_is_seen_to_fire() -> None:
    document = yaml.safe_load(ALERT_TESTS.read_text(encoding="utf-8"))
    cases = [case for test in document["tests"] for case in test["alert_rule_test"]]
    fired = {case["alertname"] for case in cases if case.get("exp_alerts")}
    assert fired == {alert["alert"] for alert in _alerts()}


def test_every_stage_is_scraped_where_it_listens() -> None:
    jobs = {job["job_name"]: job for job in _config()["scrape_configs"]}
    assert set(jobs) == {*SERVICES, "prometheus"}
    for name in SERVICES:
        (targets,) = jobs[name]["static_configs"]
        assert targets["targets"] == [f"{name}:{stage_port(name)}"]
        # A network in common, and the path that every stage answers at.
        assert set(services()[name]["networks"]) & set(services()["prometheus"]["networks"])
        assert jobs[name].get("metrics_path", "/metrics") == "/metrics"


def test_prometheus_is_given_its_files_where_it_looks_for_them() -> None:
    mounts = dict(mount.split(":")[:2] for mount in services()["prometheus"]["volumes"])
    (config,) = (part for part in services()["prometheus"]["command"] if part.startswith("--config.file="))
    assert mounts["./deploy/prometheus/prometheus.yml"] == config.removeprefix("--config.file=")
    assert mounts["./deploy/prometheus/alerts.yml"] == "/etc/prometheus/alerts.yml"
    assert _config()["rule_files"] == ["alerts.yml"]
    assert (COMPOSE_FILE.parent / "deploy/prometheus/prometheus.yml").is_file()


@pytest.mark.parametrize("alert", _alerts(), ids=lambda alert: alert["alert"])
def test_an_alert_asks_for_metrics_that_the_code_has(alert: dict[str, Any]) -> None:
    assert list(problems(alert["expr"])) == []


@pytest.mark.parametrize("alert", _alerts(), ids=lambda alert: alert["alert"])
def test_an_alert_says_what_is_wrong_how_bad_it_is_and_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"page", "ticket"}
    for part in ("summary", "description", "runbook"):
        assert len(alert["annotations"][part]) >= 20


def test_the_names_of_alerts_are_unique() -> None:
    names = [alert["alert"] for alert in _alerts()]
    assert len(set(names)) == len(names)


def test_what_the_code_does_not_have_is_found() -> None:
    assert series()["qc_events_consumed_total"] == {"job", "instance", "type", "result"}
    assert list(problems("sum by (job, le) (rate(qc_event_age_seconds_bucket[5m]))")) == []
    assert list(problems("rate(qc_event_age_seconds[5m])")) == ["no stage has qc_event_age_seconds"]
    assert list(problems("qc_dead_letters_total")) == ["no stage has qc_dead_letters_total"]
    assert list(problems('qc_dead_letters{topic="x"}')) == ["qc_dead_letters has no label topic"]
    assert list(problems("max by (topic) (qc_dead_letters)")) == ["nothing in it has the label topic"]
