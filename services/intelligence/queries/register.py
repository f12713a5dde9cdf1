"""The register as it may be published."""

from services.intelligence.domain.said_and_done import Entry, entry
from services.intelligence.store import concerns, organisations, story
from services.intelligence.store.concerns import Search
from shared.persistence.pool import Connection

#: Concerns read at a time.
_PIECE = 500


async def entries(connection: Connection, search: Search) -> list[Entry]:
    """The rows of all concerns of a scope, in the order they came onto the register."""
    rows: list[Entry] = []
    after = None
    while True:
        found = await concerns.page(connection, search, after=after, limit=_PIECE)
        sites = await organisations.load(connection, {c.site_code for c in found if c.site_code is not None})
        told = await story.types_of(connection, [c.id for c in found])
        for concern in found:
            site = sites.get(concern.site_code) if concern.site_code is not None else None
            rows.append(entry(concern, site.name if site else None, told[concern.id]))
        if len(found) < _PIECE:
            return rows
        after = found[-1].id
