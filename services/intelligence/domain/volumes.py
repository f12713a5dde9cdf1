"""Annual volumes: how many concerns were managed, significant, raised and closed in each year that is over.

Source of the measures: the volumes one office published (36 concerns managed in 2021–22, 5 of them significant, 20
closed). A financial year runs from April to March, a training year from August to July.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

from services.intelligence.domain.disclosure import Count, Knowledge, publishable
from services.intelligence.domain.small_numbers import is_small
from shared.contracts.fields import Category
from shared.reference.financial_year import FinancialYear
from shared.reference.training_year import TrainingYear

Year = FinancialYear | TrainingYear

_DAY = timedelta(days=1)


class YearKind(StrEnum):
    """Which year is counted by."""

    FINANCIAL = "financial"
    TRAINING = "training"


class Measure(StrEnum):
    """What is counted of a year, in the order in which counts are published."""

    MANAGED = "managed"
    """On the register on at least one day of the year."""
    SIGNIFICANT = "significant"
    """Of those managed: with a confirmed category of significant or above at some time in the year."""
    CLOSED = "closed"
    """Closed in the year, and not reopened since."""
    RAISED = "raised"


@dataclass(frozen=True, slots=True)
class Life:
    """The days of a concern that volumes are counted from."""

    raised_on: date
    closed_on: date | None
    #: (day, category) of each confirmed rating, oldest first.
    ratings: tuple[tuple[date, Category], ...] = ()


class Set(NamedTuple):
    """A set of concerns, by what happened to them and until when.

    ``raised`` and ``closed``: up to and including ``day``. ``significant``: those closed before a year, and those of
    the managed that were significant in it; ``day`` is the year's last.
    """

    what: str
    day: date
    first: date | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """Volumes as they are published, and the sizes of the sets behind them, which are not."""

    sizes: Mapping[Set, int]
    #: Published counts by name.
    shown: Mapping[str, int]


def name(kind: YearKind, year: Year, measure: Measure) -> str:
    """What a count is called within a release."""
    return f"{kind}:{year.label}:{measure}"


def years(kind: YearKind, first_day: date, today: date) -> list[Year]:
    """The years that are over, from the one of ``first_day`` on, oldest first."""
    of = FinancialYear.of if kind is YearKind.FINANCIAL else TrainingYear.of
    make = FinancialYear if kind is YearKind.FINANCIAL else TrainingYear
    return [make(first) for first in range(of(first_day).first_year, of(today).first_year)]


def years_of(kind: YearKind, release: Release) -> list[Year]:
    """The years that a release counts, oldest first."""
    of = FinancialYear.of if kind is YearKind.FINANCIAL else TrainingYear.of
    found = {of(one.day) for one in release.sizes if one.first is not None}
    return sorted(year for year in found if Set("significant", year.end, year.start) in release.sizes)


def counts(first_day: date, today: date) -> list[Count[Set]]:
    """What is counted of all years that are over, in the order of publishing.

    Financial years come first, and of a year what was raised comes last: where something must be withheld, it is what
    is asked for least.
    """
    found: list[Count[Set]] = []
    for kind in YearKind:
        for year in years(kind, first_day, today):
            before = year.start - _DAY
            closed_before, raised = Set("closed", before), Set("raised", year.end)
            ends = {
                Measure.MANAGED: (closed_before, raised),
                Measure.SIGNIFICANT: (closed_before, Set("significant", year.end, year.start)),
                Measure.CLOSED: (closed_before, Set("closed", year.end)),
                Measure.RAISED: (Set("raised", before), raised),
            }
            found += [Count(name(kind, year, measure), *ends[measure]) for measure in Measure]
    return found


def nothing_before(first_day: date, listed: Sequence[Count[Set]]) -> list[Count[Set]]:
    """What the first years that are listed tell by themselves: nothing was raised or closed before both began."""
    first = max(FinancialYear.of(first_day).start, TrainingYear.of(first_day).start)
    empty = [one for one in _sets(listed) if one.first is None and one.day < first]
    return [Count("nothing", inner, outer) for inner, outer in pairwise(empty)]


def within(inner: Set, outer: Set) -> bool:
    """True if one set lies within another whatever the concerns are: nobody is closed before being raised."""
    if inner.what == "significant":
        return outer.what == "raised" and outer.day >= inner.day
    if outer.what == "significant":
        return inner.what == "closed" and outer.first is not None and inner.day < outer.first
    if inner.what == "raised" and outer.what == "closed":
        return False
    return inner.day <= outer.day


def sizes(lives: Iterable[Life], listed: Sequence[Count[Set]]) -> dict[Set, int]:
    """How many concerns are in each set that the counts are made of."""
    lives = list(lives)
    raised = sorted(life.raised_on for life in lives)
    closed = sorted(life.closed_on for life in lives if life.closed_on is not None)
    serious = [life for life in lives if any(category >= Category.SIGNIFICANT for _, category in life.ratings)]
    found: dict[Set, int] = {}
    for one in _sets(listed):
        if one.first is not None:
            significant = sum(_was_significant(life, one.first, one.day) for life in serious)
            found[one] = bisect_right(closed, one.first - _DAY) + significant
        else:
            found[one] = bisect_right(raised if one.what == "raised" else closed, one.day)
    return found


def release(
    actual: Mapping[Set, int],
    listed: Sequence[Count[Set]],
    known: Sequence[Count[Set]],
    before: Release | None,
    ever: Mapping[str, Collection[int]],
) -> Release:
    """What is published now, given what was published last, and each count's values in all releases so far.

    A change to a year that was published already (a concern entered or closed late) would, by subtraction, be a count
    of one or two as well. So the numbers of a stretch of time stand until they change by three at least.
    """
    if before is None:
        return Release(actual, publishable(listed, actual, within, known)[0])
    held = _held(actual, listed, known, before)
    published, left_out = list(listed), list[Count[Set]]()
    while True:
        shown, knowledge = publishable(published, held, within, known)
        if any(_is_known(knowledge, one.inner, one.outer) for one in left_out):
            return before
        close = {name for name, number in shown.items() if any(is_small(number - was) for was in ever.get(name, ()))}
        if not close:
            return Release(held, shown)
        # Changes of several kinds add up to a small one. Leave those counts out, if they do not follow from others.
        left_out += [one for one in published if one.name in close]
        published = [one for one in published if one.name not in close]


def _held(
    actual: Mapping[Set, int], listed: Sequence[Count[Set]], known: Sequence[Count[Set]], before: Release
) -> dict[Set, int]:
    """The sizes that may be published from: where what was known would change by one or two, it has not changed."""
    knowledge = Knowledge(list(actual), within)
    for count in known:
        knowledge.learn(count.inner, count.outer, least=0, most=0)
    for count in listed:
        if count.name in before.shown:
            number = before.shown[count.name]
            knowledge.learn(count.inner, count.outer, least=number, most=number)
    held = dict(actual)
    for what in ("raised", "closed"):
        chain = sorted((one for one in actual if one.what == what), key=lambda one: one.day)
        held |= _chain_held(chain, actual, before.sizes, knowledge)
    for count in listed:
        if count.outer.first is not None:
            held[count.outer] = held[count.inner] + _significant_held(count, actual, held, before)
    return held


def _significant_held(count: Count[Set], actual: Mapping[Set, int], held: Mapping[Set, int], before: Release) -> int:
    """How many count as significant: as many as before, if they or the others would change by one or two."""
    now = actual[count.outer] - actual[count.inner]
    then = before.shown.get(count.name)
    if then is None:
        return now
    managed = Set("raised", count.outer.day)
    others_then = before.sizes[managed] - before.sizes[count.inner] - then
    others_now = held[managed] - held[count.inner] - now
    return then if is_small(now - then) or is_small(others_now - others_then) else now


def _chain_held(
    chain: Sequence[Set], actual: Mapping[Set, int], before: Mapping[Set, int], knowledge: Knowledge[Set]
) -> dict[Set, int]:
    """One chain of sets, each within the next, with the changes held that would be of one or two."""
    now = [actual[b] - actual[a] for a, b in pairwise(chain)]
    then = [before.get(b, 0) - before.get(a, 0) for a, b in pairwise(chain)]
    stretches = [
        (start, end)
        for start, one in enumerate(chain)
        for end in range(start + 1, len(chain))
        if _is_known(knowledge, one, chain[end])
    ]
    settled = False
    while not settled:
        settled = True
        for start, end in stretches:
            if is_small(sum(now[start:end]) - sum(then[start:end])):
                now[start:end] = then[start:end]
                settled = False
    found = {chain[0]: actual[chain[0]]}
    for (_, one), last, step in zip(pairwise(chain), chain, now, strict=False):
        found[one] = found[last] + step
    return found


def _is_known(knowledge: Knowledge[Set], inner: Set, outer: Set) -> bool:
    least, most = knowledge.bounds(inner, outer)
    return least == most


def _sets(listed: Sequence[Count[Set]]) -> list[Set]:
    return list(dict.fromkeys(one for count in listed for one in (count.inner, count.outer)))


def _was_significant(life: Life, first: date, last: date) -> bool:
    """Whether a concern was managed in a year, and had a category of significant or above at some time of it."""
    if life.raised_on > last or (life.closed_on is not None and life.closed_on < first):
        return False
    before = [category for day, category in life.ratings if day < first]
    during = [category for day, category in life.ratings if first <= day <= last]
    return any(category >= Category.SIGNIFICANT for category in (*before[-1:], *during))
