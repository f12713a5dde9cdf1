"""The published JSON Schema of every event, derived from its model.

One form serves writers and readers. It is *open*: a reader ignores fields it does not know, so that a writer
may add optional ones. It stands alone: what models share is written out in place, so that no reader has to
resolve a reference. Rendering is deterministic, so that a change of a file is a change of the contract.
"""

import json
from collections.abc import Callable

from pydantic import JsonValue
from pydantic.json_schema import GenerateJsonSchema

from shared.contracts.fields import CLASSIFICATION_KEYWORD
from shared.contracts.registry import PARTITIONS, EventSpec

JsonObject = dict[str, JsonValue]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

#: Keyword of a published schema that says where and by whom the event is published.
DELIVERY_KEYWORD = "x-quality-cycle"

#: Field of every event's data that is the key of its record.
KEY_FIELD = "provider.ods_code"

#: Reading order of a schema's keywords; others follow in alphabetical order, the structural ones come last.
_FIRST = (
    "$schema",
    "$id",
    "title",
    "description",
    DELIVERY_KEYWORD,
    CLASSIFICATION_KEYWORD,
    "type",
    "format",
)
_LAST = ("anyOf", "items", "properties", "required", "default")


class _Generator(GenerateJsonSchema):
    """Pydantic's generator without the titles it makes up from the names of fields."""

    def field_title_should_be_set(self, schema: object) -> bool:
        return False


def published(spec: EventSpec) -> JsonObject:
    """The JSON Schema 2020-12 of an event's data, as published and as released."""
    generated: JsonObject = spec.model.model_json_schema(schema_generator=_Generator)
    definitions = generated.pop("$defs", {})
    inlined = _inline(generated, definitions if isinstance(definitions, dict) else {})
    delivery: JsonObject = {
        "type": spec.type,
        "topic": spec.topic.value,
        "key": KEY_FIELD,
        "partitions": PARTITIONS,
        "producer": spec.producer,
        "subject": spec.subject_field,
        "classification": spec.classification.value,
    }
    return _ordered({**inlined, "$schema": DIALECT, "$id": spec.dataschema, DELIVERY_KEYWORD: delivery})


def render(document: JsonObject) -> str:
    """A document as the text of its checked-in file."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def map_subschemas(schema: JsonObject, change: Callable[[JsonObject], JsonObject]) -> JsonObject:
    """A copy of a schema in which each schema directly inside it is replaced by what `change` makes of it."""
    return {keyword: _map_keyword(keyword, value, change) for keyword, value in schema.items()}


def _map_keyword(keyword: str, value: JsonValue, change: Callable[[JsonObject], JsonObject]) -> JsonValue:
    match keyword, value:
        case "properties", dict():
            return {name: change(sub) if isinstance(sub, dict) else sub for name, sub in value.items()}
        case (("items" | "additionalProperties"), dict()):
            return change(value)
        case (("anyOf" | "oneOf" | "allOf" | "prefixItems"), list()):
            return [change(sub) if isinstance(sub, dict) else sub for sub in value]
        case _:
            return value


def _inline(schema: JsonObject, definitions: JsonObject) -> JsonObject:
    reference = schema.get("$ref")
    if isinstance(reference, str):
        definition = definitions[reference.removeprefix("#/$defs/")]
        if not isinstance(definition, dict):
            raise TypeError(f"{reference} is no schema")
        # What the field says of itself goes before what its type says of itself.
        beside = {keyword: value for keyword, value in schema.items() if keyword != "$ref"}
        return _inline({**definition, **beside}, definitions)
    return map_subschemas(schema, lambda sub: _inline(sub, definitions))


def _ordered(schema: JsonObject) -> JsonObject:
    def rank(keyword: str) -> tuple[int, int, str]:
        if keyword in _FIRST:
            return (0, _FIRST.index(keyword), "")
        if keyword in _LAST:
            return (2, _LAST.index(keyword), "")
        return (1, 0, keyword)

    inner = map_subschemas(schema, _ordered)
    return {keyword: inner[keyword] for keyword in sorted(inner, key=rank)}
