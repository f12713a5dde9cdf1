"""The files generated from the registry: what they should hold, and bringing them up to date."""

from collections.abc import Iterable
from pathlib import Path

from shared.contracts import asyncapi
from shared.contracts.registry import EVENTS
from shared.contracts.schemas import published, render

GENERATED = Path(__file__).parent / "generated"


def expected() -> dict[str, str]:
    """The text of every generated file, by its path within the folder."""
    schemas = {f"schemas/{spec.schema_name}.json": render(published(spec)) for spec in EVENTS}
    return {"asyncapi.json": render(asyncapi.document()), **schemas}


def stale(folder: Path = GENERATED) -> list[str]:
    """Paths within the folder that are missing, hold something else, or are no longer generated."""
    wanted = expected()
    present = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.json")}
    differing = [
        name
        for name, text in wanted.items()
        if name not in present or present[name].read_text(encoding="utf-8") != text
    ]
    return sorted([*differing, *(present.keys() - wanted.keys())])


def bring_up_to_date(names: Iterable[str], folder: Path = GENERATED) -> None:
    """Write the named files, and delete those that are no longer generated."""
    wanted = expected()
    for name in names:
        path = folder / name
        if name in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[name], encoding="utf-8")
        else:
            path.unlink()
