"""Taking a file in: once, in steps, in constant memory, and on from where it was broken off.

A file is known by the digest of its bytes, and a step is one transaction that also says how far the file now is. So a
process that is killed has done whole steps, and who sends the file again goes on with the next. While one step is
being saved, a thread reads and checks the rows of the next.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Generic, Protocol, TypeVar

from shared.imports import reading
from shared.imports.mapping import Mapping, Wanted
from shared.imports.pieces import Piece
from shared.imports.problems import FileRefused, RowProblem
from shared.messaging import wake
from shared.messaging.unit_of_work import UnitOfWork
from shared.persistence import history, import_files
from shared.persistence.history import Change
from shared.persistence.import_files import ImportFile
from shared.persistence.pool import Connection, Pool

#: How long a file waits for another import of the same one, in seconds, and how often it asks.
_PATIENCE_S = 60
_ASK_S = 0.1

P = TypeVar("P")


class BeingTakenIn(Exception):
    """The same file is being taken in by somebody else, and that takes longer than one waits."""


@dataclass(slots=True)
class Taken:
    """What came of some rows."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    #: Rows refused, less those that were refused before.
    refused: int = 0
    problems: list[RowProblem] = field(default_factory=list[RowProblem])


class Source(Protocol[P]):
    """What is done with the rows of one source."""

    mapping: Mapping
    #: Fields without which no row can be taken; each a set of which one is enough.
    required: Sequence[Collection[str]]
    #: Records read at a time.
    piece_records: int
    #: Records of a step, at least.
    step_records: int
    #: Whether rows refused once may be taken later, as what they rest on was put right.
    tries_again: bool

    def prepare(self, piece: Piece, file: ImportFile) -> P:
        """Check the rows of a piece. Runs in a thread, and touches nothing but the piece."""
        ...

    async def take(self, work: UnitOfWork, file: ImportFile, pieces: AsyncIterator[P]) -> Taken:
        """Put the rows of one step in."""
        ...

    async def finish(self, work: UnitOfWork, file: ImportFile) -> Taken:
        """All rows are in, and count from now on: do what needs all of them."""
        ...


@dataclass(frozen=True, slots=True)
class Received:
    """A file that was sent."""

    path: Path
    #: What it was called.
    name: str
    #: Opaque id of who sent it.
    by: str


async def take_in(pool: Pool, source: Source[P], received: Received, *, emitter: str) -> tuple[ImportFile, bool]:
    """Take a file in, or go on with it; and whether there was anything to do.

    ``emitter`` is the CloudEvents source of the service. Raises FileRefused if it cannot be read, BeingTakenIn if
    somebody else is still at it.
    """
    digest = await asyncio.to_thread(_digest, received.path)
    async with asyncio.timeout(_PATIENCE_S) as patience:
        while True:
            async with pool.acquire() as connection:
                if await import_files.take_up(connection, digest):
                    patience.reschedule(None)
                    try:
                        return await _Import(connection, source, received, emitter).run(digest)
                    finally:
                        await import_files.let_go(connection, digest)
            await _ask_again(patience)


async def _ask_again(patience: asyncio.Timeout) -> None:
    loop = asyncio.get_running_loop()
    if loop.time() + _ASK_S >= (patience.when() or 0):
        raise BeingTakenIn("The same file is being taken in just now; look at its report, or send it again later.")
    await asyncio.sleep(_ASK_S)


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


