"""Standards a concern is measured against."""

from collections.abc import Sequence

from shared.reference.standards import CURRENT, UnknownStandard, standard_set
from shared.rules import RuleBroken


def require_standards(numbers: Sequence[str]) -> list[str]:
    """The numbers, each once, in the order of the set. Raises RuleBroken for one that the current set has not."""
    known = standard_set(CURRENT)
    for place, number in enumerate(numbers):
        try:
            known.get(number)
        except UnknownStandard as error:
            raise RuleBroken(f"standards.{place}", str(error)) from error
    wanted = set(numbers)
    return [standard.number for standard in known.standards if standard.number in wanted]
