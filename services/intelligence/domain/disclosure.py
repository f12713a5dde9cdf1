"""Which counts may be published together, so that no count of one or two can be worked out from them.

Every count here is the size of one set without another that lies within it: the concerns raised in a year are those
raised up to its end without those raised up to its beginning. Whoever knows some counts knows bounds for all others: by
subtraction, because no count is negative, and because a count that is missing under this rule is under three. So a
count is withheld

- if it is under three itself (*primary* suppression): nought too, so that a gap does not say that somebody is there;
- if, with the counts published before it, the bounds of some count of one or two would meet, whether that count is ever
  asked for or not (*complementary* suppression).

The bounds are those of a system of differences, and exact: the tightest that follow from what is known.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from services.intelligence.domain.small_numbers import LEAST, is_small

S = TypeVar("S", bound=Hashable)

_UNBOUNDED = 1 << 60


@dataclass(frozen=True, slots=True)
class Count(Generic[S]):
    """How many are in ``outer`` and not in ``inner``, which lies within it."""

    name: str
    inner: S
    outer: S


class Knowledge(Generic[S]):
    """The bounds that somebody knows for the sizes of sets without others."""

    def __init__(self, sets: Sequence[S], within: Callable[[S, S], bool]) -> None:
        """``within(a, b)`` says that a lies within b, whatever the sizes: so b without a is never negative."""
        self._place = {one: place for place, one in enumerate(sets)}
        self.nested = [(a, b) for a in sets for b in sets if a != b and within(a, b)]
        # most[a][b]: the most by which the size of b can exceed that of a.
        self._most = [[0 if a == b else _UNBOUNDED for b in sets] for a in sets]
        for inner, outer in self.nested:
            self.learn(inner, outer, least=0)

    def bounds(self, inner: S, outer: S) -> tuple[int, int]:
        """The least and the most that ``outer`` without ``inner`` can be."""
        a, b = self._place[inner], self._place[outer]
        return -self._most[b][a], self._most[a][b]

    def learn(self, inner: S, outer: S, *, least: int | None = None, most: int | None = None) -> None:
        """Take in that ``outer`` without ``inner`` has at least, or at most, so many."""
        a, b = self._place[inner], self._place[outer]
        if most is not None:
            self._tighten(a, b, most)
        if least is not None:
            self._tighten(b, a, -least)

    def copy(self) -> "Knowledge[S]":
        """The same knowledge, to learn more from."""
        other = cast("Knowledge[S]", object.__new__(Knowledge))
        other._place, other.nested = self._place, self.nested
        other._most = [row.copy() for row in self._most]
        return other

    def pins(self, pairs: Sequence[tuple[S, S]]) -> bool:
        """True if the exact number is known of one of these pairs of nested sets."""
        return any(least == most for least, most in (self.bounds(inner, outer) for inner, outer in pairs))

    def _tighten(self, a: int, b: int, most: int) -> None:
        if most >= self._most[a][b]:
            return
        from_b = self._most[b]
        for row in self._most:
            if row[a] >= _UNBOUNDED:
                continue
            over = row[a] + most
            for place, beyond in enumerate(from_b):
                row[place] = min(row[place], over + beyond)


def publishable(
    counts: Sequence[Count[S]], sizes: Mapping[S, int], within: Callable[[S, S], bool], known: Sequence[Count[S]] = ()
) -> tuple[dict[str, int], Knowledge[S]]:
    """The counts that may be published, by name, the first ones first; and what can be worked out from them.

    ``known`` are counts that everybody knows without being told.
    """
    knowledge = Knowledge(list(sizes), within)
    few = [(inner, outer) for inner, outer in knowledge.nested if is_small(sizes[outer] - sizes[inner])]
    for count in known:
        _learn(knowledge, count, sizes)
    for count in counts:
        if _number(count, sizes) < LEAST:
            knowledge.learn(count.inner, count.outer, most=LEAST - 1)
    shown: dict[str, int] = {}
    for count in counts:
        if _number(count, sizes) >= LEAST:
            wider = knowledge.copy()
            _learn(wider, count, sizes)
            if not wider.pins(few):
                knowledge = wider
                shown[count.name] = _number(count, sizes)
    return shown, knowledge


def _learn(knowledge: Knowledge[S], count: Count[S], sizes: Mapping[S, int]) -> None:
    knowledge.learn(count.inner, count.outer, least=_number(count, sizes), most=_number(count, sizes))


def _number(count: Count[S], sizes: Mapping[S, int]) -> int:
    return sizes[count.outer] - sizes[count.inner]
