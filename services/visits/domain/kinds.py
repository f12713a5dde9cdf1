"""Kinds of visit: which can meet a requirement, and how strong they are.

The risk-led kinds are ordered as in `VisitKind`, from desktop review to urgent risk review: a visit meets a
requirement if its kind is at least as strong as the one called for. Follow-up visits, annual reviews and peer visits
have another purpose and meet no requirement, though they may look into concerns. A decision of this project.
"""

from shared.contracts.fields import VisitKind

RISK_LED: tuple[VisitKind, ...] = (
    VisitKind.DESKTOP_REVIEW,
    VisitKind.LEARNER_EDUCATOR_REVIEW,
    VisitKind.PROGRAMME_REVIEW,
    VisitKind.SENIOR_LEADER_ENGAGEMENT,
    VisitKind.TRIGGERED_VISIT,
    VisitKind.URGENT_RISK_REVIEW,
)
"""Kinds that answer a risk, from the weakest to the strongest."""

REGULAR: frozenset[VisitKind] = frozenset({VisitKind.ANNUAL_QUALITY_REVIEW, VisitKind.PEER_VISIT})
"""Kinds that take place without any concern."""


def meets(kind: VisitKind, required: VisitKind) -> bool:
    """True if a visit of ``kind`` does what a requirement of ``required`` calls for."""
    if kind not in RISK_LED or required not in RISK_LED:
        return False
    return RISK_LED.index(kind) >= RISK_LED.index(required)
