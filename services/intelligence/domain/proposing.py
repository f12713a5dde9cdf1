"""Which concerns the signals propose: a policy's rules applied to what is known. Pure, and the same in any order."""

from calendar import monthrange
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import product

from services.intelligence.domain.proposal_policy import ProposalPolicy, Rule, Then, When
from services.intelligence.domain.signals import Scope, Signal, group_said, narrowest, programme_key


@dataclass(frozen=True, slots=True)
class Evidence:
    """A signal, and the rules it is evidence for, in the policy's order."""

    signal: Signal
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Draft:
    """A concern that the policy proposes."""

    scope: Scope
    #: Numbers of standards that the evidence names.
    standards: frozenset[str]
    #: Codes of the rules that hold, in the policy's order.
    rules: tuple[str, ...]
    then: Then
    #: Oldest first.
    evidence: tuple[Evidence, ...]
    policy_version: str


def drafts(policy: ProposalPolicy, new: Collection[Signal], known: Collection[Signal]) -> list[Draft]:
    """What the policy proposes now that ``new`` has come to what is ``known``; one draft for each scope.

    Signals agree if they are about one programme of one provider and do not contradict each other in site, learner
    group or standards; what a signal leaves open contradicts nothing. Every draft rests on a new signal, so that what
    was decided once is not proposed again for want of anything new.
    """
    fresh = {signal.identity for signal in new}
    everything = {signal.identity: signal for signal in (*known, *new)}
    places = defaultdict[tuple[str, str], list[Signal]](list)
    for signal in everything.values():
        places[(signal.scope.provider_code, programme_key(signal.scope.programme))].append(signal)
    touched = {(signal.scope.provider_code, programme_key(signal.scope.programme)) for signal in new}
    found = [
        case
        for place in sorted(touched)
        for rule in policy.rules
        for case in _cases(rule, _in_order(places[place]), fresh)
    ]
    return _by_scope(policy, found)


def months_after(day: date, months: int) -> date:
    """The same day ``months`` later, or the last day of that month if it has no such day."""
    month = day.month - 1 + months
    year, month = day.year + month // 12, month % 12 + 1
    return date(year, month, min(day.day, monthrange(year, month)[1]))


@dataclass(frozen=True, slots=True)
class _Case:
    """Signals for which a rule holds."""

    rule: Rule
    evidence: frozenset[Signal]

    @property
    def scope(self) -> Scope:
        """Where all of it lies."""
        return narrowest(signal.scope for signal in _in_order(self.evidence))


def _cases(rule: Rule, signals: Sequence[Signal], fresh: Collection[object]) -> list[_Case]:
    """For which of the signals at one place the rule holds, a new one among them."""
    usable = [signal for signal in signals if not rule.when.marks or signal.marks & rule.when.marks]
    found = {
        frozenset(window)
        for news in usable
        if news.identity in fresh
        for agreeing in _agreeing([signal for signal in usable if _may_confirm(signal, news, rule.when)])
        for window in _windows(agreeing, rule.when)
        if news in window
    }
    cases = [_Case(rule, evidence) for evidence in found]
    return [case for case in cases if not any(_says_it_more_widely(other, case, fresh) for other in cases)]


def _may_confirm(signal: Signal, news: Signal, when: When) -> bool:
    """True if a signal agrees with a new one and lies near enough in time."""
    first, last = sorted((signal.on, news.on))
    return (
        last <= months_after(first, when.within_months)
        and _open_or_same(signal.scope.site_code, news.scope.site_code)
        and _open_or_same(group_said(signal.scope), group_said(news.scope))
        and (not signal.standards or not news.standards or bool(signal.standards & news.standards))
    )


def _open_or_same(one: str | None, other: str | None) -> bool:
    return one is None or other is None or one == other


def _agreeing(signals: Sequence[Signal]) -> Iterator[list[Signal]]:
    """Those that agree with each other: for every site, learner group and standard that is named, and for none."""
    sites = {signal.scope.site_code for signal in signals} | {None}
    groups = {group_said(signal.scope) for signal in signals} | {None}
    standards = {number for signal in signals for number in signal.standards} | {None}
    for site, group, standard in product(sites, groups, standards):
        yield [
            signal
            for signal in signals
            if signal.scope.site_code in (None, site)
            and group_said(signal.scope) in (None, group)
            and (not signal.standards or standard in signal.standards)
        ]


def _windows(signals: Sequence[Signal], when: When) -> Iterator[list[Signal]]:
    """The stretches of time that hold enough, each as long as allowed. ``signals`` are oldest first."""
    for place, first in enumerate(signals):
        if place and signals[place - 1].on == first.on:
            continue
        last_day = months_after(first.on, when.within_months)
        window = [signal for signal in signals[place:] if signal.on <= last_day]
        marks = frozenset(mark for signal in window for mark in signal.marks)
        if when.marks <= marks and len({signal.source for signal in window}) >= when.sources:
            yield window


def _says_it_more_widely(other: _Case, case: _Case, fresh: Collection[object]) -> bool:
    """True if ``other`` makes ``case`` superfluous: it has the same news in a scope that leaves more open."""
    wide, narrow = other.scope, case.scope
    return (
        (wide.site_code, group_said(wide)) != (narrow.site_code, group_said(narrow))
        and wide.site_code in (None, narrow.site_code)
        and group_said(wide) in (None, group_said(narrow))
        and {signal for signal in case.evidence if signal.identity in fresh} <= other.evidence
    )


def _by_scope(policy: ProposalPolicy, cases: Iterable[_Case]) -> list[Draft]:
    together = defaultdict[tuple[str, str, str, str], list[_Case]](list)
    for case in cases:
        together[case.scope.key].append(case)
    return [_draft(policy, together[key]) for key in sorted(together)]


def _draft(policy: ProposalPolicy, cases: Sequence[_Case]) -> Draft:
    order = [rule.code for rule in policy.rules]
    codes = defaultdict[Signal, set[str]](set)
    for case in cases:
        for signal in case.evidence:
            codes[signal].add(case.rule.code)
    signals = _in_order(codes)
    return Draft(
        scope=narrowest(signal.scope for signal in signals),
        standards=frozenset(number for signal in signals for number in signal.standards),
        rules=tuple(code for code in order if any(case.rule.code == code for case in cases)),
        then=max((case.rule.then for case in cases), key=list(Then).index),
        evidence=tuple(Evidence(signal, tuple(code for code in order if code in codes[signal])) for signal in signals),
        policy_version=policy.version,
    )


def _in_order(signals: Iterable[Signal]) -> list[Signal]:
    """Oldest first, and always in the same order."""
    return sorted(signals, key=lambda signal: (signal.on, *signal.identity))
