"""The dashboard of the quality cycle. `python -m deploy.grafana.dashboard` writes its JSON anew.

Gauges read from a service's database are the same in each of its replicas, hence max by (job); what a process
counts by itself is added up, hence sum by (job). Business figures are not filtered by the service chosen.
"""

import json
from pathlib import Path

from deploy.grafana.panels import DATASOURCE, Json, Panel, Query, Row, lay_out

FILE = Path(__file__).with_name("dashboards") / "quality-cycle.json"

_JOB = 'job=~"$service"'
#: Requests of callers: neither health checks nor scrapes.
_HTTP = 'job=~"$service", route!~"/health/.*|/metrics"'
_UNSUCCESSFUL = f'{_HTTP}, status=~"[45].."'


def _quantile(quantile: float, histogram: str, matchers: str, by: str) -> str:
    rate = f"rate({histogram}_bucket{{{matchers}}}[$__rate_interval])"
    return f"histogram_quantile({quantile}, sum by ({by}, le) ({rate}))"


def _figure(title: str, description: str, expression: str, unit: str, *, alarm_from: float | None = None) -> Panel:
    return Panel(title, description, unit, [Query(expression, title)], "stat", 4, 4, 0, alarm_from=alarm_from)


CYCLE = Row(
    "Cycle",
    [
        _figure("Open concerns", "Rounded down to the ten below.", "max(qc_open_concerns)", "none"),
        _figure(
            "Visit requirements",
            "Open: no visit is scheduled for them yet.",
            "max(qc_open_visit_requirements)",
            "none",
        ),
        _figure(
            "Overdue requirements",
            "Past the latest date that the concern's category allows.",
            "max(qc_overdue_visit_requirements)",
            "none",
            alarm_from=1,
        ),
        _figure(
            "Waiting outcomes",
            "Outcomes that wait for the agreement of their provider and financial year.",
            "max(qc_waiting_outcomes)",
            "none",
        ),
        _figure("Open proposals", "Adjustments that wait for somebody's approval.", "max(qc_open_proposals)", "none"),
        _figure(
            "Ledger imbalance",
            "What the ledger's transactions are off by; anything but 0 is a defect.",
            "max(qc_ledger_imbalance_pence) / 100",
            "currencyGBP",
            alarm_from=0.01,
        ),
        Panel(
            "Open concerns over time",
            "In all categories, rated or not, rounded down to the ten below.",
            "none",
            [Query("max(qc_open_concerns)", "open")],
            decimals=0,
        ),
        Panel(
            "Visits by state",
            "Visits by the state they are in.",
            "none",
            [Query("max by (state) (qc_visits)", "{{state}}")],
            decimals=0,
            stacked=True,
        ),
        Panel(
            "Money adjusted",
            "Moved by approved adjustments so far, by lever and direction.",
            "currencyGBP",
            [Query("max by (lever, direction) (qc_money_adjusted_pence_total) / 100", "{{lever}} {{direction}}")],
            decimals=0,
        ),
    ],
)

