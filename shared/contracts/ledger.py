"""The ledger of released contracts: `released/<schema name>/0001.json`, `0002.json` … Only ever added to.

What is written there has been written to topics that are kept for ever, so it stays readable for ever.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from shared.contracts.schemas import JsonObject, render

RELEASED = Path(__file__).parent / "released"


class LedgerDamaged(ValueError):
    """The ledger was not only added to: a revision is missing or cannot be read. The message says which."""


@dataclass(frozen=True, slots=True)
class Revision:
    """A released form of one major version of an event."""

    #: `<name>.v<major>`, as in the name of the schema.
    event: str
    #: 1, 2, 3 … within the event.
    number: int
    schema: JsonObject


def read(folder: Path = RELEASED) -> dict[str, list[Revision]]:
    """Every released revision by event, oldest first. Raises `LedgerDamaged`; an absent folder is empty."""
    if not folder.is_dir():
        return {}
    return {entry.name: _revisions(entry) for entry in sorted(folder.iterdir()) if entry.is_dir()}


def append(event: str, schema: JsonObject, folder: Path = RELEASED) -> Path:
    """Write the next revision of an event and return its file. Never overwrites: raises FileExistsError."""
    number = len(read(folder).get(event, [])) + 1
    path = folder / event / _file_name(number)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8") as file:
        file.write(render(schema))
    return path


def _file_name(number: int) -> str:
    return f"{number:04}.json"


def _revisions(folder: Path) -> list[Revision]:
    names = {path.name for path in folder.iterdir()}
    expected = [_file_name(number) for number in range(1, len(names) + 1)]
    if unexpected := sorted(names.symmetric_difference(expected)):
        raise LedgerDamaged(
            f"{folder.name}: revisions must be numbered 0001.json, 0002.json … without a gap; "
            f"look at {', '.join(unexpected)} and restore what was released"
        )
    return [Revision(folder.name, number, _schema(folder / name)) for number, name in enumerate(expected, start=1)]


def _schema(path: Path) -> JsonObject:
    try:
        schema = cast("object", json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise LedgerDamaged(f"{path.parent.name}/{path.name} is no JSON: {error}") from error
    if not isinstance(schema, dict):
        raise LedgerDamaged(f"{path.parent.name}/{path.name} is no JSON Schema: not an object")
    return cast("JsonObject", schema)
