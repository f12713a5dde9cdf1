"""`qc contracts`: the generated schemas, and whether a change of the contracts breaks what was released."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.local.errors import UserError
from shared.contracts import generated_files, ledger
from shared.contracts.registry import EVENTS
from shared.contracts.schemas import published

if TYPE_CHECKING:
    from shared.contracts.compatibility import Breach

app = typer.Typer(
    help="Export the schemas of the events, and hold changes against what was released.",
    no_args_is_help=True,
)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
GeneratedFolder = Annotated[
    Path, typer.Option("--folder", help="Folder of the generated files.", show_default="shared/contracts/generated")
]
ReleasedFolder = Annotated[
    Path, typer.Option("--ledger", help="Folder of the released schemas.", show_default="shared/contracts/released")
]

_REMEDY = (
    "Released data stays in its topic for ever, so it has to stay readable. Undo the change, or make it a new "
    "major version: register the event again with `major` one higher and a model of its own, publish both until "
    "every reader follows the new one, and leave the old one in the registry."
)


@app.command(short_help="Write the JSON Schemas and the AsyncAPI document.")
def export(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 if a file is not up to date.")
    ] = False,
    as_json: AsJson = False,
    folder: GeneratedFolder = generated_files.GENERATED,
) -> None:
    """Write the JSON Schema of every event and the AsyncAPI document, and say which files changed."""
    changed = generated_files.stale(folder)
    if not check:
        _writing(folder, lambda: generated_files.bring_up_to_date(changed, folder))
    if as_json:
        typer.echo(json.dumps({"changed": changed, "written": bool(changed) and not check}))
    else:
        for name in changed:
            typer.echo(f"{'stale' if check else 'written'}  {name}")
        if not changed:
            typer.echo("All generated files are up to date.")
        elif check:
            typer.echo("Run `qc contracts export` and commit what it writes.")
    if check and changed:
        raise typer.Exit(1)


@app.command(short_help="Hold the events against every released revision.")
def check(as_json: AsJson = False, released: ReleasedFolder = ledger.RELEASED) -> None:
    """Hold the events against every released revision: exit with 1 if a reader or a writer of any would break.

    Names the event, the field, the reason and the direction: backward means that new readers fail on data already
    written, forward that released readers fail on new data.
    """
    revisions = _read(released)
    if not revisions:
        raise UserError(f"There are no released contracts in {released}: begin with `qc contracts release`.")
    breaches = _breaches(revisions)
    unreleased = _unreleased(revisions)
    if as_json:
        found = [asdict(breach) for breach in breaches]
        typer.echo(json.dumps({"compatible": not breaches, "breaches": found, "unreleased": unreleased}))
    else:
        _tell(breaches)
        if not breaches:
            typer.echo(f"{len(EVENTS)} events fit all {sum(map(len, revisions.values()))} released revisions.")
            if unreleased:
                typer.echo(f"Not released yet: {', '.join(unreleased)}.")
    if breaches:
        raise typer.Exit(1)


@app.command(short_help="Add the schemas that changed to the ledger.")
def release(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing; say what would be released.")] = False,
    released: ReleasedFolder = ledger.RELEASED,
) -> None:
    """Add the schemas that changed to the ledger of released revisions; exit with 1 if one breaks what is there.

    The ledger is only ever added to: what is released binds every later change.
    """
    revisions = _read(released)
    if breaches := _breaches(revisions):
        _tell(breaches)
        raise typer.Exit(1)
    unreleased = _unreleased(revisions)
    for spec in EVENTS:
        if spec.schema_name not in unreleased:
            continue
        number = len(revisions.get(spec.schema_name, [])) + 1
        if not dry_run:
            _writing(released, lambda spec=spec: ledger.append(spec.schema_name, published(spec), released))
        typer.echo(f"{'would release' if dry_run else 'released'}  {spec.schema_name} revision {number}")
    if not unreleased:
        typer.echo("Nothing to release: every event is as it was last released.")


def _read(folder: Path) -> dict[str, list[ledger.Revision]]:
    try:
        return ledger.read(folder)
    except ledger.LedgerDamaged as error:
        raise UserError(f"The ledger of released contracts in {folder} is damaged: {error}.") from error


def _breaches(revisions: dict[str, list[ledger.Revision]]) -> "list[Breach]":
    try:
        from shared.contracts.compatibility import check as find_breaches
    except ImportError as error:
        if error.name != "jsoncompat":
            raise
        raise UserError(
            "Checking contracts needs the development dependency jsoncompat, which is not installed: run `make setup`."
        ) from error
    return find_breaches(EVENTS, revisions)


def _unreleased(revisions: dict[str, list[ledger.Revision]]) -> list[str]:
    """Events whose published schema differs from their last released revision, or that have none."""
    last = {event: found[-1].schema for event, found in revisions.items() if found}
    return [spec.schema_name for spec in EVENTS if last.get(spec.schema_name) != published(spec)]


def _tell(breaches: "list[Breach]") -> None:
    for breach in breaches:
        numbers = ", ".join(map(str, breach.revisions))
        typer.echo(f"{breach.event}  {breach.field}  {breach.reason}")
        typer.echo(f"    breaks {breach.direction.value}, against revision {numbers}")
    if breaches:
        typer.echo(f"\n{_REMEDY}")


def _writing(folder: Path, write: Callable[[], object]) -> None:
    try:
        write()
    except OSError as error:
        raise UserError(f"Cannot write to {folder}: {error.strerror or error}.") from error
