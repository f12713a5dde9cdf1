"""The Grafana dashboard: fresh, sound, and asking for what the code has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from deployment import PROMETHEUS, ROOT, need, run, said, services
from metrics_of_the_code import grouped_by, problems, series

from deploy.grafana import dashboard
from deploy.grafana.panels import GRID_WIDTH
from deploy.local.stack import SERVICES

GRAFANA = ROOT / "deploy" / "grafana"

#: Of Grafana's unit ids, those in use here: what a panel shows is one of these.
UNITS = {"none", "s", "cps", "reqps", "currencyGBP"}


def _board() -> dict[str, Any]:
    return json.loads(dashboard.FILE.read_text(encoding="utf-8"))


def _panels() -> list[dict[str, Any]]:
    return [panel for panel in _board()["panels"] if panel["type"] != "row"]


def _queries() -> Iterator[tuple[str, dict[str, Any]]]:
    for panel in _panels():
        for target in panel["targets"]:
            yield panel["title"], target


def _as_prometheus_gets_it(expression: str) -> str:
    return expression.replace("$__rate_interval", "1m").replace("$service", "visits|funding")


def test_the_file_is_what_the_code_makes() -> None:
    assert dashboard.FILE.read_text(encoding="utf-8") == dashboard.text(), (
        "write it anew with: python -m deploy.grafana.dashboard"
    )


def test_every_expression_is_valid_promql(tmp_path: Path) -> None:
    promtool = need("promtool")
    rules = [
        {"record": f"dashboard:query:{index}", "expr": _as_prometheus_gets_it(target["expr"])}
        for index, (_, target) in enumerate(_queries())
    ]
    assert not [rule for rule in rules if "$" in rule["expr"]]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}), encoding="utf-8")
    result = run(promtool, "check", "rules", file)
    assert result.returncode == 0, said(result)
    assert f"{len(rules)} rules found" in result.stdout
    rules[0]["expr"] += ")"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}), encoding="utf-8")
    assert run(promtool, "check", "rules", file).returncode != 0


@pytest.mark.parametrize(
    ("title", "target"), list(_queries()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_query_asks_for_what_the_code_has(title: str, target: dict[str, Any]) -> None:
    assert list(problems(target["expr"])) == [], title
    # A legend names only labels that are left after the aggregation.
    assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= grouped_by(target["expr"]), title


def test_every_metric_of_the_code_is_shown() -> None:
    shown = " ".join(target["expr"] for _, target in _queries())
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in series()}
    assert not {family for family in families if not re.search(rf"\b{family}(_bucket)?\b", shown)}


def test_ids_are_unique_and_panels_do_not_overlap() -> None:
    panels = _board()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= GRID_WIDTH, panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells


def test_every_panel_has_a_unit_a_description_and_queries_of_its_own() -> None:
    titles = [panel["title"] for panel in _panels()]
    assert len(set(titles)) == len(titles)
    for panel in _panels():
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references) >= 1


def test_the_unit_of_a_panel_is_that_of_its_metrics() -> None:
    for panel in _panels():
        unit = panel["fieldConfig"]["defaults"]["unit"]
        for expression in (target["expr"] for target in panel["targets"]):
            named = panel["title"]
            assert ("_pence" in expression) is (unit == "currencyGBP"), named
            if "_pence" in expression:
                assert expression.endswith("/ 100"), named
            in_seconds = re.search(r"_seconds(_bucket)?\b", expression) is not None
            assert in_seconds is (unit == "s"), named
            a_rate = "rate(" in expression and "histogram_quantile" not in expression
            assert a_rate is (unit in {"cps", "reqps"}), named


def test_the_dashboard_has_the_rows_that_were_asked_for() -> None:
    rows = [panel["title"] for panel in _board()["panels"] if panel["type"] == "row"]
    assert rows == ["Cycle", "Delivery of events", "HTTP", "E-mail"]


def test_every_query_goes_to_the_provisioned_data_source() -> None:
    file = GRAFANA / "provisioning" / "datasources" / "prometheus.yml"
    (source,) = yaml.safe_load(file.read_text(encoding="utf-8"))["datasources"]
    reference = {"type": source["type"], "uid": source["uid"]}
    (variable,) = _board()["templating"]["list"]
    used = [variable["datasource"], *(panel["datasource"] for panel in _panels())]
    used += [target["datasource"] for _, target in _queries()]
    assert all(one == reference for one in used)
    assert source["url"] == "http://prometheus:9090"
    assert set(services()["grafana"]["networks"]) & set(services()["prometheus"]["networks"])
    scraped = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8"))
    assert source["jsonData"]["timeInterval"] == scraped["global"]["scrape_interval"]


def test_grafana_is_given_the_dashboard_where_it_looks_for_it() -> None:
    grafana = services()["grafana"]
    mounts = dict(mount.split(":")[:2] for mount in grafana["volumes"])
    file = GRAFANA / "provisioning" / "dashboards" / "quality-cycle.yml"
    (provider,) = yaml.safe_load(file.read_text(encoding="utf-8"))["providers"]
    assert mounts["./deploy/grafana/dashboards"] == provider["options"]["path"]
    home = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert home == Path(provider["options"]["path"]) / dashboard.FILE.name
    for kind in ("datasources", "dashboards"):
        assert mounts[f"./deploy/grafana/provisioning/{kind}"] == f"/etc/grafana/provisioning/{kind}"


def test_the_service_can_be_chosen() -> None:
    (variable,) = _board()["templating"]["list"]
    assert variable["name"] == "service"
    assert variable["query"]["query"] == "label_values(qc_outbox_depth, job)"
    assert list(problems("max by (job) (qc_outbox_depth)")) == []
    chosen = [target["expr"] for _, target in _queries() if "$service" in target["expr"]]
    assert len(chosen) > len(SERVICES)
