"""The page on metrics lists every metric with its kind, labels and meaning, and every alert."""

import importlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import yaml

from deploy.local.stack import SERVICES
from shared.observability import metrics
from tests.docs.documents import REFERENCE, ROOT, rows, section

PAGE = REFERENCE / "metrics.md"


def declared(module: ModuleType) -> Iterator[list[str]]:
    for metric in vars(module).values():
        if isinstance(metric, type) or not hasattr(metric, "collect") or not hasattr(metric, "__module__"):
            continue
        if type(metric).__name__ == "CollectorRegistry":
            continue
        for family in metric.collect():
            labels: Any = getattr(metric, "_labelnames", None) or getattr(family, "_labelnames", ())
            name = f"{family.name}_total" if family.type == "counter" else family.name
            yield [f"`{name}`", family.type, ", ".join(f"`{label}`" for label in labels), family.documentation]


def test_every_metric_of_all_services_stands_there() -> None:
    assert list(rows(section(PAGE, "Every service"))) == list(declared(metrics))


def test_every_metric_of_one_service_stands_there() -> None:
    for service in SERVICES:
        module = importlib.import_module(f"services.{service}.metrics")
        assert list(rows(section(PAGE, f"Only {service}"))) == list(declared(module)), service


def test_every_alert_stands_there_with_its_severity() -> None:
    groups = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    alerts = [(rule["alert"], rule["labels"]["severity"]) for group in groups for rule in group["rules"]]
    assert [(row[0].strip("`"), row[1]) for row in rows(section(PAGE, "Alerts"))] == alerts
