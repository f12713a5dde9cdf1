"""What a run of the benchmark came to: figures with their bars, as a table and as JSON. No I/O."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Literal


@dataclass(frozen=True)
class Bar:
    """What a figure is held against."""

    value: float
    #: Whether the figure has to reach the bar, or to stay below it.
    sense: Literal["at least", "at most"]

    def holds(self, figure: float) -> bool:
        """Whether a figure keeps to the bar."""
        return figure >= self.value if self.sense == "at least" else figure <= self.value


def at_least(value: float) -> Bar:
    """A bar for what should be large."""
    return Bar(value, "at least")


def at_most(value: float) -> Bar:
    """A bar for what should be small."""
    return Bar(value, "at most")


#: The bars on genuine Apache Kafka.
APACHE_BARS = {
    "consume_ratio": at_least(20),
    "consume_floor_ratio": at_least(0.3),
    "relay_ratio": at_least(0.75),
    "relay_vs_peer": at_least(3),
    "hop_p99_ms": at_most(15),
    "idle_cpu_percent": at_most(2),
    "chain_p99_ms": at_most(150),
    "growth": at_least(0.85),
    "rss_mb": at_most(150),
    "import_ratio": at_most(1.6),
    "import_rss_mb": at_most(300),
}

#: On the embedded broker a waiting fetch is answered late, so a single event may take longer.
EMBEDDED_BARS = {**APACHE_BARS, "hop_p99_ms": at_most(30)}


@dataclass(frozen=True)
class Figure:
    """One measured figure."""

    name: str
    value: float
    bar: Bar
    #: What it was computed from: raw rates, percentiles, counts; for JSON.
    detail: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def passed(self) -> bool:
        """Whether it keeps to its bar."""
        return self.bar.holds(self.value)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "value": rounded(self.value),
            "bar": self.bar.value,
            "sense": self.bar.sense,
            "passed": self.passed,
            **self.detail,
        }


def rounded(value: float) -> float:
    """A figure with the digits that mean something."""
    return float(f"{value:.3g}") if abs(value) < 1000 else float(round(value))


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that ``share`` of all values do not exceed. Raises ValueError if there is none."""
    if not values:
        raise ValueError("no values: nothing was measured")
    ordered = sorted(values)
    return ordered[max(math.ceil(len(ordered) * share), 1) - 1]


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the ratios of runs that were made side by side."""
    return median(one / other for one, other in zip(ours, theirs, strict=True))


def table(figures: Sequence[Figure]) -> str:
    """The figures with bar and verdict, one a line."""
    lines = [f"{'figure':<22} {'value':>10}   {'bar':<14} verdict", "-" * 58]
    for figure in figures:
        bar = f"{figure.bar.sense} {figure.bar.value:g}"
        lines.append(
            f"{figure.name:<22} {rounded(figure.value):>10g}   {bar:<14} {'pass' if figure.passed else 'NOT REACHED'}"
        )
    return "\n".join(lines)
