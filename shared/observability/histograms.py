# pyright: reportUnknownMemberType=false
# The values of the metrics library are untyped.
"""A histogram that takes many observations at once."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable

from prometheus_client import Histogram


class BatchHistogram(Histogram):
    """A histogram for what is observed a batch at a time: it takes a lock for each bucket, not for each observation."""

    def observe_all(self, amounts: Iterable[float]) -> None:
        """Observe each of these; the result is that of ``observe`` for one after the other."""
        ordered = list(amounts)
        self._sum.inc(sum(ordered))
        # An observation belongs into the first bucket whose bound it does not exceed; the last has no bound.
        for place, count in Counter([bisect_left(self._upper_bounds, amount) for amount in ordered]).items():
            self._buckets[place].inc(count)
