"""The published schemas: fresh, complete, and without anything that could name a person."""

import json
from collections.abc import Iterator
from copy import deepcopy
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from pydantic import ValidationError

from shared.contracts import generated_files
from shared.contracts.examples import EXAMPLES, PROVIDER, Example
from shared.contracts.fields import Classification, classification_of
from shared.contracts.registry import EVENTS, EventSpec

#: Texts with neither a vocabulary nor a strict form, and why none of them can hold what a person wrote freely.
WORDED_BY_THE_SYSTEM = {
    "provider.name": "from the register of organisations",
    "programme": "from the list of programmes",
    "results[].programme": "from the list of specialties of the survey",
    "results[].indicator": "from the list of indicators of the survey",
    "reference": "given out by the register",
    "merged_reference": "given out by the register",
    "standard_set": "version of reference data",
    "policy_version": "version of a policy file",
    "raised_by_policy": "version of a policy file",
    "reasons[]": "codes of a policy's rules",
    "stakeholder_kind": "from notify's directory",
    "template": "name of a template file",
    "about_event_type": "type of an event",
}

#: Words in the name of a field that would hold a person or free text.
FORBIDDEN_WORDS = {
    "address", "author", "comment", "description", "details", "email", "forename", "gmc", "narrative", "note",
    "notes", "person", "phone", "rationale", "reporter", "staff", "summary", "surname", "text", "user",
}  # fmt: skip


def _id(item: EventSpec | Example) -> str:
    return (item if isinstance(item, EventSpec) else item.spec).schema_name


def _checked_in(spec: EventSpec) -> dict[str, Any]:
    return json.loads((generated_files.GENERATED / "schemas" / f"{spec.schema_name}.json").read_text())


def _validator(spec: EventSpec) -> Draft202012Validator:
    formats = FormatChecker()
    formats.checks("date-time", raises=ValueError)(_is_instant)
    return Draft202012Validator(_checked_in(spec), format_checker=formats)


