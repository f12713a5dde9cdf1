"""Recording what a panel found and agreed on."""

from dataclasses import replace
from datetime import date
from uuid import UUID

from uuid_utils.compat import uuid7

from services.visits import history, policies, queries
from services.visits.bodies import RecordOutcomeBody
from services.visits.commands.refusing import refuse
from services.visits.commands.visits import scheduled
from services.visits.domain import agreement, findings
from services.visits.domain import requirement as requirement_rules
from services.visits.domain import visit as visit_rules
from services.visits.domain.concern import Concern, Provider, highest_category
from services.visits.domain.errors import Violation
from services.visits.domain.findings import Draft
from services.visits.domain.requirement import RequirementState, Step
from services.visits.domain.visit import Visit, VisitState
from services.visits.store import concerns, outcomes, people, requirements, visits
from services.visits.store.outcomes import FindingRow, Outcome
from shared.contracts.fields import Origin
from shared.contracts.outcomes import Finding, OutcomeRecorded
from shared.messaging.unit_of_work import UnitOfWork
from shared.persistence.history import record
from shared.reference.standards import StandardSet, UnknownStandardSet, standard_set
from shared.security.callers import Caller
from shared.web.commands import Answer
from shared.web.etags import ExpectedVersion
from shared.web.problems import Conflict


async def record_outcome(
    work: UnitOfWork,
    caller: Caller,
    visit_id: UUID,
    expected: ExpectedVersion,
    body: RecordOutcomeBody,
    recorded_by: str,
) -> Answer:
    """Record a visit's outcome, once: its requirements are met, and others hear what was found.

    ``recorded_by`` is the caller's pseudonym, for the event. Raises NotFound; Conflict before the day of the visit,
    after an outcome was recorded, or while a member of the panel has a conflict of interest; PreconditionFailed;
    Unprocessable with every field at fault.
    """
    connection = work.connection
    visit = await scheduled(work, visit_id, expected)
    known_concerns = await concerns.lock(connection, visit.concern_ids)
    taken_up = await requirements.lock(connection, visit.requirement_ids)
    today = work.today
    if today < visit.visit_date:
        raise Conflict(f"The visit is on {visit.visit_date}; its outcome can be recorded from that day on.")
    await _refuse_conflicts_of_interest(work, visit)
    standards, drafts = _decide(visit, body, today)

    outcome = Outcome(
        id=uuid7(),
        visit_id=visit.id,
        recorded_on=today,
        recorded_by=caller.subject,
        standard_set=standards.id,
        policy_version=policies.finding_policy().version,
        highest_category=highest_category(list(known_concerns.values())),
        summary=body.summary,
        background=body.background,
        findings=[FindingRow(uuid7(), draft) for draft in drafts],
    )
    steps = [requirement_rules.after_outcome(taken_up[one], visit.kind) for one in visit.requirement_ids]
    completed = replace(visit, state=VisitState.COMPLETED, outcome_id=outcome.id, version=visit.version + 1)
    await outcomes.add(connection, outcome)
    await visits.save(connection, completed)
    await requirements.save(connection, [step.requirement for step in steps])
    await concerns.save(connection, _visited(steps, known_concerns))
    detail = {"outcome_id": str(outcome.id), "findings": len(drafts)}
    await record(
        connection,
        [
            history.of_visit(
                completed, "outcome_recorded", at=work.now, actor=caller.subject, reason=body.reason, detail=detail
            ),
            *(history.of_requirement(s, at=work.now, actor=caller.subject, reason=body.reason) for s in steps),
        ],
    )
    provider = await concerns.provider(connection, visit.provider_code)
    assert provider is not None  # a visit refers to its provider
    _tell(work, completed, provider, outcome, recorded_by)
    _call_again(work, provider, steps)
    return replace(await read_outcome(work, caller, outcome.id), status=201, location=f"/outcomes/{outcome.id}")


async def read_outcome(work: UnitOfWork, caller: Caller, outcome_id: UUID) -> Answer:
    """An outcome, which is what a repeated command is answered. Raises NotFound."""
    return Answer(await queries.outcome(work.connection, outcome_id, names=queries.may_see_names(caller)), version=1)


async def _refuse_conflicts_of_interest(work: UnitOfWork, visit: Visit) -> None:
    pool = await people.hold(work.connection, [seat.person_id for seat in visit.panel])
    members = {person_id: person.member for person_id, person in pool.items()}
    found = [problem for problem in visit_rules.problems(visit, members, []) if problem.blocks_outcome]
    if found:
        details = " ".join(problem.detail for problem in found)
        raise Conflict(f"The outcome cannot be recorded with this panel. {details}")


def _decide(visit: Visit, body: RecordOutcomeBody, today: date) -> tuple[StandardSet, list[Draft]]:
    """The standard set and the findings with their due dates. Raises Unprocessable with every field at fault."""
    violations: list[Violation] = []
    drafts = [Draft(f.kind, f.standard, f.text, f.due_on) for f in body.findings]
    try:
        standards = standard_set(body.standard_set)
    except UnknownStandardSet as error:
        violations.append(Violation("standard_set", str(error)))
        standards = standard_set()
    due, wrong = findings.decide(
        drafts,
        standards=standards,
        policy=policies.finding_policy(),
        visit_date=visit.visit_date,
        recorded_on=today,
    )
    refuse(
        [*violations, *wrong, *agreement.check(visit.panel, body.agreed_by)],
        "The outcome cannot be recorded as it stands",
    )
    return standards, [replace(draft, due_on=day) for draft, day in zip(drafts, due, strict=True)]


def _visited(steps: list[Step], known: dict[UUID, Concern]) -> list[Concern]:
    """The concerns whose requirements are met, with the category the visit looked into."""
    return [
        known[step.requirement.concern_id].visited(step.requirement.category)
        for step in steps
        if step.requirement.state is RequirementState.MET
    ]


def _tell(work: UnitOfWork, visit: Visit, provider: Provider, outcome: Outcome, recorded_by: str) -> None:
    work.emit(
        OutcomeRecorded(
            outcome_id=outcome.id,
            visit_id=visit.id,
            provider=provider.ref,
            kind=visit.kind,
            visit_date=visit.visit_date,
            recorded_on=outcome.recorded_on,
            concern_ids=list(visit.concern_ids),
            highest_category=outcome.highest_category,
            standard_set=outcome.standard_set,
            findings=[
                Finding(finding_id=f.id, kind=f.draft.kind, standard=f.draft.standard, due_on=f.draft.due_on)
                for f in outcome.findings
            ],
            agreed_by_roles=[seat.role for seat in visit.panel],
            recorded_by=recorded_by,
        ),
        key=visit.provider_code,
        correlation_id=visit.correlation_id,
    )


def _call_again(work: UnitOfWork, provider: Provider, steps: list[Step]) -> None:
    """Tell of the requirements that this visit was too weak for."""
    for step in steps:
        if step.announce:
            requirement = step.requirement
            announced = requirement.announced(provider.ref, Origin.REPORTED)
            work.emit(announced, key=provider.ods_code, correlation_id=requirement.concern_id)