DELIVERY = Row(
    "Delivery of events",
    [
        _figure(
            "Held events",
            "Wait because one before them is missing from their stream.",
            f"sum(max by (job) (qc_held_events{{{_JOB}}}))",
            "none",
            alarm_from=1,
        ),
        _figure(
            "Parked streams",
            "Stand still because an event cannot be applied.",
            f"sum(max by (job) (qc_parked_streams{{{_JOB}}}))",
            "none",
            alarm_from=1,
        ),
        _figure(
            "Dead letters",
            "Wait for a decision: unreadable, against the contract, in conflict, or failed in all their attempts.",
            f"sum(max by (job) (qc_dead_letters{{{_JOB}}}))",
            "none",
            alarm_from=1,
        ),
        _figure(
            "Stopped consumers",
            "Stand still because something can neither be applied nor parked.",
            f"sum(qc_consumer_stopped{{{_JOB}}})",
            "none",
            alarm_from=1,
        ),
        _figure(
            "Stopped keys",
            "Keys of which the broker refused a record for good.",
            f"sum(max by (job) (qc_relay_stopped_keys{{{_JOB}}}))",
            "none",
            alarm_from=1,
        ),
        _figure(
            "Fenced services",
            "May not emit: their database is older than what they published.",
            f"sum(max by (job) (qc_outbox_fenced{{{_JOB}}}))",
            "none",
            alarm_from=1,
        ),
        _figure("Services up", "Processes that answer Prometheus.", f"sum(up{{{_JOB}}})", "none"),
        _figure(
            "Relay leaders",
            "One per service: the process that sends its events.",
            f"sum(qc_relay_leader{{{_JOB}}})",
            "none",
        ),
        Panel(
            "Events sent, by type",
            "Acknowledged by the broker.",
            "cps",
            [Query(f"sum by (type) (rate(qc_events_sent_total{{{_JOB}}}[$__rate_interval]))", "{{type}}")],
        ),
        Panel(
            "Events taken in, by type",
            "Records taken in, whatever became of them.",
            "cps",
            [
                Query(
                    f"sum by (job, type) (rate(qc_events_consumed_total{{{_JOB}}}[$__rate_interval]))",
                    "{{job}} {{type}}",
                )
            ],
        ),
        Panel(
            "Events taken in, by result",
            "Held, conflict, unreadable and breaks_contract deserve a look.",
            "cps",
            [
                Query(
                    f"sum by (job, result) (rate(qc_events_consumed_total{{{_JOB}}}[$__rate_interval]))",
                    "{{job}} {{result}}",
                )
            ],
        ),
        Panel(
            "Age of events when applied",
            "From the time of the event to the commit of its effect.",
            "s",
            [
                Query(_quantile(0.5, "qc_event_age_seconds", _JOB, "job"), "{{job}} p50"),
                Query(_quantile(0.95, "qc_event_age_seconds", _JOB, "job"), "{{job}} p95"),
            ],
        ),
        Panel(
            "Batch size",
            "Records applied in one transaction.",
            "none",
            [
                Query(_quantile(0.5, "qc_batch_size_records", _JOB, "job"), "{{job}} p50"),
                Query(_quantile(0.95, "qc_batch_size_records", _JOB, "job"), "{{job}} p95"),
            ],
        ),
        Panel(
            "Batch time",
            "To apply and commit a batch.",
            "s",
            [
                Query(_quantile(0.5, "qc_batch_seconds", _JOB, "job"), "{{job}} p50"),
                Query(_quantile(0.95, "qc_batch_seconds", _JOB, "job"), "{{job}} p95"),
            ],
        ),
        Panel(
            "Consumer lag",
            "Records in a topic not yet taken in.",
            "none",
            [Query(f"sum by (job, topic) (qc_consumer_lag_records{{{_JOB}}})", "{{job}} {{topic}}")],
            decimals=0,
        ),
        Panel(
            "Outbox depth",
            "Events saved and not yet acknowledged by the broker.",
            "none",
            [Query(f"max by (job) (qc_outbox_depth{{{_JOB}}})", "{{job}}")],
            decimals=0,
        ),
        Panel(
            "Oldest waiting event",
            "The oldest event not yet acknowledged by the broker, the oldest one held, and the oldest parked stream.",
            "s",
            [
                Query(f"max by (job) (qc_outbox_oldest_age_seconds{{{_JOB}}})", "{{job}} outbox"),
                Query(f"max by (job) (qc_held_oldest_age_seconds{{{_JOB}}})", "{{job}} held"),
                Query(f"max by (job) (qc_parked_oldest_age_seconds{{{_JOB}}})", "{{job}} parked"),
            ],
        ),
        Panel(
            "What waits in parked streams",
            "Events that wait, and dead letters that are not yet copied to their topic.",
            "none",
            [
                Query(f"max by (job) (qc_parked_events{{{_JOB}}})", "{{job}} events"),
                Query(f"max by (job) (qc_dead_letters_unpublished{{{_JOB}}})", "{{job}} letters not copied"),
            ],
        ),
        Panel(
            "Batches rolled back and relays begun anew",
            "Failures of database, broker and network that pass, events that cannot be applied, and retries of these.",
            "cps",
            [
                Query(
                    f"sum by (job, cause) (rate(qc_batch_failures_total{{{_JOB}}}[$__rate_interval]))",
                    "{{job}} batch: {{cause}}",
                ),
                Query(f"sum by (job) (rate(qc_relay_failures_total{{{_JOB}}}[$__rate_interval]))", "{{job}} relay"),
                Query(
                    f"sum by (job, result) (rate(qc_retries_total{{{_JOB}}}[$__rate_interval]))",
                    "{{job}} parked stream: {{result}}",
                ),
            ],
            width=24,
            height=6,
        ),
        Panel(
            "Jobs by the clock",
            "Runs of what each service does when it is due. One that fails is tried again every minute.",
            "cps",
            [
                Query(
                    f"sum by (job, task, result) (rate(qc_scheduled_runs_total{{{_JOB}}}[$__rate_interval]))",
                    "{{job}} {{task}}: {{result}}",
                ),
            ],
            width=24,
            height=6,
        ),
    ],
)

