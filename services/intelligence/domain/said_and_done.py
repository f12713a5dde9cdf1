"""The register as it may be published: you said, we did.

Source: the columns of a published register are learning environment, source with date, summary and action (Thames
Valley). Both sides are put together from what is coded, never from what somebody wrote: free text stays in the service,
and could name somebody. Sources that are one person in their school or trust are put together with others, and days
are given as months, so that nobody is known by when they spoke.
"""

from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import date

from services.intelligence.domain.concern import Concern, Status
from shared.contracts.concerns import ExitConditionState, Register, RegisterState
from shared.reference.kinds import SourceKind
from shared.reference.standards import standard_set

_LEARNERS_AND_EDUCATORS = "Learners and educators"
_SCHOOLS = "Schools, universities and education leads"

_SOURCES = {
    SourceKind.LEARNER: _LEARNERS_AND_EDUCATORS,
    SourceKind.EDUCATOR: _LEARNERS_AND_EDUCATORS,
    SourceKind.FREEDOM_TO_SPEAK_UP_GUARDIAN: _LEARNERS_AND_EDUCATORS,
    SourceKind.HEAD_OF_SCHOOL: _SCHOOLS,
    SourceKind.DIRECTOR_OF_MEDICAL_EDUCATION: _SCHOOLS,
    SourceKind.UNIVERSITY: _SCHOOLS,
    SourceKind.CQC: "Care Quality Commission",
    SourceKind.GMC: "General Medical Council",
    SourceKind.NTS: "National Training Survey",
    SourceKind.NETS: "National Education and Training Survey",
    SourceKind.SELF_ASSESSMENT: "Self-assessment of the provider",
    SourceKind.QUALITY_VISIT: "Quality visit",
    SourceKind.OTHER: "Other",
}

_REGISTERS = {
    Register.REGIONAL_REGISTER: "the regional register",
    Register.NATIONAL_REGISTER: "the national register",
    Register.ENHANCED_MONITORING: "enhanced monitoring by the General Medical Council",
}

#: What is said of an event in the story of a concern, in the order in which it is said.
_DONE = {
    "uk.nhs.quality.visit.scheduled.v1": "A visit was arranged.",
    "uk.nhs.quality.outcome.recorded.v1": "The provider was visited, and told what has to change.",
    "uk.nhs.quality.investment.adjusted.v1": "What follows for the investment was decided.",
    "uk.nhs.quality.training.suspended.v1": "Training was suspended.",
    "uk.nhs.quality.training.restored.v1": "Training was taken up again.",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the published register, each part as it is printed; months are ``2024-05``."""

    reference: str
    learning_environment: str
    provider_code: str
    site_code: str
    programme: str
    learners: str
    source: str
    source_month: str
    you_said: str
    we_did: str
    category: str
    status: str
    raised_in: str
    closed_in: str

    def cells(self) -> list[str]:
        """The row in the order of ``COLUMNS``."""
        return [getattr(self, column) for column in COLUMNS]


#: Columns of the register, in their order.
COLUMNS = tuple(field.name for field in fields(Entry))


def entry(concern: Concern, site_name: str | None, story: Collection[str]) -> Entry:
    """What the register tells of a concern; ``story`` are the types of the events about it."""
    return Entry(
        reference=concern.reference,
        learning_environment=", ".join(part for part in (site_name, concern.provider.name) if part),
        provider_code=concern.provider.ods_code,
        site_code=concern.site_code or "",
        programme=concern.programme,
        learners=_words(concern.learner_group),
        source=_SOURCES[concern.source_kind],
        source_month=_month(concern.source_date),
        you_said=_said(concern),
        we_did=_did(concern, story),
        category="Not rated yet" if concern.category is None else _words(concern.category.name),
        status=_words(concern.status),
        raised_in=_month(concern.raised_on),
        closed_in=_month(concern.closed_on),
    )


def _said(concern: Concern) -> str:
    if not concern.standards:
        return "Training here may not be what it should be."
    known = standard_set(concern.standard_set)
    labels = "; ".join(f"{number} {known.get(number).label}" for number in concern.standards)
    return f"These standards may not be met: {labels}."


def _did(concern: Concern, story: Collection[str]) -> str:
    done = [] if concern.category is None else [f"The concern was rated: {_words(concern.category.name).lower()}."]
    for standing in concern.life.standings:
        if standing.state is not RegisterState.OFF:
            done.append(f"It is on {_REGISTERS[standing.register]}.")
    if any(condition.state is not ExitConditionState.WITHDRAWN for condition in concern.life.conditions):
        done.append("Conditions were set that have to be met.")
    done += [told for event, told in _DONE.items() if event in story]
    if concern.status is Status.CLOSED and concern.closure_reason is not None:
        done.append(f"The concern was closed: {_words(concern.closure_reason).lower()}.")
    return " ".join(done) or "The concern was taken up."


def _month(day: date | None) -> str:
    return "" if day is None else f"{day:%Y-%m}"


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize()
