"""Importing registers: good rows go in, bad ones are named, and a second run changes nothing."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from uuid_utils.compat import uuid7

from services.intelligence.commands.telling import tell
from services.intelligence.domain import register
from services.intelligence.domain.concern import Concern
from services.intelligence.domain.organisation import Organisation, require_provider
from services.intelligence.domain.rating import Rating
from services.intelligence.domain.register import ConcernRow, ProviderRow, ReadRow, RowProblem
from services.intelligence.domain.scope import require_standards
from services.intelligence.domain.standing import Life
from services.intelligence.store import concerns, organisations, story
from services.intelligence.store.concerns import ImportedConcern, RatingRow
from services.intelligence.store.story import Chapter
from services.intelligence.views.imports import ImportReport, RowProblemView
from shared.contracts.fields import Origin
from shared.messaging.unit_of_work import UnitOfWork
from shared.persistence import history
from shared.persistence.history import Change
from shared.reference.standards import CURRENT
from shared.rules import RuleBroken
from shared.security.callers import Caller
from shared.web.commands import Answer
from shared.web.problems import Unprocessable

#: Why an imported concern is closed: its register says no more than the reason's code.
_AS_IMPORTED = "as the imported register says"


async def import_providers(work: UnitOfWork, caller: Caller, text: str, skipped: int) -> Answer:
    """Add organisations to the register, or take over what a newer edition says of them."""
    rows, problems = _read(text, ProviderRow, skipped)
    rows, doubled = _once(rows, "ods_code")
    problems += doubled
    mentioned = {row.row.ods_code for row in rows} | {c for row in rows for c in _codes_named(row.row)}
    await organisations.lock_register(work.connection)
    known = await organisations.load(work.connection, mentioned)
    rows, dangling = _with_all_they_name(rows, known.keys())
    problems += dangling
    changed: list[Organisation] = []
    added = 0
    for read in rows:
        before = known.get(read.row.ods_code)
        organisation = Organisation(**read.row.model_dump(), version=before.version if before else 0)
        if organisation != before:
            changed.append(replace(organisation, version=organisation.version + 1))
            added += before is None
    await organisations.save(work.connection, changed)
    await history.record(
        work.connection,
        [Change("organisation", o.ods_code, o.version, work.now, caller.subject, "imported") for o in changed],
    )
    return _report(
        added=added,
        updated=len(changed) - added,
        unchanged=_unchanged(rows, problems, len(changed)),
        problems=problems,
    )


async def import_concerns(work: UnitOfWork, caller: Caller, text: str, skipped: int) -> Answer:
    """Add the concerns of an earlier register, each with the events of what it has been through."""
    rows, problems = _read(text, ConcernRow, skipped)
    rows, doubled = _once(rows, "reference")
    problems += doubled
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
    for read, concern in new:
        if concern.id not in kept and (differing := _differences(read.row, before[concern.reference])):
            problems.append(
                RowProblem(
                    read.line,
                    differing[0],
                    f"{concern.reference} is on the register already and differs in {', '.join(differing)}; "
                    "an import never changes a concern: change it there",
                )
            )
    await _bring_up_to_date(work, caller, [(r.row, c) for r, c in new if c.id in kept])
    return _report(added=len(kept), updated=0, unchanged=_unchanged(rows, problems, len(kept)), problems=problems)


async def _bring_up_to_date(work: UnitOfWork, caller: Caller, imported: Sequence[tuple[ConcernRow, Concern]]) -> None:
    """Let each concern go through what its row says it went through: raised, rated, closed."""
    ratings: list[RatingRow] = []
    changes: list[Change] = []
    chapters: list[Chapter] = []

    def changed(concern: Concern, change: str) -> None:
        changes.append(Change("concern", str(concern.id), concern.version, work.now, caller.subject, change))

    for row, final in imported:
        concern = _as_raised(final)
        chapters.append(tell(work, concern, concern.raised()))
        changed(concern, "imported")
        if row.confirmed is not None and row.impact and row.likelihood and row.rated_on and row.rationale:
            rating = Rating(row.impact, row.likelihood)
            concern, rated = concern.rate(rating, row.confirmed, row.rated_on, Origin.IMPORTED, why=row.rationale)
            ratings.append(
                RatingRow(
                    concern.id, concern.version, rating, row.confirmed, row.rationale, row.rated_on, caller.subject
                )
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


def _read(text: str, model: type[Any], skipped: int) -> tuple[list[ReadRow[Any]], list[RowProblem]]:
    try:
        return register.read(text, model, skipped=skipped)
    except register.NotThisRegister as error:
        raise Unprocessable(f"This is no such register: {error}.", errors=[("body", str(error))]) from error


def _once(rows: Sequence[ReadRow[Any]], column: str) -> tuple[list[ReadRow[Any]], list[RowProblem]]:
    """The first row of each value, and a problem for every later one."""
    first: dict[str, int] = {}
    kept: list[ReadRow[Any]] = []
    problems: list[RowProblem] = []
    for read in rows:
        value = getattr(read.row, column)
        if value in first:
            problems.append(RowProblem(read.line, column, f"{value} stands in line {first[value]} already"))
        else:
            first[value] = read.line
            kept.append(read)
    return kept, problems


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


def _codes_named(row: ProviderRow) -> list[str]:
    return [code for _, code in _named(row)]


def _unchanged(rows: Sequence[ReadRow[Any]], problems: Sequence[RowProblem], changed: int) -> int:
    refused = {problem.line for problem in problems}
    return sum(row.line not in refused for row in rows) - changed


def _report(*, added: int, updated: int, unchanged: int, problems: Sequence[RowProblem]) -> Answer:
    return Answer(
        ImportReport(
            added=added,
            updated=updated,
            unchanged=unchanged,
            refused=len({problem.line for problem in problems}),
            problems=[
                RowProblemView(line=p.line, column=p.column, reason=p.reason)
                for p in sorted(problems, key=lambda p: (p.line, p.column))
            ],
        )
    )
