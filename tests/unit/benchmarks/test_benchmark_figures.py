"""What the benchmark makes of what it measured, and that it notices a relay that breaks the order."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest

from benchmarks.commits import milliseconds
from benchmarks.figures import (
    APACHE_BARS,
    EMBEDDED_BARS,
    Figure,
    at_least,
    at_most,
    median_ratio,
    percentile,
    rounded,
    table,
)
from benchmarks.order import OrderBroken, check_order

_PROMISED = {
    "consume_ratio": (20, "at least"),
    "consume_floor_ratio": (0.3, "at least"),
    "relay_ratio": (0.75, "at least"),
    "relay_vs_peer": (3, "at least"),
    "hop_p99_ms": (15, "at most"),
    "idle_cpu_percent": (2, "at most"),
    "chain_p99_ms": (150, "at most"),
    "growth": (0.85, "at least"),
    "rss_mb": (150, "at most"),
    "import_ratio": (1.6, "at most"),
    "import_rss_mb": (300, "at most"),
}


def test_the_bars_are_those_that_were_promised() -> None:
    assert {name: (bar.value, bar.sense) for name, bar in APACHE_BARS.items()} == _PROMISED
    apart = {name: bar.value for name, bar in EMBEDDED_BARS.items() if bar != APACHE_BARS[name]}
    assert apart == {"hop_p99_ms": 30}


def test_a_bar_holds_from_its_own_value_on() -> None:
    assert at_least(20).holds(20)
    assert not at_least(20).holds(19.999)
    assert at_most(15).holds(15)
    assert not at_most(15).holds(15.001)


def test_a_percentile_is_a_value_that_was_measured_and_never_too_small() -> None:
    values = [float(n) for n in range(1, 601)]
    assert percentile(values[::-1], 0.99) == 594
    assert percentile(values, 0.5) == 300
    assert percentile([7.0], 0.99) == 7
    with pytest.raises(ValueError, match="nothing was measured"):
        percentile([], 0.5)


def test_a_ratio_compares_runs_that_were_made_side_by_side() -> None:
    # The third pair met a busy machine: both sides are slow, and their ratio is what it always is.
    assert median_ratio([100, 120, 10], [50, 60, 5]) == 2
    with pytest.raises(ValueError, match="zip"):
        median_ratio([1], [1, 2])


def test_the_table_says_of_each_figure_whether_it_was_reached() -> None:
    figures = [Figure("consume_ratio", 31.26, at_least(20)), Figure("hop_p99_ms", 18.44, at_most(15), {"p50_ms": 3})]
    lines = table(figures).splitlines()
    assert lines[2].split() == ["consume_ratio", "31.3", "at", "least", "20", "pass"]
    assert lines[3].split() == ["hop_p99_ms", "18.4", "at", "most", "15", "NOT", "REACHED"]
    assert figures[1].as_dict() == {"value": 18.4, "bar": 15, "sense": "at most", "passed": False, "p50_ms": 3}


def test_a_figure_is_judged_before_it_is_rounded() -> None:
    assert rounded(0.29999) == 0.3
    assert not Figure("consume_floor_ratio", 0.29999, at_least(0.3)).passed


def test_an_event_without_an_effect_is_no_measurement() -> None:
    began = datetime.now(UTC)
    assert milliseconds({"a": began}, {"a": began + timedelta(milliseconds=3)}) == [3]
    with pytest.raises(KeyError):
        milliseconds({"a": began, "b": began}, {"a": began})


class _Record(NamedTuple):
    key: bytes
    headers: list[tuple[str, bytes]]


def _records(*of: tuple[str, int]) -> list[Any]:
    return [_Record(key.encode(), [("ce_sequence", str(number).encode())]) for key, number in of]


def test_records_in_the_order_of_their_numbers_prove_the_order() -> None:
    check_order(_records(("A", 1), ("B", 1), ("A", 2), ("B", 2), ("A", 3)), 5)


@pytest.mark.parametrize(
    "records",
    [
        _records(("A", 1), ("A", 3), ("A", 2)),
        _records(("A", 1), ("A", 1), ("A", 2)),
        _records(("A", 1), ("A", 3), ("A", 4)),
        _records(("A", 2), ("A", 3), ("A", 4)),
        _records(("A", 1), ("A", 2)),
    ],
    ids=["swapped", "doubled", "one missing", "the first missing", "the last missing"],
)
def test_any_other_order_is_noticed(records: list[Any]) -> None:
    with pytest.raises(OrderBroken):
        check_order(records, 3)
