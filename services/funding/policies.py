"""The policy in force. Its files ship with the service; a new version is a new file, and old ones stay."""

from pathlib import Path

from services.funding.domain.policy import Policy
from shared.policies import PolicyFiles

#: Version by which outcomes are turned into proposals now.
CURRENT = "funding-policy-1"

_FILES = PolicyFiles(Path(__file__).parent / "domain" / "policies", Policy, current=CURRENT)


def policy(version: str = CURRENT) -> Policy:
    """The policy of a version. Raises UnknownPolicy, or BrokenPolicy for a file that is none."""
    return _FILES.load(version)
