"""Annual volumes in the database: what they are counted from, and what was published of them."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from services.intelligence.domain.volumes import Life, Release, Set
from shared.contracts.fields import Category
from shared.persistence.pool import Connection


@dataclass(frozen=True, slots=True)
class Released:
    """A release, when it was made, and what was in the register when it was last asked for."""

    release: Release
    at: datetime
    counted: Mapping[Set, int]


async def lives(connection: Connection) -> list[Life]:
    """The days of all concerns of the register, but those that were merged into another: they are counted there."""
    concerns = await connection.fetch("select id, raised_on, closed_on from concerns where stage <> 'merged'")
    ratings = await connection.fetch(
        """
        select concern_id, rated_on, category from concern_ratings
        where category is not null order by concern_id, rated_on, number"""
    )
    by_concern: dict[UUID, list[tuple[date, Category]]] = defaultdict(list)
    for row in ratings:
        by_concern[row["concern_id"]].append((row["rated_on"], Category(row["category"])))
    return [Life(row["raised_on"], row["closed_on"], tuple(by_concern[row["id"]])) for row in concerns]


async def lock(connection: Connection) -> None:
    """Let nobody else release volumes until the transaction ends."""
    await connection.execute("lock table volume_releases in share row exclusive mode")


async def last(connection: Connection) -> Released | None:
    """The last release."""
    row = await connection.fetchrow("select * from volume_releases order by number desc limit 1")
    if row is None:
        return None
    return Released(Release(_read(row["sizes"]), row["shown"]), row["released_at"], _read(row["counted"]))


async def ever_shown(connection: Connection) -> dict[str, set[int]]:
    """The numbers of each count in all releases."""
    rows = await connection.fetch(
        "select distinct key, value::int as number from volume_releases, jsonb_each(shown) order by key"
    )
    numbers: dict[str, set[int]] = defaultdict(set)
    for row in rows:
        numbers[row["key"]].add(row["number"])
    return numbers


async def add(connection: Connection, release: Release, counted: Mapping[Set, int], at: datetime) -> None:
    """Keep a release."""
    await connection.execute(
        "insert into volume_releases (released_at, counted, sizes, shown) values ($1, $2, $3, $4)",
        at,
        _written(counted),
        _written(release.sizes),
        dict(release.shown),
    )


async def found_unchanged(connection: Connection, release: Release, counted: Mapping[Set, int]) -> None:
    """Note that the register changed without changing what the last release shows."""
    await connection.execute(
        """
        update volume_releases set counted = $1, sizes = $2
        where number = (select max(number) from volume_releases)""",
        _written(counted),
        _written(release.sizes),
    )


def _written(sizes: Mapping[Set, int]) -> dict[str, int]:
    return {f"{one.what} {one.first or ''} {one.day}": size for one, size in sizes.items()}


def _read(sizes: Mapping[str, int]) -> dict[Set, int]:
    found: dict[Set, int] = {}
    for text, size in sizes.items():
        what, first, day = text.split(" ")
        found[Set(what, date.fromisoformat(day), date.fromisoformat(first) if first else None)] = size
    return found