def _is_instant(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


def _places(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field at any depth, and what lies in lists, by its path."""
    for name, field in schema.get("properties", {}).items():
        inside = f"{path}.{name}" if path else name
        yield inside, field
        for form in [field, *field.get("anyOf", [])]:
            yield from _places(form, inside)
            if "items" in form:
                yield f"{inside}[]", form["items"]
                yield from _places(form["items"], f"{inside}[]")


def test_the_generated_files_are_fresh() -> None:
    assert generated_files.stale() == [], "run `qc contracts export` and commit what it writes"


def test_a_changed_a_missing_and_a_left_over_file_are_stale_and_brought_up_to_date(tmp_path: Path) -> None:
    generated_files.bring_up_to_date(generated_files.stale(tmp_path), tmp_path)
    assert generated_files.stale(tmp_path) == []
    (tmp_path / "asyncapi.json").write_text("{}")
    (tmp_path / "schemas" / "concern.raised.v1.json").unlink()
    (tmp_path / "schemas" / "concern.gone.v1.json").write_text("{}")

    stale = generated_files.stale(tmp_path)
    generated_files.bring_up_to_date(stale, tmp_path)

    assert stale == ["asyncapi.json", "schemas/concern.gone.v1.json", "schemas/concern.raised.v1.json"]
    assert generated_files.stale(tmp_path) == []


@pytest.mark.parametrize("spec", EVENTS, ids=_id)
def test_a_schema_is_valid_and_says_what_it_is(spec: EventSpec) -> None:
    schema = _checked_in(spec)

    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == spec.dataschema
    assert schema["description"]
    assert schema["x-quality-cycle"]["topic"] == spec.topic
    assert schema.get("additionalProperties", True) is not False


@pytest.mark.parametrize("spec", EVENTS, ids=_id)
def test_every_field_has_a_description_and_a_classification(spec: EventSpec) -> None:
    fields = [(path, field) for path, field in _places(_checked_in(spec)) if not path.endswith("[]")]

    assert fields
    assert [path for path, field in fields if not field.get("description")] == []
    assert [path for path, field in fields if field.get("x-classification") not in list(Classification)] == []


@pytest.mark.parametrize("spec", EVENTS, ids=_id)
def test_an_event_is_as_narrow_as_its_narrowest_field_at_any_depth(spec: EventSpec) -> None:
    ranks = [
        Classification(field["x-classification"]).rank
        for path, field in _places(_checked_in(spec))
        if not path.endswith("[]")
    ]

    assert spec.classification.rank == max(ranks)
    assert all(classification_of(field) is not None for field in spec.model.model_fields.values())


@pytest.mark.parametrize("spec", EVENTS, ids=_id)
def test_no_field_could_hold_free_text_or_a_person(spec: EventSpec) -> None:
    open_texts = {
        path
        for path, field in _places(_checked_in(spec))
        for form in [field, *field.get("anyOf", [])]
        if form.get("type") == "string"
        and not form.keys() & {"enum", "const", "format"}
        and form.get("pattern", r"^[^\r\n]+$") == r"^[^\r\n]+$"
    }
    words = {word for path, _ in _places(_checked_in(spec)) for word in path.split(".")[-1].rstrip("[]").split("_")}

    assert open_texts <= WORDED_BY_THE_SYSTEM.keys()
    assert not words & FORBIDDEN_WORDS


def test_the_list_of_texts_worded_by_the_system_names_only_fields_there_are() -> None:
    assert {path for spec in EVENTS for path, _ in _places(_checked_in(spec))} >= WORDED_BY_THE_SYSTEM.keys()


def test_there_is_an_example_of_every_event() -> None:
    assert [example.spec for example in EXAMPLES] == list(EVENTS)
    assert all("fictional" in example.payload()["provider"]["name"] for example in EXAMPLES)  # type: ignore[index]


@pytest.mark.parametrize("example", EXAMPLES, ids=_id)
def test_an_example_fits_its_schema_and_is_read_back_as_it_was(example: Example) -> None:
    _validator(example.spec).validate(json.loads(example.value()))

    assert example.spec.model.model_validate_json(example.value()) == example.data


@pytest.mark.parametrize("example", EXAMPLES, ids=_id)
def test_schema_and_model_both_tolerate_a_field_added_later(example: Example) -> None:
    payload = example.payload() | {"added_later": {"deep": [1]}}

    _validator(example.spec).validate(payload)
    assert example.spec.model.model_validate_json(json.dumps(payload)) == example.data


def _spoilt(example: Example) -> Iterator[tuple[str, dict[str, Any]]]:
    """The example with each required field missing, and with each field that has a form out of it."""
    schema = _checked_in(example.spec)
    for name in schema["required"]:
        payload: dict[str, Any] = deepcopy(example.payload())
        del payload[name]
        yield f"{name} missing", payload
    for name, field in schema["properties"].items():
        # A list or an object fits no scalar field, and a number fits neither.
        wrong = 7 if field.get("type") in ("array", "object") else {"wrong": [True]}
        yield f"{name} wrong", {**deepcopy(example.payload()), name: wrong}
        if field.keys() & {"enum", "pattern", "format"} and field.get("type") == "string":
            yield f"{name} malformed", {**deepcopy(example.payload()), name: "§\n§"}
        for bound, step in (("minimum", -1), ("maximum", 1)):
            if bound in field:
                yield f"{name} beyond its {bound}", {**deepcopy(example.payload()), name: field[bound] + step}


@pytest.mark.parametrize("example", EXAMPLES, ids=_id)
def test_schema_and_model_refuse_the_same_spoilt_data(example: Example) -> None:
    validator = _validator(example.spec)
    for what, payload in _spoilt(example):
        assert not validator.is_valid(payload), what
        with pytest.raises(ValidationError):
            example.spec.model.model_validate_json(json.dumps(payload))


def test_the_examples_number_each_source_of_a_topic_without_a_gap() -> None:
    numbers: dict[tuple[str, str], list[int]] = {}
    for example in EXAMPLES:
        numbers.setdefault((example.spec.topic, example.envelope.source), []).append(example.envelope.sequence)

    assert all(sorted(found) == list(range(1, len(found) + 1)) for found in numbers.values())
    assert {example.envelope.key for example in EXAMPLES} == {PROVIDER.ods_code}
