"""Edits of a schema itself: what says the same in other words passes, and what readers rely on may not change."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from shared.contracts.compatibility import Direction, compare
from shared.contracts.concerns import ConcernRaised
from shared.contracts.registry import by_model
from shared.contracts.schemas import published

BACKWARD, BOTH = Direction.BACKWARD, Direction.BOTH


def _written_as_type_list(schema: Any) -> None:
    schema["properties"]["source_date"] |= {"type": ["string", "null"], "format": "date"}
    del schema["properties"]["source_date"]["anyOf"]


def _null_first(schema: Any) -> None:
    schema["properties"]["site_code"]["anyOf"].reverse()


def _required_reordered(schema: Any) -> None:
    schema["required"].reverse()


def _commented(schema: Any) -> None:
    schema["$comment"] = "Reviewed."
    schema["properties"]["provider"]["properties"]["name"]["x-display"] = "bold"


@pytest.mark.parametrize("edit", [_written_as_type_list, _null_first, _required_reordered, _commented])
def test_another_way_to_write_the_same_schema_passes(edit: Callable[[Any], None]) -> None:
    old = published(by_model(ConcernRaised))
    new = deepcopy(old)
    edit(new)

    assert new != old
    assert compare("concern.raised.v1", old, new) == []
    assert compare("concern.raised.v1", new, old) == []


def _without_classification(schema: Any) -> None:
    del schema["properties"]["programme"]["x-classification"]


def _other_key(schema: Any) -> None:
    schema["x-quality-cycle"]["key"] = "concern_id"


def _more_partitions(schema: Any) -> None:
    schema["x-quality-cycle"]["partitions"] = 24


def _other_id(schema: Any) -> None:
    schema["$id"] = "urn:elsewhere"


def _in_step(schema: Any) -> None:
    schema["properties"]["standards"]["uniqueItems"] = True


@pytest.mark.parametrize(
    ("edit", "field", "reason", "direction"),
    [
        (_without_classification, "programme", "lost its classification, which was partner", BACKWARD),
        (_other_key, "(key)", "changed from provider.ods_code to concern_id", BOTH),
        (_more_partitions, "(partitions)", "changed from 12 to 24", BOTH),
        (_other_id, "(dataschema)", "changed from urn:quality-cycle:schema:concern.raised.v1", BOTH),
        (_in_step, "standards", "its uniqueItems changed from none to True", BACKWARD),
    ],
)
def test_a_breaking_edit_of_the_schema_is_refused(
    edit: Callable[[Any], None], field: str, reason: str, direction: Direction
) -> None:
    old = published(by_model(ConcernRaised))
    new = deepcopy(old)
    edit(new)

    [breach] = compare("concern.raised.v1", old, new)

    assert (breach.field, breach.direction) == (field, direction)
    assert reason in breach.reason
