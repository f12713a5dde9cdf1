"""Sources of some thousand rows, each checked as a model and put in by a command."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from pydantic import BaseModel

from shared.imports.mapping import Mapping
from shared.imports.pieces import Piece
from shared.imports.problems import RowProblem
from shared.imports.rows import ReadRow, models
from shared.imports.running import Taken, lines_of
from shared.messaging.unit_of_work import UnitOfWork
from shared.persistence import import_files
from shared.persistence.import_files import ImportFile

R = TypeVar("R", bound=BaseModel)


@dataclass(slots=True)
class CheckedRows(Generic[R]):
    """The good rows of a piece, and what is wrong with the others."""

    good: list[ReadRow[R]]
    problems: list[RowProblem]
    names: "dict[str, str]"


class RowSource(ABC, Generic[R]):
    """A source whose rows are models. What refuses a row may be put right, so such rows are tried again."""

    tries_again = True
    #: One step is one transaction, and its rows are locked until it ends.
    piece_records = 100
    step_records = 1

    #: The field by which a row is known; a second row with the same one is refused.
    key: str | None = None

    def __init__(self, mapping: Mapping, model: type[R], required: Sequence[Collection[str]], by: str) -> None:
        """``by`` is the opaque id of who sent the file."""
        self.by = by
        self.mapping = mapping
        self.required = required
        self._model = model
        self._first: dict[str, int] = {}

    def prepare(self, piece: Piece, file: ImportFile) -> CheckedRows[R]:
        """Check the rows of a piece."""
        good, problems = models(piece, self._model, self.mapping)
        if self.key is not None:
            good, repeated = self._once(good, self.key)
            problems += repeated
        return CheckedRows(good, problems, dict(piece.names))

    async def take(self, work: UnitOfWork, file: ImportFile, pieces: AsyncIterator[CheckedRows[R]]) -> Taken:
        """Put the rows of one step in."""
        whole = Taken()
        async for piece in pieces:
            before: set[int] = set()
            good, problems = piece.good, piece.problems
            if file.passes > 1:
                lines = {row.line for row in good} | {problem.line for problem in problems}
                before = await import_files.refused_among(work.connection, file.id, lines)
                await import_files.forget_problems(work.connection, file.id, before)
                good = [row for row in good if row.line in before]
                problems = [problem for problem in problems if problem.line in before]
            taken = await self.take_rows(work, file, good)
            problems = [*problems, *taken.problems]
            whole.added += taken.added
            whole.updated += taken.updated
            whole.unchanged += taken.unchanged
            whole.refused += lines_of(problems) - len(before)
            whole.problems += [replace(p, column=piece.names.get(p.column, p.column)) for p in problems]
        return whole

    def _once(self, rows: Sequence[ReadRow[R]], key: str) -> tuple[list[ReadRow[R]], list[RowProblem]]:
        """The first row of each key, and a problem for every later one."""
        kept: list[ReadRow[R]] = []
        problems: list[RowProblem] = []
        for read in rows:
            value = str(getattr(read.row, key))
            first = self._first.setdefault(value, read.line)
            if first == read.line:
                kept.append(read)
            else:
                problems.append(RowProblem(read.line, key, f"is the same as in line {first}: give each thing once"))
        return kept, problems

    @abstractmethod
    async def take_rows(self, work: UnitOfWork, file: ImportFile, rows: Sequence[ReadRow[R]]) -> Taken:
        """Put good rows in; what is refused nevertheless is among the problems."""

    async def finish(self, work: UnitOfWork, file: ImportFile) -> Taken:
        """All rows are in."""
        return Taken()
