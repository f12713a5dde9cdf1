"""What the check of compatibility refuses, why, and what it lets pass."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import IntEnum, StrEnum
from typing import Annotated, Any

import pytest
from contract_variants import GONE, as_released, variant, with_model, with_spec
from pydantic import AwareDatetime, Field, StringConstraints

from shared.contracts.compatibility import Breach, Direction, check
from shared.contracts.concerns import ConcernClosed, ConcernRaised, ConcernRated
from shared.contracts.fields import (
    Category,
    Lever,
    Line,
    Money,
    OdsCode,
    PanelRole,
    ProviderRef,
    VisitKind,
    internal,
    partner,
    public,
)
from shared.contracts.investments import InvestmentAdjusted, InvestmentProposed
from shared.contracts.ledger import Revision, read
from shared.contracts.notifications import NotificationDelivered, NotificationFailed
from shared.contracts.outcomes import Finding, OutcomeRecorded
from shared.contracts.registry import EVENTS, EventSpec, Topic, by_model
from shared.contracts.schemas import published, render
from shared.contracts.visits import VisitCancelled, VisitRequired, VisitScheduled

BACKWARD, FORWARD, BOTH = Direction.BACKWARD, Direction.FORWARD, Direction.BOTH

LongerLever = StrEnum("LongerLever", {lever.name: lever.value for lever in Lever} | {"CLAWBACK": "clawback"})
FewerKinds = StrEnum("FewerKinds", {kind.name: kind.value for kind in VisitKind if kind is not VisitKind.PEER_VISIT})
ReversedRoles = StrEnum("ReversedRoles", {role.name: role.value for role in reversed(PanelRole)})
LowerCategory = IntEnum("LowerCategory", {"NONE": 0, "MINOR": 1, "SIGNIFICANT": 2, "MAJOR": 3})


@dataclass(frozen=True)
class Breaking:
    """A change of the registry, and all that must be said of it."""

    name: str
    specs: Sequence[EventSpec]
    #: Event, field, a part of the reason, direction.
    expected: Sequence[tuple[str, str, str, Direction]]


def _finding(**changes: Any) -> Sequence[EventSpec]:
    findings = list[variant(Finding, **changes)]
    return with_model(
        OutcomeRecorded,
        variant(OutcomeRecorded, findings=(Annotated[findings, Field(max_length=200)], public("Findings."))),
    )


BREAKING = [
    Breaking(
        "a required field is removed",
        with_model(ConcernRated, variant(ConcernRated, band=GONE)),
        [("concern.rated.v1", "band", "was removed, but released readers require it", FORWARD)],
    ),
    Breaking(
        "a required field is added",
        with_model(ConcernRaised, variant(ConcernRaised, urgent=(bool, partner("Whether it is urgent.")))),
        [("concern.raised.v1", "urgent", "was added as required, but data already written lacks it", BACKWARD)],
    ),
    Breaking(
        "a field is renamed",
        with_model(
            ConcernClosed, variant(ConcernClosed, closed_on=GONE, closure_date=(date, partner("Day of closure.")))
        ),
        [
            ("concern.closed.v1", "closure_date", "was added as required", BACKWARD),
            ("concern.closed.v1", "closed_on", "was removed", FORWARD),
        ],
    ),
    Breaking(
        "an optional field becomes required",
        with_model(VisitScheduled, variant(VisitScheduled, site_code=(OdsCode | None, public("Site, or null.")))),
        [("visit.scheduled.v1", "site_code", "is required now, but data already written may lack it", BACKWARD)],
    ),
    Breaking(
        "a required field becomes optional",
        with_model(VisitRequired, variant(VisitRequired, policy_version=(Line, partner("Version.", default="1")))),
        [("visit.required.v1", "policy_version", "is optional now, but released readers require it", FORWARD)],
    ),
    Breaking(
        "a type changes",
        with_model(ConcernRated, variant(ConcernRated, impact=(str, partner("Impact, in words.")))),
        [("concern.rated.v1", "impact", "its type changed from integer to string", BOTH)],
    ),
    Breaking(
        "an integer becomes any number",
        with_model(
            InvestmentAdjusted,
            variant(
                InvestmentAdjusted,
                amount=(
                    variant(Money, pence=(float, partner("Pence.", ge=-(10**12), le=10**12))),
                    partner("Change."),
                ),
            ),
        ),
        [("investment.adjusted.v1", "amount.pence", "its type changed from integer to number", FORWARD)],
    ),
    Breaking(
        "a range is tightened",
        with_model(ConcernRated, variant(ConcernRated, impact=(int, partner("Impact.", ge=1, le=4)))),
        [("concern.rated.v1", "impact", "its maximum changed from 5 to 4", BACKWARD)],
    ),
    Breaking(
        "a range is loosened",
        with_model(ConcernRated, variant(ConcernRated, likelihood=(int, partner("Likelihood.", ge=0, le=5)))),
        [("concern.rated.v1", "likelihood", "its minimum changed from 1 to 0", FORWARD)],
    ),
    Breaking(
        "a text may be longer",
        with_model(
            NotificationFailed,
            variant(
                NotificationFailed,
                template=(
                    Annotated[str, StringConstraints(min_length=1, max_length=400, pattern=r"^[^\r\n]+$")],
                    internal("Template."),
                ),
            ),
        ),
        [("notification.failed.v1", "template", "its maxLength changed from 300 to 400", FORWARD)],
    ),
    Breaking(
        "a list may hold fewer",
        with_model(
            VisitScheduled,
            variant(
                VisitScheduled,
                panel_roles=(
                    Annotated[list[PanelRole], Field(min_length=3, max_length=40)],
                    public("Roles on the panel."),
                ),
            ),
        ),
        [("visit.scheduled.v1", "panel_roles", "its minItems changed from 2 to 3", BACKWARD)],
    ),
    Breaking(
        "a vocabulary gains a value",
        with_model(InvestmentProposed, variant(InvestmentProposed, lever=(LongerLever, partner("Lever.")))),
        [("investment.proposed.v1", "lever", "gained the value clawback", FORWARD)],
    ),
    Breaking(
        "a vocabulary loses a value",
        with_model(VisitCancelled, variant(VisitCancelled, kind=(FewerKinds, public("Kind of visit.")))),
        [("visit.cancelled.v1", "kind", "lost the value peer_visit", BACKWARD)],
    ),
    Breaking(
        "a vocabulary under a null loses a value",
        with_model(
            ConcernRated,
            variant(ConcernRated, previous_category=(LowerCategory | None, partner("Category before.", default=None))),
        ),
        [("concern.rated.v1", "previous_category", "lost the value 4", BACKWARD)],
    ),
    Breaking(
        "a vocabulary becomes free text",
        with_model(ConcernClosed, variant(ConcernClosed, reason=(str, partner("Why it was closed.")))),
        [("concern.closed.v1", "reason", "is no longer limited to resolved, not_upheld", FORWARD)],
    ),
    Breaking(
        "a field may be null",
        with_model(VisitRequired, variant(VisitRequired, kind=(VisitKind | None, partner("Kind of visit.")))),
        [("visit.required.v1", "kind", "may be null now, which released readers refuse", FORWARD)],
    ),
    Breaking(
        "a field may no longer be null",
        with_model(
            ConcernClosed,
            variant(ConcernClosed, category=(Category, partner("Category.", default=Category.NONE))),
        ),
        [("concern.closed.v1", "category", "may no longer be null", BACKWARD)],
    ),
    Breaking(
        "a format changes",
        with_model(ConcernRated, variant(ConcernRated, rated_on=(AwareDatetime, partner("Instant.")))),
        [("concern.rated.v1", "rated_on", "its format changed from date to date-time", BOTH)],
    ),
    Breaking(
        "a format goes",
        with_model(NotificationDelivered, variant(NotificationDelivered, about_event_id=(str, partner("The event.")))),
        [("notification.delivered.v1", "about_event_id", "has no format any more (uuid)", FORWARD)],
    ),
    Breaking(
        "a pattern changes",
        with_model(
            VisitCancelled,
            variant(
                VisitCancelled,
                provider=(
                    variant(
                        ProviderRef,
                        ods_code=(
                            Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{3,12}$")],
                            public("Code."),
                        ),
                    ),
                    public("The provider."),
                ),
            ),
        ),
        [("visit.cancelled.v1", "provider.ods_code", "its pattern changed from ^[A-Z0-9]{3,10}$ to", BOTH)],
    ),
    Breaking(
        "a pattern under a null goes",
        with_model(
            VisitScheduled,
            variant(VisitScheduled, site_code=(str | None, public("Site.", default=None))),
        ),
        [("visit.scheduled.v1", "site_code", "has no pattern any more", FORWARD)],
    ),
    Breaking(
        "a reader becomes closed",
        with_model(ConcernRaised, variant(ConcernRaised, closed=True)),
        [("concern.raised.v1", "(event)", "is closed now", BACKWARD)],
    ),
    Breaking(
        "an object in a list gains a required field",
        _finding(weight=(int, public("Weight."))),
        [("outcome.recorded.v1", "findings[].weight", "was added as required", BACKWARD)],
    ),
    Breaking(
        "a text in an object in a list loses its pattern",
        _finding(standard=(str, public("Standard."))),
        [("outcome.recorded.v1", "findings[].standard", "has no pattern any more", FORWARD)],
    ),
    Breaking(
        "a field is shown to more",
        with_model(
            ConcernRaised,
            variant(ConcernRaised, source_date=(date | None, partner("Day of the source.", default=None))),
        ),
        [("concern.raised.v1", "source_date", "widened from internal to partner", BACKWARD)],
    ),
    Breaking(
        "a field in an object in a list is shown to more",
        _finding(due_on=(date | None, public("Answer by.", default=None))),
        [("outcome.recorded.v1", "findings[].due_on", "widened from partner to public", BACKWARD)],
    ),
    Breaking(
        "an event moves to another topic",
        with_spec(OutcomeRecorded, topic=Topic.VISITS),
        [
            (
                "outcome.recorded.v1",
                "(topic)",
                "changed from quality.outcomes.v1 to quality.visits.v1: released readers follow the old one",
                BOTH,
            )
        ],
    ),
    Breaking(
        "another service publishes an event",
        with_spec(InvestmentProposed, producer="visits"),
        [("investment.proposed.v1", "(producer)", "changed from funding to visits", BOTH)],
    ),
    Breaking(
        "an event is about another aggregate",
        with_spec(OutcomeRecorded, subject_field="visit_id"),
        [("outcome.recorded.v1", "(subject)", "changed from outcome_id to visit_id", BOTH)],
    ),
    Breaking(
        "an event is gone",
        [spec for spec in EVENTS if spec.model is not VisitCancelled],
        [("visit.cancelled.v1", "(event)", "is gone from the registry", BOTH)],
    ),
    Breaking(
        "a new major version replaces the old one",
        with_spec(VisitCancelled, major=2),
        [("visit.cancelled.v1", "(event)", "is gone from the registry", BOTH)],
    ),
]


@pytest.mark.parametrize("change", BREAKING, ids=lambda change: change.name.replace(" ", "-"))
def test_a_breaking_change_is_refused_with_its_field_and_reason(change: Breaking) -> None:
    found = check(change.specs, as_released())

    assert [(breach.event, breach.field, breach.direction) for breach in found] == [
        (event, field, direction) for event, field, _, direction in change.expected
    ]
    for breach, (_, _, reason, _) in zip(found, change.expected, strict=True):
        assert reason in breach.reason
        assert breach.revisions == (1,)


HARMLESS = {
    "nothing changes": with_model(ConcernRated, variant(ConcernRated)),
    "a description changes": with_model(
        ConcernRated, variant(ConcernRated, impact=(int, partner("How bad.", ge=1, le=5)))
    ),
    "a model has another name": with_model(ConcernClosed, type("Closed", (ConcernClosed,), {"__doc__": "Closed."})),
    "an optional field is added": with_model(
        ConcernRaised,
        variant(ConcernRaised, exit_conditions=(int | None, partner("How many.", default=None, ge=0))),
    ),
    "an optional object is added": with_model(
        ConcernRaised, variant(ConcernRaised, second=(ProviderRef | None, public("A second.", default=None)))
    ),
    "an optional list is added": with_model(
        ConcernRaised, variant(ConcernRaised, others=(list[ProviderRef], public("Others.", default=[])))
    ),
    "an optional field is removed": with_model(VisitScheduled, variant(VisitScheduled, site_code=GONE)),
    "fields are reordered": with_model(
        OutcomeRecorded, variant(OutcomeRecorded, order=["recorded_by", "findings", "visit_id"])
    ),
    "a vocabulary is reordered": with_model(
        VisitScheduled,
        variant(
            VisitScheduled,
            panel_roles=(
                Annotated[list[ReversedRoles], Field(min_length=2, max_length=40)],
                public("Roles on the panel."),
            ),
        ),
    ),
    "a default changes": with_model(
        ConcernClosed,
        variant(ConcernClosed, category=(Category | None, partner("Last category.", default=Category.SIGNIFICANT))),
    ),
    "an example is added": with_model(
        ConcernRaised, variant(ConcernRaised, raised_on=(date, partner("Day.", examples=["2025-10-06"])))
    ),
    "a field is deprecated": with_model(
        ConcernRaised, variant(ConcernRaised, raised_on=(date, partner("Day.", deprecated=True)))
    ),
    "a field is shown to fewer": with_model(
        ConcernRaised, variant(ConcernRaised, programme=(Line, internal("Specialty or programme.")))
    ),
    "an object in a list gains an optional field": _finding(weight=(int | None, public("Weight.", default=None))),
    "a range is written otherwise": with_model(
        ConcernRated, variant(ConcernRated, impact=(int, partner("Impact.", gt=0, lt=6)))
    ),
    "an event is added": [
        *EVENTS,
        EventSpec("visit.postponed", 1, Topic.VISITS, "visits", variant(VisitCancelled), "visit_id"),
    ],
    "a new major version is added beside the old one": [
        *EVENTS,
        replace(
            by_model(InvestmentProposed),
            major=2,
            model=variant(InvestmentProposed, lever=(LongerLever, partner("Lever."))),
        ),
    ],
    "the registry is reordered": list(reversed(EVENTS)),
}


@pytest.mark.parametrize("name", HARMLESS, ids=lambda name: name.replace(" ", "-"))
def test_a_harmless_change_passes(name: str) -> None:
    assert check(HARMLESS[name], as_released()) == []


@pytest.mark.parametrize("name", HARMLESS, ids=lambda name: name.replace(" ", "-"))
def test_the_changes_tried_here_change_what_is_published(name: str) -> None:
    changed, current = ([render(published(spec)) for spec in specs] for specs in (HARMLESS[name], EVENTS))

    assert (changed == current) is (name == "nothing changes")


def test_two_breaches_of_one_event_are_both_named() -> None:
    changed = variant(ConcernRated, band=GONE, impact=(int, partner("Impact.", ge=1, le=4)))

    found = check(with_model(ConcernRated, changed), as_released())

    assert {breach.field for breach in found} == {"band", "impact"}


def test_what_fits_the_last_revision_but_not_an_older_one_is_refused() -> None:
    """Dropping an optional field is harmless, and so is adding one: but not under the name of another."""
    first = variant(ConcernRaised, grade=(int | None, partner("Grade.", default=None)))
    last = variant(ConcernRaised, grade=(Line | None, partner("Grade.", default=None)))
    [first_spec], [last_spec] = (
        [spec for spec in with_model(ConcernRaised, model) if spec.model is model] for model in (first, last)
    )
    released = [published(first_spec), published(by_model(ConcernRaised))]
    ledger = {
        "concern.raised.v1": [
            Revision("concern.raised.v1", number, schema) for number, schema in enumerate(released, start=1)
        ]
    }

    assert check([last_spec], {"concern.raised.v1": ledger["concern.raised.v1"][1:]}) == []
    assert check([last_spec], ledger) == [
        Breach("concern.raised.v1", "grade", "its type changed from integer to string", BOTH, (1,))
    ]


def test_the_revisions_a_change_breaks_are_all_named() -> None:
    schema = published(by_model(ConcernRated))
    ledger = {"concern.rated.v1": [Revision("concern.rated.v1", number, schema) for number in (1, 2, 3)]}

    found = check(with_model(ConcernRated, variant(ConcernRated, band=GONE)), ledger)

    assert [breach.revisions for breach in found] == [(1, 2, 3)]


def test_this_tree_fits_all_that_was_released() -> None:
    assert check(EVENTS, read()) == []


def test_all_of_this_tree_is_released() -> None:
    """Otherwise the next change would not be held against it. `qc contracts release` adds what is missing."""
    last = {event: revisions[-1].schema for event, revisions in read().items()}

    assert [spec.schema_name for spec in EVENTS if last.get(spec.schema_name) != published(spec)] == []
