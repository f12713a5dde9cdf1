"""The ledger of what was released: it only grows, and damage is named."""

from typing import Any

import pytest

from shared.contracts.concerns import ConcernRaised
from shared.contracts.ledger import LedgerDamaged, append, read
from shared.contracts.registry import by_model
from shared.contracts.schemas import published


def test_the_ledger_numbers_revisions_and_never_overwrites_one(tmp_path: Any) -> None:
    schema = published(by_model(ConcernRaised))

    paths = [append("concern.raised.v1", schema, tmp_path) for _ in range(2)]

    assert [path.relative_to(tmp_path).as_posix() for path in paths] == [
        "concern.raised.v1/0001.json",
        "concern.raised.v1/0002.json",
    ]
    assert [revision.schema for revision in read(tmp_path)["concern.raised.v1"]] == [schema, schema]


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("0003.json", "{}", "look at 0002.json, 0003.json"),
        ("0002.json", "{", "concern.raised.v1/0002.json is no JSON"),
        ("0002.json", "[]", "concern.raised.v1/0002.json is no JSON Schema"),
        ("draft.json", "{}", "look at 0002.json, draft.json"),
    ],
)
def test_a_damaged_ledger_is_named(tmp_path: Any, file: str, content: str, message: str) -> None:
    append("concern.raised.v1", published(by_model(ConcernRaised)), tmp_path)
    (tmp_path / "concern.raised.v1" / file).write_text(content)

    with pytest.raises(LedgerDamaged, match=message):
        read(tmp_path)
