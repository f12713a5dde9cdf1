"""What visits knows of a concern and its provider, learnt from events."""

from dataclasses import dataclass, replace
from uuid import UUID

from shared.contracts.fields import Category, ProviderRef
from shared.reference.kinds import ProviderKind


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider as the last event about it named it."""

    ods_code: str
    name: str
    kind: ProviderKind

    @property
    def ref(self) -> ProviderRef:
        """As events name it."""
        return ProviderRef(ods_code=self.ods_code, name=self.name, kind=self.kind)


@dataclass(frozen=True, slots=True)
class Concern:
    """A concern as far as visits need it."""

    id: UUID
    reference: str
    provider_code: str
    site_code: str | None = None
    #: None only if the event that raised the concern was never received.
    programme: str | None = None
    #: Last confirmed category, or None before the first rating.
    category: Category | None = None
    #: Category at which a visit has looked into it. It follows the category down, so that a later rise calls for a
    #: visit again, and is forgotten when the concern is reopened.
    visited_category: Category | None = None
    open: bool = True

    def rated(self, category: Category) -> "Concern":
        """With a newly confirmed category."""
        visited = self.visited_category
        return replace(self, category=category, visited_category=None if visited is None else min(visited, category))

    def visited(self, category: Category) -> "Concern":
        """After a visit that met a requirement of ``category``, which may have fallen since."""
        now = category if self.category is None else min(category, self.category)
        return replace(self, visited_category=now)

    def reopened(self) -> "Concern":
        """Open again. Its category stands until the new rating; visits before no longer count."""
        return replace(self, open=True, visited_category=None)


def highest_category(concerns: list[Concern]) -> Category | None:
    """Highest category among the open ones, or None: a closed concern has no category any more."""
    return max((c.category for c in concerns if c.open and c.category is not None), default=None)
