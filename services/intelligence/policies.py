"""The versions of the policies in force, read from the files that ship with this stage."""

from pathlib import Path

from services.intelligence.domain.flag_rule import FlagRule
from shared.policies import PolicyFiles

_FOLDER = Path(__file__).parent / "domain" / "policies"
_FLAGS = PolicyFiles(_FOLDER, FlagRule, current="nts-2026-1")


def flag_rule(edition: str | None = None) -> FlagRule:
    """The rule by which survey results are flagged: an edition, or the one in force.

    Raises BrokenPolicy if its file breaks its form, UnknownPolicy for an edition that does not ship.
    """
    return _FLAGS.load(edition)
