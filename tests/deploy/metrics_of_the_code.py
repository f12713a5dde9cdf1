"""Which metrics there are, as the code declares them, and what a PromQL expression asks for."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Iterator
from functools import cache

from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import CollectorRegistry

from deploy.local.stack import SERVICES
from shared.observability import metrics as common

#: Labels that Prometheus adds.
TARGET_LABELS = frozenset({"job", "instance"})

_SELECTOR = re.compile(r"\b(up|qc_[a-z0-9_]+)\b(?:\{(?P<matchers>[^}]*)\})?")
_MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring) \(([^)]*)\)")


@cache
def series() -> dict[str, frozenset[str]]:
    """Every series that a scrape of all stages gives, with the labels it has."""
    known = {"up": TARGET_LABELS}
    for module in (common, *(importlib.import_module(f"services.{name}.metrics") for name in SERVICES)):
        for found in vars(module).values():
            if isinstance(found, MetricWrapperBase):
                (family,) = found.describe()
                known |= _series_of(family, found._labelnames)
            elif hasattr(found, "collect") and not isinstance(found, type | CollectorRegistry):
                for family in found.collect():
                    known |= _series_of(family, getattr(family, "_labelnames", ()))
    return known


def _series_of(family: Metric, labelnames: Iterable[str]) -> dict[str, frozenset[str]]:
    labels = TARGET_LABELS | frozenset(labelnames)
    if family.type == "counter":
        return {f"{family.name}_total": labels}
    if family.type == "histogram":
        return {
            f"{family.name}_bucket": labels | {"le"},
            f"{family.name}_sum": labels,
            f"{family.name}_count": labels,
        }
    return {family.name: labels}


def problems(expression: str) -> Iterator[str]:
    """What a PromQL expression asks for that no stage gives."""
    there: set[str] = set()
    for found in _SELECTOR.finditer(expression):
        name = found[1]
        if name not in series():
            yield f"no stage has {name}"
            continue
        there |= series()[name]
        for label in _MATCHER.findall(found["matchers"] or ""):
            if label not in series()[name]:
                yield f"{name} has no label {label}"
    for label in grouped_by(expression):
        if label not in there:
            yield f"nothing in it has the label {label}"


def grouped_by(expression: str) -> set[str]:
    """The labels that an expression groups by."""
    return {label.strip() for group in _GROUPING.findall(expression) for label in group.split(",")}
