"""Histories of events that the contracts allow, however unusual: what a consumer must take in without stopping."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from hypothesis import strategies as st

from shared.contracts.examples import EXAMPLES, example_of
from shared.contracts.fields import Category, EventData, Lever, Money, Origin, ProviderRef, VisitKind
from shared.contracts.outcomes import Finding
from shared.contracts.registry import EVENTS
from shared.reference.kinds import ProviderKind

PROVIDERS = ("FICTHT001", "FICTGP002")

#: The first day and the last that there are, leap days, and both sides of a financial year's end.
DAYS = (
    date.min,
    date(2024, 2, 29),
    date(2024, 3, 31),
    date(2024, 4, 1),
    date(2024, 9, 12),
    date(2099, 12, 31),
    date.max,
)


@dataclass(frozen=True)
class Happened:
    """One event of a history. Numbers stand for ids, so that the same history can be told of other aggregates."""

    model: type[EventData]
    concern: int
    concerns: tuple[int, ...]
    other: int
    category: Category | None
    day: date
    name: str
    site: str | None
    origin: Origin
    kind: VisitKind
    lever: Lever

    @property
    def key(self) -> str:
        """The provider: a concern is about one and the same for ever."""
        return PROVIDERS[self.concern % len(PROVIDERS)]

    def told_in(self, world: uuid.UUID, unique: Iterator[int]) -> EventData:
        """The event, about the aggregates of a world."""
        given = example_of(next(spec for spec in EVENTS if spec.model is self.model)).data
        fields = type(given).model_fields
        changed: dict[str, Any] = {
            "provider": ProviderRef(ods_code=self.key, name=self.name, kind=ProviderKind.OTHER),
            "concern_id": concern_id(world, self.concern),
            "concern_ids": [concern_id(world, one) for one in self.concerns],
            "category": self.category,
            "previous_category": self.category,
            "highest_category": self.category,
            "site_code": self.site,
            "origin": self.origin,
            "kind": self.kind,
            "lever": self.lever,
            "amount": Money(pence=0),
            "requirement_ids": [uuid.uuid5(world, f"requirement {self.other}")] * (self.other % 3),
            **{name: self.day for name, field in fields.items() if field.annotation is date},
        }
        for name in ("visit_id", "requirement_id", "outcome_id", "proposal_id", "agreement_id"):
            changed[name] = uuid.uuid5(world, f"{name} {self.other}")
        for name in ("adjustment_id", "ledger_transaction_id", "notification_id", "about_event_id"):
            changed[name] = uuid.uuid5(world, f"{name} {next(unique)}")
        if "category" in fields and not _may_be_none(fields["category"].annotation):
            changed["category"] = self.category or Category.NONE
        data = {**given.model_dump(), **{name: value for name, value in changed.items() if name in fields}}
        if "findings" in fields:
            kinds = [finding.kind for finding in getattr(given, "findings", [])]
            data["findings"] = [
                Finding(finding_id=uuid.uuid5(world, f"finding {self.other} {place}"), kind=kind, standard="1.1")
                for place, kind in enumerate(kinds[: self.other])
            ]
        # By way of JSON: what no producer could send is no legal event.
        return type(given).model_validate_json(type(given).model_validate(data).model_dump_json())


def concern_id(world: uuid.UUID, number: int) -> uuid.UUID:
    """A concern of a world."""
    return uuid.uuid5(world, f"concern {number}")


def _may_be_none(annotation: Any) -> bool:
    return type(None) in getattr(annotation, "__args__", ())


_happened = st.builds(
    Happened,
    model=st.sampled_from([example.spec.model for example in EXAMPLES]),
    concern=st.integers(0, 3),
    concerns=st.lists(st.integers(0, 4), max_size=5).map(tuple),
    other=st.integers(0, 3),
    category=st.none() | st.sampled_from(Category),
    day=st.sampled_from(DAYS),
    name=st.sampled_from(["Fenbrook (fictional)", "Fenbrook, renamed: “North” <x> {{ y }} %s (fictional)"]),
    site=st.none() | st.just("FICTHT001A"),
    origin=st.sampled_from(Origin),
    kind=st.sampled_from(VisitKind),
    lever=st.sampled_from(Lever),
)

#: A history, and how it is cut into batches.
HISTORIES = st.lists(_happened, min_size=1, max_size=40)
BATCHES = st.lists(st.integers(1, 15), min_size=1, max_size=10)
