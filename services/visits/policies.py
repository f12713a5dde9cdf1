"""The versions of the policies in force, read from the files that ship with this stage."""

from pathlib import Path

from services.visits.domain.findings import FindingPolicy
from services.visits.domain.visit_policy import VisitPolicy
from shared.policies import PolicyFiles

_FOLDER = Path(__file__).parent / "domain" / "policies"
_VISIT = PolicyFiles(_FOLDER, VisitPolicy, current="visit-policy-1")
_FINDING = PolicyFiles(_FOLDER, FindingPolicy, current="finding-policy-1")


def visit_policy() -> VisitPolicy:
    """The policy by which a rating calls for a visit. Raises BrokenPolicy if its file breaks its form."""
    return _VISIT.load()


def finding_policy() -> FindingPolicy:
    """The policy by which findings are due. Raises BrokenPolicy if its file breaks its form."""
    return _FINDING.load()
