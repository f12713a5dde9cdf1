"""The funding policy: how the outcome of a visit becomes a proposed adjustment.

There is no public formula from an outcome to money. The rules are versioned configuration that the operator owns;
here is only how they are read and applied. A person approves each result.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from services.funding.domain import levers
from services.funding.domain.errors import RuleBroken
from services.funding.domain.levers import Direction
from shared.contracts.fields import AdjustmentReason, Category, FindingKind, Lever

#: Basis points in the whole.
_WHOLE = 10_000

#: Reason codes that are not rules of the policy, in the order in which they can follow the rules.
NO_RULE = "no-rule-applies"
CAPPED = "capped-at-share-of-agreement"
LIMITED = "limited-to-what-remains"
ROUNDED_AWAY = "rounds-to-nothing"

_REQUIREMENTS = (FindingKind.MANDATORY_REQUIREMENT, FindingKind.IMMEDIATE_MANDATORY_REQUIREMENT)

#: Levers a policy may propose. Moving placements and terminating are for people to propose.
_PROPOSABLE = frozenset(set(Lever) - {Lever.MOVE_PLACEMENTS, Lever.TERMINATE})

Count = Annotated[int, Field(ge=0, strict=True)]
BasisPoints = Annotated[int, Field(ge=0, le=_WHOLE, strict=True)]
Code = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,99}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class When(_Frozen):
    """When a rule applies: all that is said must hold. An outcome without a category counts as category 0."""

    at_least: dict[FindingKind, Count] = {}
    at_most: dict[FindingKind, Count] = {}
    requirements_at_least: Count = 0
    """Mandatory and immediate mandatory requirements together."""
    category_at_least: Category = Category.NONE
    category_at_most: Category = Category.TRAINING_SUSPENDED

    def holds(self, found: Counter[FindingKind], category: Category) -> bool:
        """True if the rule applies to these numbers of findings and this category."""
        return (
            all(found[kind] >= least for kind, least in self.at_least.items())
            and all(found[kind] <= most for kind, most in self.at_most.items())
            and sum(found[kind] for kind in _REQUIREMENTS) >= self.requirements_at_least
            and self.category_at_least <= category <= self.category_at_most
        )


class Rule(_Frozen):
    """One rule: when it applies, the lever it calls for, and its share of the agreement in basis points."""

    code: Code
    title: str
    when: When
    lever: Lever
    basis_points: BasisPoints
    reason: Literal[AdjustmentReason.QUALITY_OUTCOME, AdjustmentReason.QUALITY_GOOD_PRACTICE]

    @model_validator(mode="after")
    def _fits_its_lever(self) -> Self:
        if self.lever not in _PROPOSABLE:
            raise ValueError(f"rule {self.code}: {self.lever.value} is for a person to propose")
        sign = 1 if levers.direction(self.lever) is Direction.GIVES else -1
        try:
            levers.check(self.lever, sign * self.basis_points, self.reason)
        except RuleBroken as error:
            raise ValueError(f"rule {self.code}: {error}") from error
        return self


class Policy(_Frozen):
    """One version of the policy. Once in use it is never edited: a change is a new version."""

    version: Code
    status: Literal["illustrative", "in_force"]
    note: str
    cap_taking_basis_points: BasisPoints
    cap_giving_basis_points: BasisPoints
    rules: tuple[Rule, ...]

    @model_validator(mode="after")
    def _codes_are_unique(self) -> Self:
        codes = [rule.code for rule in self.rules] + [NO_RULE, CAPPED, LIMITED, ROUNDED_AWAY]
        if twice := sorted(code for code, times in Counter(codes).items() if times > 1):
            raise ValueError(f"policy {self.version}: rule codes used twice: {', '.join(twice)}")
        return self


@dataclass(frozen=True, slots=True)
class Result:
    """What the policy proposes: signed pence, negative is taken away; and the codes that led to it, in order."""

    lever: Lever
    pence: int
    reason: AdjustmentReason
    reasons: tuple[str, ...]


def decide(
    policy: Policy,
    findings: Sequence[FindingKind],
    category: Category | None,
    *,
    total_pence: int,
    remaining_pence: int,
) -> Result:
    """Apply a policy to an outcome.

    The most severe lever among the rules that apply is proposed. Their basis points of ``total_pence``, what was
    agreed for the year, add up; a rule that moves money the other way than this lever is set aside. The amount is
    rounded towards zero, so what is taken is rounded in the provider's favour; then it is capped at the policy's
    share and at ``remaining_pence``. An amount that comes to nothing becomes an action plan where something
    would have been taken, and no change where something would have been given.
    """
    found = Counter(findings)
    applying = [rule for rule in policy.rules if rule.when.holds(found, category or Category.NONE)]
    if not applying:
        return Result(Lever.NO_CHANGE, 0, AdjustmentReason.QUALITY_OUTCOME, (NO_RULE,))
    decisive = max(applying, key=lambda rule: levers.severity(rule.lever))
    way = levers.direction(decisive.lever)
    used = [rule for rule in applying if levers.direction(rule.lever) in (way, Direction.NONE)]
    reasons = [rule.code for rule in used]

    amount = _share(total_pence, sum(rule.basis_points for rule in used))
    cap = policy.cap_giving_basis_points if way is Direction.GIVES else policy.cap_taking_basis_points
    if amount > (most := _share(total_pence, cap)):
        amount = most
        reasons.append(CAPPED)
    if way is Direction.TAKES and amount > remaining_pence:
        amount = remaining_pence
        reasons.append(LIMITED)
    lever = decisive.lever
    if amount == 0 and not levers.may_be_zero(lever):
        reasons.append(ROUNDED_AWAY)
        lever = Lever.NO_CHANGE if way is Direction.GIVES else Lever.ACTION_PLAN
    return Result(lever, amount if way is Direction.GIVES else -amount, decisive.reason, tuple(reasons))


def _share(pence: int, basis_points: int) -> int:
    return pence * basis_points // _WHOLE
