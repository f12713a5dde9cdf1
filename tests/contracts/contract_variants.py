"""Changed copies of the real event models, to hold against the real ones."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from pydantic import ConfigDict, create_model

from shared.contracts.fields import EventData
from shared.contracts.ledger import Revision
from shared.contracts.registry import EVENTS, EventSpec
from shared.contracts.schemas import published

#: In place of a field's declaration: the field is not there.
GONE = object()


def variant(
    model: type[EventData], *, order: Sequence[str] = (), closed: bool = False, **changes: Any
) -> type[EventData]:
    """A model as it is but for some fields: `(annotation, declaration)` adds or replaces one, `GONE` drops it."""
    fields: dict[str, Any] = {name: (field.annotation, field) for name, field in model.model_fields.items()} | changes
    names = [*order, *(name for name in fields if name not in order)]
    kept = {name: fields[name] for name in names if fields[name] is not GONE}
    config = ConfigDict(frozen=True, extra="forbid" if closed else "ignore")
    namespace: dict[str, Any] = {"__config__": config, "__doc__": model.__doc__}
    return cast("type[EventData]", create_model(model.__name__, **namespace, **kept))


def with_model(event: type[EventData], changed: type[EventData]) -> tuple[EventSpec, ...]:
    """The registry with another model for one event."""
    return with_spec(event, model=changed)


def with_spec(event: type[EventData], **changes: Any) -> tuple[EventSpec, ...]:
    """The registry with one event declared otherwise."""
    return tuple(replace(spec, **changes) if spec.model is event else spec for spec in EVENTS)


def as_released(specs: Sequence[EventSpec] = EVENTS) -> dict[str, list[Revision]]:
    """A ledger in which the events stand as they are, once."""
    return {spec.schema_name: [Revision(spec.schema_name, 1, published(spec))] for spec in specs}
