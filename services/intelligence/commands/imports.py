"""Importing registers: good rows go in, bad ones are named, and a second run changes nothing."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from uuid_utils.compat import uuid7

from services.intelligence.commands.announcing import announce_flags
from services.intelligence.commands.flagging import flag_newcomers
from services.intelligence.commands.proposing import consider
from services.intelligence.commands.telling import tell
from services.intelligence.domain.concern import Concern
from services.intelligence.domain.life import Life
from services.intelligence.domain.organisation import Organisation, require_provider
from services.intelligence.domain.rating import Rating
from services.intelligence.domain.register import ConcernRow, ProviderRow
from services.intelligence.domain.scope import require_standards
from services.intelligence.store import concerns, organisations, story
from services.intelligence.store.concerns import ImportedConcern, RatingRow
from services.intelligence.store.story import Chapter
from shared.contracts.fields import Origin
from shared.imports.problems import RowProblem
from shared.imports.row_source import RowSource
from shared.imports.rows import ReadRow
from shared.imports.running import Taken
from shared.messaging.unit_of_work import UnitOfWork
from shared.persistence import history
from shared.persistence.history import Change
from shared.persistence.import_files import ImportFile
from shared.reference.standards import CURRENT
from shared.rules import RuleBroken

#: Why an imported concern is closed: its register says no more than the reason's code.
_AS_IMPORTED = "as the imported register says"


class ProviderSource(RowSource[ProviderRow]):
    """Organisations for the register, or what a newer edition says of them."""

    key = "ods_code"
    # Rows name one another, wherever in the file they stand.
    piece_records = 10_000

    async def take_rows(self, work: UnitOfWork, file: ImportFile, rows: Sequence[ReadRow[ProviderRow]]) -> Taken:
        """Add organisations, or take over what is new of them."""
        mentioned = {row.row.ods_code for row in rows} | {code for row in rows for _, code in _named(row.row)}
        await organisations.lock_register(work.connection)
        known = await organisations.load(work.connection, mentioned)
        kept, problems = _with_all_they_name(rows, known.keys())
        changed: list[Organisation] = []
        added = 0
        for read in kept:
            before = known.get(read.row.ods_code)
            organisation = Organisation(**read.row.model_dump(), version=before.version if before else 0)
            if organisation != before:
                changed.append(replace(organisation, version=organisation.version + 1))
                added += before is None
        await organisations.save(work.connection, changed)
        await history.record(
            work.connection,
            [Change("organisation", o.ods_code, o.version, work.now, self.by, "imported") for o in changed],
        )
        newcomers = [o.ods_code for o in changed if o.ods_code not in known]
        await flag_newcomers(work, newcomers)
        await announce_flags(work)
        await consider(work, newcomers)
        return Taken(added=added, updated=len(changed) - added, unchanged=len(kept) - len(changed), problems=problems)


class ConcernSource(RowSource[ConcernRow]):
    """The concerns of an earlier register, each with the events of what it has been through."""

    key = "reference"

    async def take_rows(self, work: UnitOfWork, file: ImportFile, rows: Sequence[ReadRow[ConcernRow]]) -> Taken:
        """Put concerns on the register. One that is there already is never changed."""
        problems: list[RowProblem] = []
        known = await organisations.load(
            work.connection, {code for row in rows for code in (row.row.provider_code, row.row.site_code) if code}
        )
        new: list[tuple[ReadRow[ConcernRow], Concern]] = []
        for read in rows:
            try:
                new.append((read, _concern(read.row, known, work.today)))
            except RuleBroken as error:
                problems.append(RowProblem(read.line, error.field.partition(".")[0], error.reason))

        kept = await concerns.add_imported(work.connection, [_imported(r.row, c) for r, c in new], work.now)
        before = await concerns.imported_rows(work.connection, {c.reference for _, c in new if c.id not in kept})
        differing = 0
        for read, concern in new:
            if concern.id not in kept and (columns := _differences(read.row, before[concern.reference])):
                differing += 1
                problems.append(
                    RowProblem(
                        read.line,
                        columns[0],
                        f"{concern.reference} is on the register already and differs in {', '.join(columns)}; "
                        "an import never changes a concern: change it there",
                    )
                )
        await _bring_up_to_date(work, self.by, [(r.row, c) for r, c in new if c.id in kept])
        return Taken(added=len(kept), unchanged=len(new) - len(kept) - differing, problems=problems)


async def _bring_up_to_date(work: UnitOfWork, by: str, imported: Sequence[tuple[ConcernRow, Concern]]) -> None:
    """Let each concern go through what its row says it went through: raised, rated, closed."""
    ratings: list[RatingRow] = []
    changes: list[Change] = []
    chapters: list[Chapter] = []

    def changed(concern: Concern, change: str) -> None:
        changes.append(Change("concern", str(concern.id), concern.version, work.now, by, change))

    for row, final in imported:
        concern = _as_raised(final)
        chapters.append(tell(work, concern, concern.raised()))
        changed(concern, "imported")
        if row.confirmed is not None and row.impact and row.likelihood and row.rated_on and row.rationale:
            rating = Rating(row.impact, row.likelihood)
            concern, rated = concern.rate(rating, row.confirmed, row.rated_on, Origin.IMPORTED, why=row.rationale)
            ratings.append(
                RatingRow(concern.id, concern.version, rating, row.confirmed, row.rationale, row.rated_on, by)
            )
            chapters.append(tell(work, concern, rated))
            changed(concern, "rated")
        if row.closure_reason is not None and row.closed_on is not None:
            concern, closed = concern.close(row.closure_reason, row.closed_on, Origin.IMPORTED, why=_AS_IMPORTED)
            chapters.append(tell(work, concern, closed))
            changed(concern, "closed")
    await concerns.add_ratings(work.connection, ratings)
    await story.add(work.connection, chapters)
    await history.record(work.connection, changes)


def _concern(row: ConcernRow, known: Mapping[str, Organisation], today: date) -> Concern:
    """The concern as it stands after all its row says. Raises RuleBroken for what the register refuses."""
    for column, day in (("raised_on", row.raised_on), ("rated_on", row.rated_on), ("closed_on", row.closed_on)):
        if day is not None and day > today:
            raise RuleBroken(column, f"is after {today}")
    provider = require_provider(known, row.provider_code, row.site_code, row.raised_on)
    concern = Concern(
        id=uuid7(),
        reference=row.reference,
        origin=Origin.IMPORTED,
        provider=provider,
        site_code=row.site_code,
        programme=row.programme,
        learner_group=row.learner_group,
        standard_set=CURRENT,
        standards=tuple(require_standards(row.standards)),
        source_kind=row.source_kind,
        source_date=row.source_date,
        raised_on=row.raised_on,
        summary=row.summary,
        action=row.action,
    )
    if row.confirmed is not None and row.impact and row.likelihood and row.rated_on and row.rationale:
        rating = Rating(row.impact, row.likelihood)
        concern, _ = concern.rate(rating, row.confirmed, row.rated_on, Origin.IMPORTED, why=row.rationale)
    if row.closure_reason is not None and row.closed_on is not None:
        concern, _ = concern.close(row.closure_reason, row.closed_on, Origin.IMPORTED, why=_AS_IMPORTED)
    return concern


def _as_raised(concern: Concern) -> Concern:
    return replace(concern, life=Life(), version=1)


def _imported(row: ConcernRow, concern: Concern) -> ImportedConcern:
    return ImportedConcern(concern, row.origin.value, row.source, row.model_dump(mode="json"))


def _differences(row: ConcernRow, before: Mapping[str, Any] | None) -> list[str]:
    if before is None:
        return ["reference"]
    return [name for name, value in row.model_dump(mode="json").items() if before.get(name) != value]


def _with_all_they_name(
    rows: Sequence[ReadRow[ProviderRow]], known: Collection[str]
) -> tuple[list[ReadRow[ProviderRow]], list[RowProblem]]:
    """The rows whose parent and successor are on the register or among these rows, and a problem for each other."""
    kept, problems = list(rows), list[RowProblem]()
    while True:
        codes = {*known, *(read.row.ods_code for read in kept)}
        missing = {
            read.line: RowProblem(read.line, column, f"{code} is neither in the file nor in the register")
            for read in kept
            for column, code in _named(read.row)
            if code not in codes
        }
        if not missing:
            return kept, problems
        # Once a row is left out, those that name it have to be left out too.
        problems += missing.values()
        kept = [read for read in kept if read.line not in missing]


def _named(row: ProviderRow) -> list[tuple[str, str]]:
    named = (("parent_code", row.parent_code), ("successor_code", row.successor_code))
    return [(column, code) for column, code in named if code is not None]
