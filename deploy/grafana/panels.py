"""The building blocks of a dashboard in Grafana's JSON model: panels with their queries, and rows of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

#: Width of a dashboard in Grafana's grid.
GRID_WIDTH = 24

#: As in provisioning/datasources/prometheus.yml.
DATASOURCE = {"type": "prometheus", "uid": "prometheus"}

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL expression and the name of its lines, such as ``{{job}}``."""

    expression: str
    legend: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture. ``unit`` is one of Grafana's unit ids; every panel has one."""

    title: str
    description: str
    unit: str
    queries: Sequence[Query]
    kind: Literal["stat", "timeseries"] = "timeseries"
    width: int = 8
    height: int = 8
    decimals: int | None = None
    stacked: bool = False
    #: A single figure turns red from this value on.
    alarm_from: float | None = None

    def to_json(self, panel_id: int, x: int, y: int) -> Json:
        """The panel in Grafana's model, at a place in the grid."""
        return {
            "id": panel_id,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": DATASOURCE,
            "gridPos": {"h": self.height, "w": self.width, "x": x, "y": y},
            "fieldConfig": {"defaults": self._defaults(), "overrides": []},
            "options": self._options(),
            "targets": [self._target(chr(ord("A") + index), query) for index, query in enumerate(self.queries)],
        }

    def _defaults(self) -> Json:
        defaults: Json = {"unit": self.unit, "min": 0, "color": {"mode": "palette-classic"}}
        if self.decimals is not None:
            defaults["decimals"] = self.decimals
        if self.kind == "stat":
            steps: list[Json] = [{"color": "green", "value": None}]
            if self.alarm_from is not None:
                steps.append({"color": "red", "value": self.alarm_from})
            return defaults | {"color": {"mode": "thresholds"}, "thresholds": {"mode": "absolute", "steps": steps}}
        stacking = {"mode": "normal" if self.stacked else "none", "group": "A"}
        return defaults | {
            "custom": {
                "drawStyle": "line",
                "lineWidth": 1,
                "fillOpacity": 30 if self.stacked else 10,
                "showPoints": "never",
                "spanNulls": False,
                "stacking": stacking,
            }
        }

    def _options(self) -> Json:
        if self.kind == "stat":
            return {
                "colorMode": "value",
                "graphMode": "area",
                "justifyMode": "auto",
                "orientation": "auto",
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
                "textMode": "auto",
            }
        return {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }

    def _target(self, ref_id: str, query: Query) -> Json:
        return {
            "refId": ref_id,
            "datasource": DATASOURCE,
            "editorMode": "code",
            "expr": query.expression,
            "legendFormat": query.legend,
            "range": True,
        }


@dataclass(frozen=True, slots=True)
class Row:
    """A heading and the panels under it, laid out from left to right."""

    title: str
    panels: Sequence[Panel]


def lay_out(rows: Sequence[Row]) -> list[Json]:
    """All panels in Grafana's model, with ids and places counted from the top."""
    placed: list[Json] = []
    y = 0
    for row in rows:
        placed.append(
            {
                "id": len(placed) + 1,
                "type": "row",
                "title": row.title,
                "collapsed": False,
                "gridPos": {"h": 1, "w": GRID_WIDTH, "x": 0, "y": y},
                "panels": [],
            }
        )
        y += 1
        x, tallest = 0, 0
        for panel in row.panels:
            if x + panel.width > GRID_WIDTH:
                x, y, tallest = 0, y + tallest, 0
            placed.append(panel.to_json(len(placed) + 1, x, y))
            x, tallest = x + panel.width, max(tallest, panel.height)
        y += tallest
    return placed
