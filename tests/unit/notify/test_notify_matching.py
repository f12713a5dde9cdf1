"""Who is told of an event."""

from datetime import date
from uuid import UUID, uuid4

import pytest

from services.notify.domain.happenings import Categories, concerns_of, happening, is_taken_over, learn
from services.notify.domain.matching import recipients
from services.notify.domain.stakeholders import EventName, Stakeholder, StakeholderKind, Subscription, check_scope
from shared.contracts.concerns import ConcernClosed, ConcernEscalated, ConcernRaised, ConcernRated, ConcernReopened
from shared.contracts.examples import EXAMPLES, PROVIDER, example_of
from shared.contracts.fields import Category, EventData, Origin
from shared.contracts.investments import InvestmentAdjusted
from shared.contracts.outcomes import OutcomeRecorded
from shared.contracts.registry import EVENTS, Topic, by_model
from shared.contracts.visits import VisitRequired, VisitScheduled
from shared.rules import RuleBroken

HERE, ELSEWHERE = PROVIDER.ods_code, "FICTHT001"


def example(model: type[EventData], **changes: object) -> EventData:
    return example_of(by_model(model)).data.model_copy(update=changes)


#: What no person has decided to be a concern.
UNDECIDED = {"concern.proposed", "concern.dismissed"}


def subscribes(*names: EventName, provider: str | None = None, minimum: Category | None = None) -> Subscription:
    return Subscription(event_types=list(names), provider_code=provider, minimum_category=minimum)


def stakeholder(
    *subscriptions: Subscription,
    kind: StakeholderKind = StakeholderKind.UNIVERSITY,
    own: str | None = None,
    active: bool = True,
) -> Stakeholder:
    return Stakeholder(uuid4(), None, kind, "An organisation", own, active, subscriptions, 1)


def is_told(
    someone: Stakeholder, data: EventData, *, about: str = HERE, known: dict[UUID, Category | None] | None = None
) -> bool:
    return recipients([someone], happening(data, about, known or {})) == [someone]


def test_every_event_but_those_about_notifications_and_proposals_can_be_subscribed_to() -> None:
    every = {spec.name for spec in EVENTS if spec.topic is not Topic.NOTIFICATIONS}
    assert {name.value for name in EventName} == every - UNDECIDED


def test_the_national_team_and_the_gmc_are_told_of_a_significant_concern_that_is_escalated() -> None:
    someone = stakeholder(subscribes(EventName.CONCERN_ESCALATED, minimum=Category.SIGNIFICANT))
    escalated = example(ConcernEscalated)
    assert is_told(someone, escalated)
    assert not is_told(someone, escalated.model_copy(update={"category": Category.MINOR}))


def test_a_subscriber_is_told_of_the_events_it_names_and_of_no_others() -> None:
    someone = stakeholder(subscribes(EventName.CONCERN_RATED))
    assert is_told(someone, example(ConcernRated))
    assert not is_told(someone, example(ConcernRaised))


def test_an_inactive_stakeholder_is_told_of_nothing() -> None:
    assert not is_told(stakeholder(subscribes(EventName.CONCERN_RATED), active=False), example(ConcernRated))


def test_a_stakeholder_without_subscriptions_is_told_of_nothing() -> None:
    assert not is_told(stakeholder(), example(ConcernRated))


def test_a_subscription_to_one_provider_leaves_out_the_others() -> None:
    someone = stakeholder(subscribes(EventName.CONCERN_RATED, provider=HERE))
    assert is_told(someone, example(ConcernRated), about=HERE)
    assert not is_told(someone, example(ConcernRated), about=ELSEWHERE)


def test_a_stakeholder_is_told_once_however_many_of_its_subscriptions_match() -> None:
    someone = stakeholder(
        subscribes(EventName.CONCERN_RATED), subscribes(EventName.CONCERN_RATED, EventName.CONCERN_CLOSED)
    )
    assert recipients([someone], happening(example(ConcernRated), HERE, {})) == [someone]


def test_a_local_education_provider_is_told_of_itself_alone() -> None:
    provider = stakeholder(
        subscribes(EventName.OUTCOME_RECORDED), kind=StakeholderKind.LOCAL_EDUCATION_PROVIDER, own=HERE
    )
    assert is_told(provider, example(OutcomeRecorded), about=HERE)
    assert not is_told(provider, example(OutcomeRecorded), about=ELSEWHERE)


def test_a_local_education_provider_is_not_told_of_another_even_if_its_subscription_says_so() -> None:
    provider = stakeholder(
        subscribes(EventName.OUTCOME_RECORDED, provider=ELSEWHERE),
        kind=StakeholderKind.LOCAL_EDUCATION_PROVIDER,
        own=HERE,
    )
    assert not is_told(provider, example(OutcomeRecorded), about=ELSEWHERE)
    assert not is_told(provider, example(OutcomeRecorded), about=HERE)


