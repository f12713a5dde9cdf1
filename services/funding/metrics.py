"""Metrics of the funding stage, read from its database."""

from collections.abc import Iterable

from prometheus_client import REGISTRY, Gauge
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from services.funding.store import ledger, proposals, waiting
from shared.persistence.pool import Connection

OPEN_PROPOSALS = Gauge("qc_open_proposals", "Proposed adjustments that wait for a decision.")
WAITING_OUTCOMES = Gauge("qc_waiting_outcomes", "Outcomes that wait for the agreement of their provider and year.")
LEDGER_IMBALANCE = Gauge(
    "qc_ledger_imbalance_pence", "Sum of what each ledger transaction is off by, in pence. Above 0 raises an alert."
)


class MoneyAdjusted(Collector):
    """The pence moved by approved adjustments.

    A counter, for it only grows: what is given back later is a movement in the other direction. It is read from the
    database rather than counted here, so that a restart does not set it back and every replica shows the same:
    take the maximum over replicas, not the sum.
    """

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], int] = {}

    def show(self, values: dict[tuple[str, str], int]) -> None:
        """Replace the values, by lever and direction."""
        self._values = values

    def collect(self) -> Iterable[Metric]:
        """The metric, as Prometheus reads it."""
        family = CounterMetricFamily(
            "qc_money_adjusted_pence",
            "Pence moved by approved adjustments, by lever and direction (to_provider, from_provider).",
            labels=["lever", "direction"],
        )
        for (lever, direction), pence in self._values.items():
            family.add_metric([lever, direction], pence)
        yield family


MONEY_ADJUSTED = MoneyAdjusted()
REGISTRY.register(MONEY_ADJUSTED)


async def sample(connection: Connection) -> None:
    """Read all of them anew."""
    OPEN_PROPOSALS.set(await proposals.open_proposals(connection))
    WAITING_OUTCOMES.set(await waiting.count(connection))
    LEDGER_IMBALANCE.set((await ledger.imbalance(connection))[1])
    MONEY_ADJUSTED.show(
        {
            (lever.value, "to_provider" if gives else "from_provider"): pence
            for lever, gives, pence in await proposals.adjusted_pence(connection)
        }
    )
