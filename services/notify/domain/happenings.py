"""What of an event decides who is told of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from services.notify.domain.redaction import JsonObject
from services.notify.domain.stakeholders import EventName
from shared.contracts.concerns import ConcernClosed, ConcernDeEscalated, ConcernEscalated, ConcernRated
from shared.contracts.fields import Category, EventData, Origin
from shared.contracts.outcomes import OutcomeRecorded
from shared.contracts.registry import by_model
from shared.contracts.visits import VisitRequired

#: The last confirmed category of each concern; None for one that was never rated.
Categories = dict[UUID, Category | None]


@dataclass(frozen=True, slots=True)
class Happening:
    """An event, as far as it decides who is told of it."""

    name: EventName
    provider_code: str
    #: Highest category among the concerns it touches; None if none of them has one.
    category: Category | None


def happening(data: EventData, provider_code: str, categories: Mapping[UUID, Category | None]) -> Happening:
    """What of an event decides who is told, given the categories known before it."""
    return Happening(EventName(by_model(type(data)).name), provider_code, _category(data, categories))


def concerns_of(data: EventData) -> Sequence[UUID]:
    """The concerns an event touches, in its own order."""
    one: UUID | None = getattr(data, "concern_id", None)
    return [one] if one is not None else list(getattr(data, "concern_ids", ()))


def concern_ids_in(data: JsonObject) -> list[UUID]:
    """The concerns an event touches, from its data as the feed keeps it."""
    match data:
        case {"concern_id": str() as one}:
            return [UUID(one)]
        case {"concern_ids": list() as several}:
            return [UUID(str(concern)) for concern in several]
        case _:
            return []


def is_taken_over(data: EventData) -> bool:
    """True for what came with an earlier register: it is history and nobody is told of it as if it were news."""
    return getattr(data, "origin", None) is Origin.IMPORTED


def learn(data: EventData, categories: Categories) -> set[UUID]:
    """Note what an event says of a concern's category; returns the concerns that are known better now.

    A requirement tells the category it rests on. It comes from another service and may be overtaken by a newer
    rating, so it only counts while nothing else is known.
    """
    match data:
        case ConcernRated(concern_id=concern, category=category):
            categories[concern] = category
        case ConcernClosed(concern_id=concern, category=Category() as category):
            categories[concern] = category
        case VisitRequired(concern_id=concern, category=category) if categories.get(concern) is None:
            categories[concern] = category
        case _:
            return set()
    return {concern}


def _category(data: EventData, categories: Mapping[UUID, Category | None]) -> Category | None:
    match data:
        case (
            ConcernRated(category=Category() as said)
            | ConcernClosed(category=Category() as said)
            | ConcernEscalated(category=Category() as said)
            | ConcernDeEscalated(category=Category() as said)
            | VisitRequired(category=Category() as said)
            | OutcomeRecorded(highest_category=Category() as said)
        ):
            return said
        case _:
            known = [categories.get(concern) for concern in concerns_of(data)]
            return max((category for category in known if category is not None), default=None)
