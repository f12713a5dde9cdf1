"""`qc flags`: what stands out in a file of survey results, by the rule that the services apply."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from deploy.cli import printing
from deploy.local.errors import UserError
from services.intelligence.domain.flag_rule import FlagRule, UnknownReport
from services.intelligence.domain.flag_table import Flags, FlagTable
from services.intelligence.domain.survey_file import COLUMNS, SurveyFile
from services.intelligence.policies import flag_rule
from shared.contracts.intelligence import SurveyFlag
from shared.imports.columns import Checked
from shared.imports.mapping import Mapping, Wanted
from shared.imports.problems import FileRefused, RowProblem
from shared.imports.reading import pieces

File = Annotated[
    Path, typer.Argument(help="A table with the columns provider,site,specialty,indicator,year,mean,sd,n.")
]
Report = Annotated[
    str | None,
    typer.Option("--report", help="Which rows are compared: the report type, nts (the default) or nts-provider."),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object for each row, in the order of the file.")]

_MAPPING = Mapping(
    source="flags",
    title="survey results",
    takes="survey_results",
    columns={name: [name] for name in COLUMNS},
)

#: A row as an object; the values are put in as JSON.
_OBJECT = "{" + ", ".join(f'"{name}": %s' for name in COLUMNS) + ', "flag": "%s", "triple_red": %s}\n'

#: Told how far into the file one is, in bytes.
_Tell = Callable[[int], None]


def flags(file: File, report: Report = None, as_json: AsJson = False) -> None:
    """Flag the rows of a file of survey results against each other, and name the rows that cannot be.

    Exit code 0 if every row was good, 1 if some were not or two are of the same result, 2 if the file is no such file.
    """
    rule = flag_rule()
    try:
        table = FlagTable(rule, report)
    except UnknownReport as error:
        raise UserError(f"{error}.") from error
    problems: list[RowProblem] = []
    lines = array("I")
    # Read twice, first to compare and then to print, so that no more than numbers has to be kept.
    with _opened(file) as opened, _progress(opened) as stages:
        reader = SurveyFile(rule.least_respondents)
        for checked in _checked(file, opened, reader, stages("reading")):
            problems += checked.problems
            lines.extend(checked.lines)
            table.add(reader.results(checked))
        stages("comparing")
        found = table.flags()
        # Which of the two is right is not for us to guess.
        problems += [
            RowProblem(lines[row], "", f"is about the same as line {lines[first]}; both count: remove one")
            for row, first in found.repeated
        ]
        rows = _with_flags(file, _checked(file, opened, reader, stages("flagging")), found)
        if as_json:
            _write(rows)
        else:
            _show(rows, rule)
    for problem in sorted(problems, key=lambda problem: problem.line):
        column = f", column {problem.column}" if problem.column else ""
        typer.echo(f"{file}: line {problem.line}{column}: {problem.reason}", err=True)
    if problems:
        raise typer.Exit(1)


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    """The file, or a copy of what can be read only once, such as a pipe."""
    with ExitStack() as stack:
        try:
            opened: BinaryIO = stack.enter_context(file.open("rb"))
            if not opened.seekable():
                copy = stack.enter_context(tempfile.TemporaryFile())
                shutil.copyfileobj(opened, copy)
                opened = copy
        except OSError as error:
            raise _unreadable(file, error) from error
        yield opened


def _checked(file: Path, opened: BinaryIO, reader: SurveyFile, tell: _Tell) -> Iterator[Checked]:
    """The good rows of the file, and what is wrong with the others."""
    try:
        for piece in pieces(opened, Wanted(_MAPPING, [{name} for name in COLUMNS])):
            yield reader.check(piece, _MAPPING)
            tell(piece.position)
    except OSError as error:
        raise _unreadable(file, error) from error
    except FileRefused as error:
        raise UserError(f"{file} is no file of survey results: {error}.") from error


def _unreadable(file: Path, error: OSError) -> UserError:
    return UserError(f"{file} can't be read: {error.strerror}.")


@dataclass(frozen=True, slots=True)
class _Rows:
    """Some rows with their flags, by column."""

    #: Texts, numbers as JSON writes them; empty for none.
    columns: Sequence[Sequence[str]]
    flags: Sequence[SurveyFlag]
    triple_reds: Sequence[bool]


def _with_flags(file: Path, read: Iterator[Checked], found: Flags) -> Iterator[_Rows]:
    first = 0
    for checked in read:
        count = len(checked.lines)
        if first + count > len(found):
            break
        columns = [checked.columns[name] for name in COLUMNS]
        yield _Rows(columns, found.flags(first, count), found.triple_reds(first, count))
        first += count
    else:
        if first == len(found):
            return
    raise UserError(f"{file} was changed while it was read: run the same command again.")


def _write(read: Iterator[_Rows]) -> None:
    """One JSON object for each row."""
    for rows in read:
        names, numbers = rows.columns[:4], rows.columns[4:]
        sys.stdout.writelines(
            map(
                _OBJECT.__mod__,
                zip(
                    *(map(_in_json, cells) for cells in names),
                    *([cell or "null" for cell in cells] for cells in numbers),
                    rows.flags,
                    ["true" if triple else "false" for triple in rows.triple_reds],
                    strict=True,
                ),
            )
        )


@lru_cache(maxsize=20_000)
def _in_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _show(read: Iterator[_Rows], rule: FlagRule) -> None:
    """Tables for people."""
    columns = ("provider", "site", "specialty", "indicator", "year", "mean", "n", "flag", "triple red")
    shown = False
    for rows in read:
        cells = zip(*rows.columns, rows.flags, rows.triple_reds, strict=True)
        if rows.flags:
            printing.table(columns, (_cells(rule, *one) for one in cells), nothing="")
            shown = True
    if not shown:
        typer.echo("There are no rows.")


def _cells(
    rule: FlagRule,
    *row: *tuple[str, str, str, str, str, str, str, str, SurveyFlag, bool],
) -> tuple[object, ...]:
    provider, site, specialty, indicator, year, mean, _, n, flag, triple = row
    # People hand a table on: of so few respondents it shows neither score nor number.
    few = 0 < int(n) < rule.least_respondents
    shown_mean, shown_n = (None, f"under {rule.least_respondents}") if few else (mean or None, n)
    if n == "0":
        shown_mean = None
    return provider, site, specialty, indicator, year, shown_mean, shown_n, flag, "yes" if triple else ""


@contextmanager
def _progress(opened: BinaryIO) -> Iterator[Callable[[str], _Tell]]:
    """Begins a stage by its name; shown on standard error where that is a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    size = opened.seek(0, os.SEEK_END)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=size or None)

        def begin(stage: str) -> _Tell:
            progress.reset(task, description=stage, total=size or None)
            return lambda position: progress.update(task, completed=position)

        yield begin
