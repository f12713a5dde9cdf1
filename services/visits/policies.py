"""The versions of the policies in force, read from the files that ship with this stage."""

from functools import lru_cache
from pathlib import Path

from services.visits.domain.findings import FindingPolicy
from services.visits.domain.visit_policy import VisitPolicy

_FOLDER = Path(__file__).parent / "domain" / "policies"


@lru_cache(maxsize=1)
def visit_policy() -> VisitPolicy:
    """The policy by which a rating calls for a visit. Raises ValidationError if its file breaks its form."""
    return VisitPolicy.model_validate_json((_FOLDER / "visit-policy-1.json").read_bytes())


@lru_cache(maxsize=1)
def finding_policy() -> FindingPolicy:
    """The policy by which findings are due. Raises ValidationError if its file breaks its form."""
    return FindingPolicy.model_validate_json((_FOLDER / "finding-policy-1.json").read_bytes())
