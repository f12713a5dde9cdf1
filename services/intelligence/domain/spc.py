"""Statistical process control: which points of a series are more than the noise it always has.

The chart is the XmR chart (individual values and their moving ranges) of "Making Data Count", by which analysts of the
NHS read series. Everything is decided on fractions, so that a point that lies on a line is never moved off it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from itertools import pairwise

#: Distance of a limit from the mean in average moving ranges: 3 sigma, sigma being the average range over 1.128.
_LIMIT = Fraction(266, 100)

#: Points of a run that rises or falls, and of a run on one side of the mean.
_TREND, _SHIFT = 6, 7


class SpecialCause(StrEnum):
    """Why a point is more than noise."""

    OUTSIDE_LIMITS = "outside_limits"
    """The point lies outside the 3-sigma limits; on a limit is inside."""
    TREND = "trend"
    """It is one of 6 or more points, each higher, or each lower, than the one before."""
    SHIFT = "shift"
    """It is one of 7 or more points in a row above, or below, the mean; a point on the mean ends the row."""
    TWO_OF_THREE = "two_of_three"
    """It is one of 2 among 3 points in a row that lie in the outer third between the mean and one limit."""


class Direction(StrEnum):
    """Which way a special cause points."""

    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Cause:
    """A special cause and its direction: for a score of which more is better, down is of concern."""

    kind: SpecialCause
    direction: Direction


@dataclass(frozen=True, slots=True)
class Point:
    """A value of a series and what is special about it."""

    value: Fraction
    causes: tuple[Cause, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """A series with its mean and limits."""

    points: tuple[Point, ...]
    mean: Fraction
    #: None for a single point, which has no moving range.
    average_moving_range: Fraction | None

    @property
    def limits(self) -> tuple[Fraction, Fraction] | None:
        """The lower and the upper 3-sigma limit, or None for a single point."""
        if self.average_moving_range is None:
            return None
        distance = _LIMIT * self.average_moving_range
        return self.mean - distance, self.mean + distance


def chart_of(values: Sequence[Fraction]) -> Chart | None:
    """The chart of values in the order of time, or None if there are none. A gap in time is passed over."""
    if not values:
        return None
    mean = sum(values, Fraction(0)) / len(values)
    ranges = [abs(after - before) for before, after in pairwise(values)]
    average = sum(ranges, Fraction(0)) / len(ranges) if ranges else None
    offsets = [value - mean for value in values]
    found: list[list[Cause]] = [[] for _ in values]
    if average is not None:
        limit = _LIMIT * average
        for place, cause in _all_causes(values, offsets, limit):
            found[place].append(cause)
    points = (Point(value, tuple(causes)) for value, causes in zip(values, found, strict=True))
    return Chart(tuple(points), mean, average)


def _all_causes(
    values: Sequence[Fraction], offsets: Sequence[Fraction], limit: Fraction
) -> Iterator[tuple[int, Cause]]:
    outside = [offset if abs(offset) > limit else Fraction(0) for offset in offsets]
    yield from _marked(SpecialCause.OUTSIDE_LIMITS, _signs(outside))
    yield from _marked(SpecialCause.TREND, _trends(values))
    yield from _marked(SpecialCause.SHIFT, _runs(_signs(offsets), _SHIFT))
    outer = [offset if 3 * abs(offset) > 2 * limit and abs(offset) <= limit else Fraction(0) for offset in offsets]
    yield from _marked(SpecialCause.TWO_OF_THREE, _pairs(_signs(outer)))


def _marked(kind: SpecialCause, signs: Sequence[int]) -> Iterator[tuple[int, Cause]]:
    for place, sign in enumerate(signs):
        if sign:
            yield place, Cause(kind, Direction.UP if sign > 0 else Direction.DOWN)


def _signs(numbers: Sequence[Fraction]) -> list[int]:
    return [(number > 0) - (number < 0) for number in numbers]


def _runs(signs: Sequence[int], least: int) -> list[int]:
    """The signs that stand in a run of at least so many of the same sign; 0 for all others."""
    kept = [0] * len(signs)
    began = 0
    for place in range(1, len(signs) + 1):
        if place == len(signs) or signs[place] != signs[began]:
            if place - began >= least:
                kept[began:place] = signs[began:place]
            began = place
    return kept


def _trends(values: Sequence[Fraction]) -> list[int]:
    """For each point the direction of the trend it belongs to: a run of steps holds one point more than steps.

    A point that ends one trend and begins another belongs to the later one.
    """
    steps = _runs(_signs([after - before for before, after in pairwise(values)]), _TREND - 1)
    kept = [0] * len(values)
    for place, step in enumerate(steps):
        if step:
            kept[place] = kept[place + 1] = step
    return kept


def _pairs(signs: Sequence[int]) -> list[int]:
    """The signs that stand with another of the same sign among three in a row; 0 for all others."""
    kept = [0] * len(signs)
    for first in range(len(signs)):
        for second in (first + 1, first + 2):
            if second < len(signs) and signs[first] == signs[second] != 0:
                kept[first] = kept[second] = signs[first]
    return kept