class _Import(Generic[P]):
    """One file, and nobody else at it."""

    def __init__(self, connection: Connection, source: Source[P], received: Received, emitter: str) -> None:
        self._connection = connection
        self._source = source
        self._received = received
        self._emitter = emitter

    async def run(self, digest: bytes) -> tuple[ImportFile, bool]:
        """Go on with the file until it is finished."""
        received, mapping = self._received, self._source.mapping
        file = await import_files.begin(
            self._connection,
            source=mapping.source,
            name=received.name,
            digest=digest,
            mapping=mapping.digest,
            size=received.path.stat().st_size,
            by=received.by,
            at=datetime.now(UTC),
        )
        if file.finished_at is not None and file.bytes_read == file.size:
            if not (file.refused and self._source.tries_again):
                return file, False
            file = await self._begin_again(file)
        with received.path.open("rb") as opened:
            steps = _Steps(self._pieces(opened, file), self._source.step_records)
            try:
                async with aclosing(steps):
                    while await steps.has_more():
                        file = await self._step(file, steps)
            except FileRefused:
                if file.passes == 1 and not file.rows_read:
                    await import_files.forget(self._connection, file.id)
                raise
        return await self._finish(file), True

    def _pieces(self, opened: BinaryIO, file: ImportFile) -> Iterator[tuple[Piece, P]]:
        wanted = Wanted(self._source.mapping, self._source.required)
        found = reading.pieces(opened, wanted, size=self._source.piece_records, skip=file.rows_read)
        return ((piece, self._source.prepare(piece, file)) for piece in found)

    async def _begin_again(self, file: ImportFile) -> ImportFile:
        """The same file with its rows to be gone through again: what was good is there already."""
        good = file.added + file.updated + file.unchanged
        again = replace(file, passes=file.passes + 1, rows_read=0, bytes_read=0, added=0, updated=0, unchanged=good)
        await self._save(file, again)
        return again

    async def _step(self, file: ImportFile, steps: "_Steps[P]") -> ImportFile:
        async with self._connection.transaction():
            work = UnitOfWork(self._connection, self._emitter, datetime.now(UTC))
            taken = await self._source.take(work, file, steps.next_step())
            await import_files.add_problems(self._connection, file.id, taken.problems)
            # A position is about so far: only a finished file was read to its end.
            position = min(max(steps.position, file.bytes_read), file.size - 1)
            after = _counted(replace(file, rows_read=file.rows_read + steps.records, bytes_read=position), taken)
            await self._save(file, after)
            await work.flush()
        if work.emitted:
            wake.up(self._emitter)
        return after

    async def _finish(self, file: ImportFile) -> ImportFile:
        async with self._connection.transaction():
            now = datetime.now(UTC)
            work = UnitOfWork(self._connection, self._emitter, now)
            done = replace(file, finished_at=file.finished_at or now, bytes_read=file.size)
            await self._save(file, done)
            taken = await self._source.finish(work, done)
            await import_files.add_problems(self._connection, file.id, taken.problems)
            after = _counted(done, taken)
            await self._save(done, after)
            counts = {name: getattr(after, name) for name in ("added", "updated", "unchanged", "refused")}
            change = Change(
                "import",
                str(file.id),
                file.passes,
                now,
                self._received.by,
                "imported",
                None,
                {"source": file.source, **counts},
            )
            await history.record(self._connection, [change])
            await work.flush()
        if work.emitted:
            wake.up(self._emitter)
        return after

    async def _save(self, before: ImportFile, after: ImportFile) -> None:
        saved = await import_files.save(
            self._connection, after, read_before=before.rows_read, passes_before=before.passes
        )
        if not saved:
            # Only possible if our lock was lost with our connection's session, and then this transaction is too.
            raise BeingTakenIn("Somebody else went on with the same file; send it again.")


def _counted(file: ImportFile, taken: Taken) -> ImportFile:
    return replace(
        file,
        added=file.added + taken.added,
        updated=file.updated + taken.updated,
        unchanged=file.unchanged + taken.unchanged,
        refused=file.refused + taken.refused,
    )


class _Steps(Generic[P]):
    """Pieces that a thread reads one ahead, divided into steps."""

    def __init__(self, pieces: Iterator[tuple[Piece, P]], step_records: int) -> None:
        self._pieces = pieces
        self._step_records = step_records
        self._ahead: asyncio.Task[tuple[Piece, P] | None] | None = None
        #: Records of the step that was taken last, and where in the file it ended.
        self.records = 0
        self.position = 0

    async def has_more(self) -> bool:
        """Whether there is anything left to take."""
        return await self._coming() is not None

    async def next_step(self) -> AsyncGenerator[P]:
        """The pieces of the next step."""
        self.records = 0
        while self.records < self._step_records:
            found = await self._coming()
            if found is None:
                return
            self._ahead = None
            self._read_ahead()
            piece, prepared = found
            self.records += piece.records
            self.position = piece.position
            yield prepared

    async def aclose(self) -> None:
        """Wait for the thread: it has the file in hand."""
        if self._ahead is not None:
            await asyncio.wait([self._ahead])
            self._ahead.cancel()
            if not self._ahead.cancelled():
                self._ahead.exception()

    def _read_ahead(self) -> asyncio.Task[tuple[Piece, P] | None]:
        if self._ahead is None:
            self._ahead = asyncio.create_task(asyncio.to_thread(next, self._pieces, None))
        return self._ahead

    async def _coming(self) -> tuple[Piece, P] | None:
        # Shielded: a thread cannot be cancelled, and it has the file in hand.
        return await asyncio.shield(self._read_ahead())


def lines_of(problems: Collection[RowProblem]) -> int:
    """How many rows the problems are about."""
    return len({problem.line for problem in problems})