@pytest.mark.parametrize(
    ("category", "told"),
    [
        (Category.NONE, False),
        (Category.MINOR, False),
        (Category.SIGNIFICANT, True),
        (Category.MAJOR, True),
        (Category.TRAINING_SUSPENDED, True),
    ],
)
def test_a_minimum_category_is_held_against_the_category_of_the_event(category: Category, told: bool) -> None:
    regulator = stakeholder(
        subscribes(
            EventName.CONCERN_RATED,
            EventName.CONCERN_CLOSED,
            EventName.VISIT_REQUIRED,
            EventName.OUTCOME_RECORDED,
            minimum=Category.SIGNIFICANT,
        )
    )
    for data in (
        example(ConcernRated, category=category),
        example(ConcernClosed, category=category),
        example(VisitRequired, category=category),
        example(OutcomeRecorded, highest_category=category),
    ):
        assert is_told(regulator, data) is told, data


def test_an_event_without_a_category_has_the_highest_known_one_among_its_concerns() -> None:
    minor, major, unrated = uuid4(), uuid4(), uuid4()
    known: Categories = {minor: Category.MINOR, major: Category.MAJOR}
    regulator = stakeholder(subscribes(*EventName, minimum=Category.SIGNIFICANT))
    for model in (VisitScheduled, InvestmentAdjusted):
        assert is_told(regulator, example(model, concern_ids=[minor, major, unrated]), known=known)
        assert not is_told(regulator, example(model, concern_ids=[minor, unrated]), known=known)
    assert is_told(regulator, example(ConcernReopened, concern_id=major), known=known)
    assert is_told(regulator, example(OutcomeRecorded, highest_category=None, concern_ids=[major]), known=known)
    assert is_told(regulator, example(ConcernClosed, category=None, concern_id=major), known=known)


def test_what_has_no_category_reaches_no_minimum_not_even_none() -> None:
    someone = stakeholder(subscribes(*EventName, minimum=Category.NONE))
    assert not is_told(someone, example(ConcernRaised))
    assert not is_told(someone, example(VisitScheduled, concern_ids=[]))


def test_the_last_rating_of_a_concern_is_what_is_known_of_it() -> None:
    concern = uuid4()
    known: Categories = {}
    assert learn(example(ConcernRaised, concern_id=concern), known) == set()
    assert learn(example(ConcernRated, concern_id=concern, category=Category.MAJOR), known) == {concern}
    assert learn(example(ConcernRated, concern_id=concern, category=Category.MINOR), known) == {concern}
    assert known == {concern: Category.MINOR}
    assert learn(example(ConcernClosed, concern_id=concern, category=None), known) == set()
    assert known == {concern: Category.MINOR}


def test_a_requirement_tells_a_category_only_while_no_rating_is_known() -> None:
    early, late = uuid4(), uuid4()
    known: Categories = {late: Category.MAJOR}
    learn(example(VisitRequired, concern_id=early, category=Category.SIGNIFICANT), known)
    learn(example(VisitRequired, concern_id=late, category=Category.SIGNIFICANT), known)
    assert known == {early: Category.SIGNIFICANT, late: Category.MAJOR}


def test_what_came_with_an_earlier_register_is_history_and_all_else_is_news() -> None:
    for model in (ConcernRaised, ConcernRated, ConcernClosed, VisitRequired):
        assert is_taken_over(example(model, origin=Origin.IMPORTED))
        assert not is_taken_over(example(model, origin=Origin.REPORTED))
    assert not is_taken_over(example(ConcernReopened, reopened_on=date(2025, 1, 1)))


def test_the_concerns_of_every_event_are_found() -> None:
    concern = getattr(example_of(by_model(ConcernRated)).data, "concern_id")  # noqa: B009 no model has it for sure
    for example_event in EXAMPLES:
        names_none = example_event.spec.name.startswith("intelligence.") or example_event.spec.name in UNDECIDED
        if names_none or getattr(example_event.data, "concern_ids", None) == []:
            assert list(concerns_of(example_event.data)) == []
        else:
            assert list(concerns_of(example_event.data)) == [concern], example_event.spec.name


@pytest.mark.parametrize(
    ("kind", "own", "subscribed", "field"),
    [
        (StakeholderKind.LOCAL_EDUCATION_PROVIDER, None, None, "provider_code"),
        (StakeholderKind.LOCAL_EDUCATION_PROVIDER, HERE, ELSEWHERE, "subscriptions.1.provider_code"),
        (StakeholderKind.UNIVERSITY, HERE, None, "provider_code"),
    ],
)
def test_an_entry_that_would_hear_of_others_is_refused_with_the_field_at_fault(
    kind: StakeholderKind, own: str | None, subscribed: str | None, field: str
) -> None:
    wanted = [subscribes(EventName.VISIT_SCHEDULED), subscribes(EventName.VISIT_SCHEDULED, provider=subscribed)]
    with pytest.raises(RuleBroken) as refused:
        check_scope(kind, own, wanted)
    assert refused.value.field == field


def test_a_local_education_provider_may_name_itself_in_a_subscription() -> None:
    check_scope(StakeholderKind.LOCAL_EDUCATION_PROVIDER, HERE, [subscribes(EventName.VISIT_SCHEDULED, provider=HERE)])
