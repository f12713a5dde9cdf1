"""`qc flags`: what stands out in a file of survey results, by the rule that the services apply."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.cli import printing
from deploy.local.errors import UserError
from services.intelligence.domain.flag_rule import FlagRule, UnknownReport
from services.intelligence.domain.flags import Flagged, IncompleteResult, Result, flags_of, score_of
from services.intelligence.domain.survey_file import SurveyFileRow
from services.intelligence.policies import flag_rule
from shared.imports.mapping import Mapping, Wanted
from shared.imports.problems import FileRefused, RowProblem
from shared.imports.reading import pieces
from shared.imports.rows import models

File = Annotated[
    Path, typer.Argument(help="A table with the columns provider,site,specialty,indicator,year,mean,sd,n.")
]
Report = Annotated[
    str | None,
    typer.Option("--report", help="Which rows are compared: the report type; the rule's default if left out."),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object for each row, in the order of the file.")]

_MAPPING = Mapping(
    source="flags",
    title="survey results",
    takes="survey_results",
    columns={name: [name] for name in SurveyFileRow.model_fields},
)


def flags(file: File, report: Report = None, as_json: AsJson = False) -> None:
    """Flag the rows of a file of survey results against each other, and name the rows that cannot be.

    Exit code 0 if every row was good, 1 if some were not or two are of the same result, 2 if the file is no such file.
    """
    rule = flag_rule()
    results, problems = _read(file, rule)
    try:
        flagged = flags_of(results, rule, report)
    except UnknownReport as error:
        raise UserError(f"{error}.") from error
    if as_json:
        sys.stdout.writelines(f"{json.dumps(_object(one), ensure_ascii=False)}\n" for one in flagged)
    else:
        _table(flagged, rule)
    for problem in sorted(problems, key=lambda problem: problem.line):
        column = f", column {problem.column}" if problem.column else ""
        typer.echo(f"{file}: line {problem.line}{column}: {problem.reason}", err=True)
    if problems:
        raise typer.Exit(1)


def _read(file: Path, rule: FlagRule) -> tuple[list[Result], list[RowProblem]]:
    """The results that have what their flag takes, and what is wrong with the other rows."""
    results: list[Result] = []
    problems: list[RowProblem] = []
    first: dict[tuple[object, ...], int] = {}
    for line, result in _rows(file, problems):
        try:
            score_of(result, rule)
        except IncompleteResult as error:
            problems.append(RowProblem(line, error.field, str(error)))
            continue
        results.append(result)
        earlier = first.setdefault((*result.series, result.year), line)
        if earlier != line:
            # Which of the two is right is not for us to guess.
            problems.append(RowProblem(line, "", f"is about the same as line {earlier}; both count: remove one"))
    return results, problems


def _rows(file: Path, problems: list[RowProblem]) -> Iterator[tuple[int, Result]]:
    """The good rows with their lines; what is wrong with others is added to the problems."""
    try:
        with file.open("rb") as opened:
            for piece in pieces(opened, Wanted(_MAPPING, [{name} for name in SurveyFileRow.model_fields])):
                good, refused = models(piece, SurveyFileRow, _MAPPING)
                problems += refused
                yield from ((read.line, read.row.result) for read in good)
    except OSError as error:
        raise UserError(f"{file} can't be read: {error.strerror}.") from error
    except FileRefused as error:
        raise UserError(f"{file} is no file of survey results: {error}.") from error


def _object(flagged: Flagged) -> dict[str, Any]:
    row = flagged.result
    return {
        "provider": row.provider,
        "site": row.site,
        "specialty": row.specialty,
        "indicator": row.indicator,
        "year": row.year,
        "mean": _number(row.mean),
        "sd": _number(row.sd),
        "n": row.n,
        "flag": flagged.flag.value,
        "triple_red": flagged.triple_red,
    }


def _number(value: Decimal | None) -> int | float | None:
    if value is None:
        return None
    return int(value) if value == value.to_integral_value() else float(value)


def _table(flagged: list[Flagged], rule: FlagRule) -> None:
    columns = ("provider", "site", "specialty", "indicator", "year", "mean", "n", "flag", "triple red")
    printing.table(columns, (_cells(one, rule) for one in flagged), nothing="There are no rows.")


def _cells(one: Flagged, rule: FlagRule) -> tuple[object, ...]:
    # People hand a table on: of so few respondents it shows neither score nor number.
    row, few = one.result, 0 < one.result.n < rule.least_respondents
    mean, n = (None, f"under {rule.least_respondents}") if few else (row.mean if row.n else None, row.n)
    triple = "yes" if one.triple_red else ""
    return row.provider, row.site, row.specialty, row.indicator, row.year, mean, n, one.flag.value, triple
