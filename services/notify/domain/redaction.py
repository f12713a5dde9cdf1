"""What of an event leaves the office's own services: fields declared public or partner, and no others."""

from functools import cache
from typing import cast

from pydantic import BaseModel, JsonValue

from shared.contracts.fields import Classification, EventData, classification_of

JsonObject = dict[str, JsonValue]


def for_partners(data: EventData) -> JsonObject:
    """An event's data as JSON without its internal fields, however deep they lie.

    A field whose author forgot the classification is left out too.
    """
    return _shown(data, data.model_dump(mode="json"))


def _shown(model: BaseModel, dumped: JsonObject) -> JsonObject:
    return {name: _value(getattr(model, name), dumped[name]) for name in _fields_shown(type(model))}


@cache
def _fields_shown(model: type[BaseModel]) -> tuple[str, ...]:
    """The fields of a model that partners may see. Looked up once: there is an entry of the feed for every event."""
    classifications = {name: classification_of(field) for name, field in model.model_fields.items()}
    return tuple(
        name
        for name, classification in classifications.items()
        if classification is not None and classification.rank <= Classification.PARTNER.rank
    )


def _value(value: object, dumped: JsonValue) -> JsonValue:
    if isinstance(value, BaseModel) and isinstance(dumped, dict):
        return _shown(value, dumped)
    if isinstance(value, list | tuple) and isinstance(dumped, list):
        items = cast("list[object]", value)
        return [_value(item, text) for item, text in zip(items, dumped, strict=True)]
    if isinstance(value, dict) and isinstance(dumped, dict):
        entries = list(cast("dict[object, object]", value).values())
        return {key: _value(item, text) for item, (key, text) in zip(entries, dumped.items(), strict=True)}
    return dumped