HTTP = Row(
    "HTTP",
    [
        Panel(
            "Requests by route",
            "Without health checks and scrapes.",
            "reqps",
            [
                Query(
                    f"sum by (job, method, route) (rate(qc_http_requests_total{{{_HTTP}}}[$__rate_interval]))",
                    "{{job}} {{method}} {{route}}",
                )
            ],
        ),
        Panel(
            "Requests refused and failed, by status",
            "4xx is the caller's mistake, 5xx ours.",
            "reqps",
            [
                Query(
                    f"sum by (job, status) (rate(qc_http_requests_total{{{_UNSUCCESSFUL}}}[$__rate_interval]))",
                    "{{job}} {{status}}",
                )
            ],
        ),
        Panel(
            "Time to answer by route, p95",
            "Without health checks and scrapes.",
            "s",
            [
                Query(
                    _quantile(0.95, "qc_http_request_seconds", _HTTP, "job, method, route"),
                    "{{job}} {{method}} {{route}}",
                )
            ],
        ),
    ],
)

MAIL = Row(
    "E-mail",
    [
        _figure(
            "Mail server out of reach",
            "1 if no process reached it at the last attempt.",
            "1 - max(qc_mail_server_up)",
            "none",
            alarm_from=1,
        ),
        _figure(
            "Oldest undelivered",
            "Age of the oldest e-mail that still waits to be sent.",
            "max(qc_oldest_undelivered_age_seconds)",
            "s",
            alarm_from=900,
        ),
        Panel(
            "E-mails not sent, by state",
            "Queued, being sent, or given up because of the address or the template.",
            "none",
            [Query("max by (state) (qc_deliveries)", "{{state}}")],
            decimals=0,
        ),
        Panel(
            "E-mails tried, by result",
            "What the mail server said to each.",
            "cps",
            [Query("sum by (result) (rate(qc_mail_attempts_total[$__rate_interval]))", "{{result}}")],
        ),
        Panel(
            "Time to hand over an e-mail",
            "To the mail server, which sends it on.",
            "s",
            [
                Query(_quantile(0.5, "qc_mail_send_seconds", 'job="notify"', "job"), "p50"),
                Query(_quantile(0.95, "qc_mail_send_seconds", 'job="notify"', "job"), "p95"),
            ],
            width=24,
            height=6,
        ),
    ],
)


def build() -> Json:
    """The dashboard in Grafana's JSON model."""
    return {
        "uid": "quality-cycle",
        "title": "Quality cycle",
        "description": "From a concern to what follows from it, the delivery of its events, HTTP and e-mail.",
        "tags": ["quality-cycle"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": []},
        "links": [],
        "templating": {
            "list": [
                {
                    "type": "query",
                    "name": "service",
                    "label": "Service",
                    "datasource": DATASOURCE,
                    "definition": "label_values(qc_outbox_depth, job)",
                    "query": {"qryType": 1, "query": "label_values(qc_outbox_depth, job)", "refId": "service"},
                    "refresh": 2,
                    "sort": 1,
                    "multi": True,
                    "includeAll": True,
                    "allValue": ".*",
                    "current": {"text": ["All"], "value": ["$__all"]},
                    "options": [],
                    "hide": 0,
                    "regex": "",
                    "skipUrlSync": False,
                }
            ]
        },
        "panels": lay_out([CYCLE, DELIVERY, HTTP, MAIL]),
    }


def text() -> str:
    """The content of the file that Grafana reads."""
    return json.dumps(build(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
