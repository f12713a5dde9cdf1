"""A histogram that takes a batch of observations at once."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from shared.observability.histograms import BatchHistogram

_BOUNDS = (0.0, 0.5, 1.0, 30.0)


def samples(histogram: BatchHistogram) -> dict[Any, float]:
    return {
        (sample.name, *sample.labels.items()): round(sample.value, 6)
        for metric in histogram.collect()
        for sample in metric.samples
        if not sample.name.endswith("_created")
    }


@given(st.lists(st.one_of(st.sampled_from(_BOUNDS), st.floats(0, 1_000, width=32)), min_size=1, max_size=30))
def test_many_observations_at_once_are_as_many_one_after_the_other(amounts: list[float]) -> None:
    at_once, one_by_one = (
        BatchHistogram("ages", "Made up.", ["type"], buckets=_BOUNDS, registry=CollectorRegistry()) for _ in range(2)
    )
    for amount in amounts:
        one_by_one.labels("a").observe(amount)
    at_once.labels("a").observe_all(amounts[:7])
    at_once.labels("a").observe_all(amounts[7:])
    assert samples(at_once) == samples(one_by_one)
