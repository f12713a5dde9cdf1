"""Signals: what may point to a concern, whichever source it came from, and where it lies."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from shared.reference.kinds import LearnerGroup, SourceKind


class SignalKind(StrEnum):
    """What a signal is in this service's records."""

    FLAG = "flag"
    """The flag of a row of survey results."""
    ITEM = "item"
    """An item of intelligence, a report of a learner or educator among them."""


class Mark(StrEnum):
    """What makes a signal stand out. Rules of a policy ask for marks."""

    RED = "red"
    """A red flag."""
    TRIPLE_RED = "triple_red"
    """A flag that is red in its year and in both years before."""
    PATIENT_SAFETY = "patient_safety"
    """An item that speaks of the safety of patients."""
    IMMEDIATE = "immediate"
    """A report that somebody is at risk now."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Where something lies: provider × site × programme × learner group. None: not said, or all of them."""

    provider_code: str
    site_code: str | None = None
    programme: str | None = None
    learner_group: LearnerGroup | None = None

    @property
    def key(self) -> tuple[str, str, str, str]:
        """The same for two scopes exactly if they are the same place, however the programme is written."""
        return (self.provider_code, self.site_code or "", programme_key(self.programme), self.learner_group or "")


@dataclass(frozen=True, slots=True)
class Signal:
    """One thing that points to something being wrong. What points the other way is no signal."""

    kind: SignalKind
    #: Id of the flag or item, as text.
    id: str
    #: Grows when what it says is corrected: then it is new again.
    revision: int
    scope: Scope
    #: Numbers of the standards it names; none if it names none.
    standards: frozenset[str]
    #: Who or what it came from, as fine as is known: two signals of one source do not confirm each other.
    source: str
    source_kind: SourceKind
    #: Day it speaks of; of a survey the day the policy says.
    on: date
    marks: frozenset[Mark] = frozenset()

    @property
    def identity(self) -> tuple[SignalKind, str, int]:
        """Tells this signal from every other, and from what it said before it was corrected."""
        return (self.kind, self.id, self.revision)


class Closeness(StrEnum):
    """How near two scopes are, the nearest first."""

    SAME = "same"
    """They say the same of provider, site, programme and learner group."""
    WITHIN = "within"
    """They say nothing different: one leaves open what the other says."""
    SAME_PROGRAMME = "same_programme"
    """The same programme of the same provider, at another site or for other learners."""

    @property
    def rank(self) -> int:
        """0 for the nearest."""
        return list(Closeness).index(self)


def closeness(one: Scope, other: Scope) -> Closeness | None:
    """How near two scopes are; None if they have no more in common than the provider, or not even that."""
    if one.provider_code != other.provider_code:
        return None
    if one.key == other.key:
        return Closeness.SAME
    same_programme = programme_key(one.programme) == programme_key(other.programme)
    open_programme = one.programme is None or other.programme is None
    if (same_programme or open_programme) and _agree(one.site_code, other.site_code) and _agree(*_groups(one, other)):
        return Closeness.WITHIN
    return Closeness.SAME_PROGRAMME if same_programme and not open_programme else None


def survey_of(report_type: str) -> tuple[SourceKind, str]:
    """The kind of source a report of survey results is, and the survey's own name: ``nts-provider`` is of ``nts``."""
    name = report_type.partition("-")[0].lower()
    kind = {"nts": SourceKind.NTS, "nets": SourceKind.NETS}.get(name, SourceKind.OTHER)
    return kind, name


def programme_key(programme: str | None) -> str:
    """The same for two programmes that differ only in how they are written: case and spaces."""
    return " ".join((programme or "").split()).casefold()


def narrowest(scopes: Iterable[Scope]) -> Scope:
    """The one scope of signals that agree: what any of them says of site, programme and learner group.

    They must be about one provider and not contradict each other.
    """
    scopes = list(scopes)
    first = scopes[0]
    return Scope(
        provider_code=first.provider_code,
        site_code=next((s.site_code for s in scopes if s.site_code), None),
        programme=next((s.programme for s in scopes if s.programme), None),
        learner_group=_said_group(scopes),
    )


def group_said(scope: Scope) -> LearnerGroup | None:
    """The one learner group a scope is about; None if it is about several or says nothing."""
    return None if scope.learner_group is LearnerGroup.MULTI_PROFESSIONAL else scope.learner_group


def _said_group(scopes: Iterable[Scope]) -> LearnerGroup | None:
    groups = [scope.learner_group for scope in scopes if scope.learner_group]
    return next((group for group in groups if group is not LearnerGroup.MULTI_PROFESSIONAL), next(iter(groups), None))


def _groups(one: Scope, other: Scope) -> tuple[LearnerGroup | None, LearnerGroup | None]:
    return group_said(one), group_said(other)


def _agree(one: object | None, other: object | None) -> bool:
    return one is None or other is None or one == other
