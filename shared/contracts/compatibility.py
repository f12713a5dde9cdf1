"""Whether the contracts of this tree still fit every contract ever released.

Topics are kept for ever and services are deployed one after the other, so a new revision of an event must fit
*every* released one, not only the last: new readers read all data ever written (backward), and readers of
every released revision read new data (forward).

`jsoncompat` gives the verdict on the structure; going down the two schemas finds the field and the reason.
Rules of our own cover what it does not judge: patterns, formats, closed objects, classifications, delivery.
For the verdict the *writer's* side is closed: it writes the fields it knows and no others. Otherwise an added
optional field would count as one that the writer had always been free to fill with anything.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal, cast

from jsoncompat import check_compat
from pydantic import JsonValue

from shared.contracts.fields import CLASSIFICATION_KEYWORD, Classification
from shared.contracts.ledger import Revision
from shared.contracts.registry import EventSpec
from shared.contracts.schemas import DELIVERY_KEYWORD, JsonObject, map_subschemas, published


class Direction(StrEnum):
    """Which way a change breaks."""

    BACKWARD = "backward"
    """New readers fail on data already written."""
    FORWARD = "forward"
    """Released readers fail on new data."""
    BOTH = "both"


_Way = Literal[Direction.BACKWARD, Direction.FORWARD]

#: What the breach of a rule means, in the words of a sentence's end.
_TAIL: dict[_Way, str] = {
    Direction.BACKWARD: "data already written may not fit",
    Direction.FORWARD: "released readers refuse data that does not fit theirs",
}


@dataclass(frozen=True, slots=True)
class Breach:
    """A change that breaks what was released."""

    #: `<name>.v<major>`.
    event: str
    #: Path of the field in the data, such as `provider.kind` or `findings[].standard`; what is not a field
    #: stands in parentheses, such as `(event)` or `(topic)`.
    field: str
    reason: str
    direction: Direction
    #: The released revisions it breaks.
    revisions: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class _Pair:
    """The same place in the released and in the new schema, without the null that either may allow."""

    field: str
    old: JsonObject
    new: JsonObject
    old_nullable: bool
    new_nullable: bool


def check(specs: Iterable[EventSpec], released: dict[str, list[Revision]]) -> list[Breach]:
    """Every breach between the contracts of `specs` and all revisions in `released`.

    Events come in the order of the registry, then those that are gone from it.
    """
    current = {spec.schema_name: published(spec) for spec in specs}
    breaches: list[Breach] = []
    for event, schema in current.items():
        by_breach: dict[Breach, list[int]] = {}
        for revision in released.get(event, []):
            for breach in compare(event, revision.schema, schema):
                by_breach.setdefault(breach, []).append(revision.number)
        breaches += [replace(breach, revisions=tuple(numbers)) for breach, numbers in by_breach.items()]
    for event in sorted(released.keys() - current.keys()):
        numbers = tuple(revision.number for revision in released[event])
        reason = "is gone from the registry, but its topic holds it for ever and its readers expect it"
        breaches.append(Breach(event, "(event)", reason, Direction.BOTH, numbers))
    return breaches


def compare(event: str, old: JsonObject, new: JsonObject) -> list[Breach]:
    """What a change from one published schema of an event to another breaks."""
    found: dict[tuple[str, str], Direction] = {}
    ways: tuple[_Way, _Way] = (Direction.BACKWARD, Direction.FORWARD)
    root = _pair("", old, new)
    for way in ways:
        for field, reason in [*_structure(root, way), *_rules(root, way), *_delivery(old, new)]:
            place = (field or "(event)", reason)
            found[place] = way if found.get(place, way) is way else Direction.BOTH
    return [Breach(event, field, reason, direction) for (field, reason), direction in found.items()]


# --- structure: the verdict is jsoncompat's ---


def _structure(pair: _Pair, way: _Way) -> list[tuple[str, str]]:
    """The innermost places that explain why the writer's data no longer fits the reader."""
    if _fits(_whole(pair.old, pair.old_nullable), _whole(pair.new, pair.new_nullable), way):
        return []
    found = [(pair.field, reason) for reason in _nullability(pair, way)]
    found += _required(pair, way)
    found += [(pair.field, reason) for reason in _values(pair, way)]
    for child in _children(pair):
        found += _structure(child, way)
    return found or [(pair.field, f"its form changed: {_TAIL[way]}")]


def _fits(old: JsonObject, new: JsonObject, way: _Way) -> bool:
    old, new = _bare(old), _bare(new)
    if way is Direction.BACKWARD:
        return check_compat(json.dumps(_closed(old)), json.dumps(new), "deserializer")
    return check_compat(json.dumps(old), json.dumps(_closed(new)), "serializer")


def _bare(schema: JsonObject) -> JsonObject:
    """A schema without what constrains nothing; jsoncompat takes the `$id` for a reference it cannot follow."""
    kept = {keyword: value for keyword, value in schema.items() if not keyword.startswith(("$", "x-"))}
    return map_subschemas(kept, _bare)


