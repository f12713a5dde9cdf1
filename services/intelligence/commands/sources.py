"""The sources whose files are taken in: what each is, is said by a mapping file."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from services.intelligence.commands import survey_source
from services.intelligence.commands.imports import ConcernSource, ProviderSource
from services.intelligence.commands.item_source import ItemSource
from services.intelligence.domain.register import ConcernRow, ProviderRow
from shared.imports.mapping import Mapping as ColumnMapping
from shared.imports.running import Source

_SHIPPED = Path(__file__).parents[1] / "sources"


class BadMapping(ValueError):
    """A mapping file cannot be used; the message names it and says why."""


def _register(model: Any) -> list[set[str]]:
    return [{name} for name in model.model_fields]


#: What rows can be, and what is done with them for whoever sent the file.
_TAKES: Mapping[str, Callable[[ColumnMapping, str], Source[Any]]] = {
    "providers": lambda mapping, by: ProviderSource(mapping, ProviderRow, _register(ProviderRow), by),
    "concerns": lambda mapping, by: ConcernSource(mapping, ConcernRow, _register(ConcernRow), by),
    "items": ItemSource,
    "survey_results": lambda mapping, _: survey_source.results(mapping),
    "survey_responses": lambda mapping, _: survey_source.responses(mapping),
}


@lru_cache(maxsize=4)
def mappings(folder: Path | None) -> Mapping[str, ColumnMapping]:
    """The mappings that ship, and those of an office's own folder, which take precedence, by the source's name.

    Raises BadMapping.
    """
    found: dict[str, ColumnMapping] = {}
    for place in (_SHIPPED, folder):
        for path in sorted(place.glob("*.json")) if place else ():
            mapping = _read(path)
            found[mapping.source] = mapping
    return found


def source(mapping: ColumnMapping, by: str) -> Source[Any]:
    """What takes one file in that ``by`` sent."""
    return _TAKES[mapping.takes](mapping, by)


def _read(path: Path) -> ColumnMapping:
    try:
        mapping = ColumnMapping.model_validate_json(path.read_bytes())
    except (ValidationError, OSError) as error:
        raise BadMapping(f"{path.name} is no mapping of columns: {error}") from error
    if mapping.takes not in _TAKES:
        raise BadMapping(f"{path.name} takes {mapping.takes!r}; there are {', '.join(_TAKES)}")
    return mapping
