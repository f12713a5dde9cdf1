"""Putting survey exports in: a million rows at a time, each result once."""

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Protocol

from services.intelligence.commands.after_import import after_import
from services.intelligence.domain import surveys as survey_rows
from services.intelligence.store import surveys
from services.intelligence.store.surveys import SurveyTable
from shared.imports.columns import Checked, copied
from shared.imports.mapping import Mapping
from shared.imports.pieces import Piece
from shared.imports.problems import RowProblem
from shared.imports.reading import ROWS
from shared.imports.running import Taken, lines_of
from shared.messaging.unit_of_work import UnitOfWork
from shared.persistence.import_files import ImportFile

#: Rows of one transaction: what is done again at most when a process is killed.
_STEP = 50_000
#: New rows from which on what the planner knew of the table is no longer true.
_MANY = 5_000


class _Columns(Protocol):
    names: tuple[str, ...]

    def check(self, piece: Piece, mapping: Mapping) -> Checked:
        """The good rows of a piece, and what is wrong with the others."""
        ...


@dataclass(frozen=True, slots=True)
class Prepared:
    """Rows of a piece, ready to be stored."""

    rows: int
    #: In COPY's text format.
    data: bytes
    years: frozenset[tuple[str, int]]
    problems: list[RowProblem]


class SurveySource:
    """Survey results or answers. What is wrong with a row of theirs stays wrong, whatever else comes in."""

    tries_again = False
    piece_records = ROWS
    step_records = _STEP

    def __init__(
        self, mapping: Mapping, columns: _Columns, table: SurveyTable, required: Sequence[Collection[str]]
    ) -> None:
        self.mapping = mapping
        self.required = required
        self._columns = columns
        self._table = table

    def prepare(self, piece: Piece, file: ImportFile) -> Prepared:
        """Check the rows of a piece and write them as COPY wants them."""
        survey_rows.with_report(piece, self.mapping)
        checked = self._columns.check(piece, self.mapping)
        columns = checked.columns
        return Prepared(
            rows=len(checked.lines),
            data=copied(
                (repeat(str(file.id)), map(str, checked.lines), *(columns[name] for name in self._columns.names))
            ),
            years=frozenset((r, int(y)) for r, y in set(zip(columns["report_type"], columns["year"], strict=True))),
            problems=[replace(p, column=piece.names.get(p.column, p.column)) for p in checked.problems],
        )

    async def take(self, work: UnitOfWork, file: ImportFile, pieces: AsyncIterator[Prepared]) -> Taken:
        """Put the rows of one step in. They do not count before the file is finished."""
        taken = Taken()
        years: set[tuple[str, int]] = set()

        async def data() -> AsyncGenerator[bytes]:
            async for piece in pieces:
                taken.added += piece.rows
                taken.problems += piece.problems
                years.update(piece.years)
                yield piece.data

        await surveys.copy_in(work.connection, self._table, self._columns.names, data())
        await surveys.add_years(work.connection, file.id, years)
        taken.refused = lines_of(taken.problems)
        return taken

    async def finish(self, work: UnitOfWork, file: ImportFile) -> Taken:
        """See to it that there is one row for each result; what an earlier file said otherwise is corrected."""
        connection, table = work.connection, self._table
        known = corrected = 0
        async with surveys.alone(connection):
            if file.added > _MANY:
                await surveys.analyze(connection, table)
            repeated = await surveys.leave_out_repeated(connection, table, file.id)
            if await surveys.has_rivals(connection, file.id):
                known = await surveys.leave_out_known(connection, table, file.id)
                corrected = await surveys.correct(connection, table, file.id)
        await after_import(work, file.source, file.id)
        return Taken(
            added=-len(repeated) - known - corrected,
            updated=corrected,
            unchanged=known,
            refused=len(repeated),
            problems=[RowProblem(line, "", f"is about the same as line {first}") for line, first in repeated],
        )


def results(mapping: Mapping) -> SurveySource:
    """A source of survey results."""
    return SurveySource(mapping, survey_rows.ResultColumns(), surveys.RESULTS, survey_rows.RESULT_NEEDS)


def responses(mapping: Mapping) -> SurveySource:
    """A source of answers to survey questions."""
    return SurveySource(mapping, survey_rows.ResponseColumns(), surveys.RESPONSES, survey_rows.RESPONSE_NEEDS)