def _closed(schema: JsonObject) -> JsonObject:
    closed = map_subschemas(schema, _closed)
    if "properties" in closed:
        closed.setdefault("additionalProperties", False)
    return closed


def _nullability(pair: _Pair, way: _Way) -> Iterator[str]:
    if way is Direction.BACKWARD and pair.old_nullable and not pair.new_nullable:
        yield "may no longer be null, but data already written may hold null"
    if way is Direction.FORWARD and pair.new_nullable and not pair.old_nullable:
        yield "may be null now, which released readers refuse"


def _required(pair: _Pair, way: _Way) -> Iterator[tuple[str, str]]:
    old_required, new_required = _required_names(pair.old), _required_names(pair.new)
    if way is Direction.BACKWARD:
        for name in sorted(new_required - old_required):
            known = name in _properties(pair.old)
            yield (
                _inside(pair.field, name),
                "is required now, but data already written may lack it"
                if known
                else "was added as required, but data already written lacks it",
            )
    else:
        for name in sorted(old_required - new_required):
            known = name in _properties(pair.new)
            yield (
                _inside(pair.field, name),
                "is optional now, but released readers require it"
                if known
                else "was removed, but released readers require it",
            )


def _values(pair: _Pair, way: _Way) -> Iterator[str]:
    old_type, new_type = _type(pair.old), _type(pair.new)
    if old_type != new_type:
        yield f"its type changed from {old_type} to {new_type}"
        return
    yield from _enumeration(pair, way)
    for keyword, is_upper in _BOUNDS.items():
        old, new = pair.old.get(keyword), pair.new.get(keyword)
        writer, reader = (old, new) if way is Direction.BACKWARD else (new, old)
        if _stricter(reader, writer, is_upper=is_upper):
            yield f"its {keyword} changed from {_word(old)} to {_word(new)}: {_TAIL[way]}"
    for keyword in ("multipleOf", "uniqueItems", "const"):
        old, new = pair.old.get(keyword), pair.new.get(keyword)
        if old != new:
            yield f"its {keyword} changed from {_word(old)} to {_word(new)}: {_TAIL[way]}"


def _enumeration(pair: _Pair, way: _Way) -> Iterator[str]:
    old, new = pair.old.get("enum"), pair.new.get("enum")
    if isinstance(old, list) and isinstance(new, list):
        if way is Direction.BACKWARD and (removed := [value for value in old if value not in new]):
            yield f"lost the value {_list(removed)}, which data already written may hold"
        if way is Direction.FORWARD and (added := [value for value in new if value not in old]):
            yield f"gained the value {_list(added)}, which released readers refuse"
    elif isinstance(new, list) and way is Direction.BACKWARD:
        yield f"is limited to {_list(new)} now: {_TAIL[way]}"
    elif isinstance(old, list) and way is Direction.FORWARD:
        yield f"is no longer limited to {_list(old)}: {_TAIL[way]}"


#: Keywords that bound a value, and whether from above.
_BOUNDS = {
    "minimum": False,
    "exclusiveMinimum": False,
    "maximum": True,
    "exclusiveMaximum": True,
    "minLength": False,
    "maxLength": True,
    "minItems": False,
    "maxItems": True,
    "minProperties": False,
    "maxProperties": True,
}


def _stricter(reader: JsonValue, writer: JsonValue, *, is_upper: bool) -> bool:
    if not isinstance(reader, int | float):
        return False
    if not isinstance(writer, int | float):
        return True
    return reader < writer if is_upper else reader > writer


# --- rules of our own: what jsoncompat does not judge ---


def _rules(pair: _Pair, way: _Way) -> Iterator[tuple[str, str]]:
    """Breaches of the rules for texts, closed objects and classifications, at every place both have."""
    for reason in [*_texts(pair, way), *_openness(pair, way), *_visibility(pair, way)]:
        yield pair.field, reason
    for child in _children(pair):
        yield from _rules(child, way)


def _texts(pair: _Pair, way: _Way) -> Iterator[str]:
    if _type(pair.old) != _type(pair.new):
        return
    for keyword in ("pattern", "format"):
        old, new = pair.old.get(keyword), pair.new.get(keyword)
        writer, reader = (old, new) if way is Direction.BACKWARD else (new, old)
        # No tool here decides whether one pattern holds all that another does, so any change counts.
        if reader is None or reader == writer:
            continue
        if writer is None:
            changed = f"has a {keyword} now" if way is Direction.BACKWARD else f"has no {keyword} any more"
            yield f"{changed} ({reader}): {_TAIL[way]}"
        else:
            yield f"its {keyword} changed from {_word(old)} to {_word(new)}"


def _openness(pair: _Pair, way: _Way) -> Iterator[str]:
    if way is Direction.BACKWARD and _is_closed(pair.new) and not _is_closed(pair.old):
        yield "is closed now: readers must go on ignoring fields they do not know"


