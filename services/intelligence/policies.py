"""The versions of the policies in force, read from the files that ship with this stage."""

from pathlib import Path

from services.intelligence.domain.flag_rule import FlagRule
from services.intelligence.domain.proposal_policy import ProposalPolicy
from shared.policies import PolicyFiles

_FOLDER = Path(__file__).parent / "domain" / "policies"
_FLAGS = PolicyFiles(_FOLDER, FlagRule, current="nts-2026-1")
_PROPOSALS = PolicyFiles(_FOLDER, ProposalPolicy, current="proposal-policy-1")


def flag_rule(edition: str | None = None) -> FlagRule:
    """The rule by which survey results are flagged: an edition, or the one in force.

    Raises BrokenPolicy if its file breaks its form, UnknownPolicy for an edition that does not ship.
    """
    return _FLAGS.load(edition)


def proposal_policy(version: str | None = None) -> ProposalPolicy:
    """The policy by which signals propose concerns: a version, or the one in force.

    Raises BrokenPolicy if its file breaks its form, UnknownPolicy for a version that does not ship.
    """
    return _PROPOSALS.load(version)