def _is_closed(schema: JsonObject) -> bool:
    return False in (schema.get("additionalProperties"), schema.get("unevaluatedProperties"))


def _visibility(pair: _Pair, way: _Way) -> Iterator[str]:
    """A field may become narrower, never wider: what was written for few would be shown to more."""
    old, new = pair.old.get(CLASSIFICATION_KEYWORD), pair.new.get(CLASSIFICATION_KEYWORD)
    if way is not Direction.BACKWARD or old is None or old == new:
        return
    if new is None:
        yield f"lost its classification, which was {old}"
    elif Classification(str(new)).rank < Classification(str(old)).rank:
        yield f"its classification widened from {old} to {new}: what was written as {old} would reach more"


#: What a released event never changes, and why.
_DELIVERY = {
    "type": "readers choose by it",
    "topic": "released readers follow the old one, and the order with its other events would be lost",
    "key": "events of one provider would move to another partition and lose their order",
    "partitions": "events of one provider would move to another partition and lose their order",
    "producer": "sequences are counted per source, so the new one would start again",
    "subject": "readers take the id of the aggregate from it",
}


def _delivery(old: JsonObject, new: JsonObject) -> Iterator[tuple[str, str]]:
    for part, why in _DELIVERY.items():
        before, after = (_object(schema.get(DELIVERY_KEYWORD)).get(part) for schema in (old, new))
        if before is not None and before != after:
            yield f"({part})", f"changed from {_word(before)} to {_word(after)}: {why}"
    if old.get("$id") != new.get("$id"):
        yield (
            "(dataschema)",
            f"changed from {_word(old.get('$id'))} to {_word(new.get('$id'))}: readers look it up",
        )


# --- walking two schemas side by side ---


def _pair(field: str, old: JsonObject, new: JsonObject) -> _Pair:
    (old, old_nullable), (new, new_nullable) = _without_null(old), _without_null(new)
    return _Pair(field, old, new, old_nullable, new_nullable)


def _children(pair: _Pair) -> Iterator[_Pair]:
    old, new = _properties(pair.old), _properties(pair.new)
    for name in old:
        if name in new:
            yield _pair(_inside(pair.field, name), _object(old[name]), _object(new[name]))
    for keyword, mark in (("items", "[]"), ("additionalProperties", "{}")):
        before, after = pair.old.get(keyword), pair.new.get(keyword)
        if isinstance(before, dict) and isinstance(after, dict):
            yield _pair(pair.field + mark, before, after)
    yield from _alternatives(pair)


def _alternatives(pair: _Pair) -> Iterator[_Pair]:
    """The branches of a union, matched by their order within a type."""
    before, after = (sorted(_branches(schema), key=_type) for schema in (pair.old, pair.new))
    if [_type(branch) for branch in before] == [_type(branch) for branch in after]:
        for old, new in zip(before, after, strict=True):
            yield _pair(pair.field, old, new)


def _without_null(schema: JsonObject) -> tuple[JsonObject, bool]:
    """A schema without the null it allows, and whether it did."""
    kind = schema.get("type")
    if isinstance(kind, list) and "null" in kind:
        rest = [name for name in kind if name != "null"]
        return {**schema, "type": rest[0] if len(rest) == 1 else cast("JsonValue", rest)}, True
    branches = _branches(schema)
    others = [branch for branch in branches if branch.get("type") != "null"]
    if len(others) == len(branches):
        return schema, False
    beside = {keyword: value for keyword, value in schema.items() if keyword != "anyOf"}
    # What the field says of itself, its classification say, goes before what a branch says.
    return ({**others[0], **beside} if len(others) == 1 else {**beside, "anyOf": cast("JsonValue", others)}), True


def _whole(schema: JsonObject, nullable: bool) -> JsonObject:
    return {"anyOf": [schema, {"type": "null"}]} if nullable else schema


def _branches(schema: JsonObject) -> list[JsonObject]:
    branches = schema.get("anyOf")
    return [_object(branch) for branch in branches] if isinstance(branches, list) else []


def _properties(schema: JsonObject) -> JsonObject:
    return _object(schema.get("properties"))


def _object(value: JsonValue) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _required_names(schema: JsonObject) -> set[str]:
    names = schema.get("required")
    return {str(name) for name in names} if isinstance(names, list) else set()


def _type(schema: JsonObject) -> str:
    """Its type in words, for sorting and for messages."""
    if branches := _branches(schema):
        return " or ".join(sorted(_type(branch) for branch in branches))
    kind = schema.get("type", "anything")
    return " or ".join(sorted(map(str, kind))) if isinstance(kind, list) else str(kind)


def _inside(field: str, name: str) -> str:
    return f"{field}.{name}" if field else name


def _word(value: JsonValue) -> str:
    return "none" if value is None else str(value)


def _list(values: list[JsonValue]) -> str:
    return ", ".join(map(_word, values))
