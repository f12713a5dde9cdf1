"""Ratings, organisations and concerns as pure decisions."""

import uuid
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intelligence.domain.concern import Concern, Status
from services.intelligence.domain.organisation import Organisation, require_provider
from services.intelligence.domain.rating import Rating
from services.intelligence.domain.story import concerns_of, pounds, sentence
from shared.contracts.concerns import ClosureReason
from shared.contracts.examples import example_of
from shared.contracts.fields import Category, Money, Origin, RiskBand, VisitKind
from shared.contracts.registry import EVENTS, by_model
from shared.contracts.visits import VisitRequired
from shared.reference.kinds import LearnerGroup, ProviderKind, SourceKind
from shared.rules import NotInThisState, RuleBroken

TRUST = Organisation("FICTHT001", "A (fictional)", ProviderKind.HOSPITAL_TRUST, None, None, None, None, "test")


def concern(**changes: object) -> Concern:
    return Concern(
        **{
            "id": uuid.uuid4(),
            "reference": "C-2024-0001",
            "origin": Origin.REPORTED,
            "provider": TRUST,
            "site_code": None,
            "programme": "Surgery",
            "learner_group": LearnerGroup.MEDICAL,
            "standard_set": "hee-qf-2021",
            "standards": ("1.1",),
            "source_kind": SourceKind.LEARNER,
            "source_date": None,
            "raised_on": date(2024, 5, 1),
            "summary": "x",
            "action": None,
            **changes,
        }
    )


@pytest.mark.parametrize(
    ("impact", "likelihood", "band", "suggested"),
    [
        (1, 3, RiskBand.LOW, Category.NONE),
        (2, 2, RiskBand.MODERATE, Category.MINOR),
        (2, 3, RiskBand.MODERATE, Category.MINOR),
        (2, 4, RiskBand.HIGH, Category.SIGNIFICANT),
        (3, 4, RiskBand.HIGH, Category.SIGNIFICANT),
        (3, 5, RiskBand.EXTREME, Category.MAJOR),
        (5, 5, RiskBand.EXTREME, Category.MAJOR),
    ],
)
def test_the_score_suggests_a_category(impact: int, likelihood: int, band: RiskBand, suggested: Category) -> None:
    rating = Rating(impact, likelihood)
    assert (rating.band, rating.suggested_category) == (band, suggested)


@given(st.integers(1, 5), st.integers(1, 5))
def test_suspension_of_training_is_never_suggested(impact: int, likelihood: int) -> None:
    assert Rating(impact, likelihood).suggested_category is not Category.TRAINING_SUSPENDED


@pytest.mark.parametrize(("impact", "likelihood"), [(0, 1), (6, 1), (1, 0), (1, 6)])
def test_a_rating_out_of_range_cannot_be_made(impact: int, likelihood: int) -> None:
    with pytest.raises(ValueError, match="1 to 5"):
        Rating(impact, likelihood)


def test_a_rating_keeps_the_category_before_it() -> None:
    first, _ = concern().rate(Rating(4, 4), Category.MAJOR, date(2024, 5, 2), why="x")
    second, event = first.rate(Rating(1, 1), Category.NONE, date(2024, 6, 2), why="x")
    assert (event.previous_category, event.category, second.version) == (Category.MAJOR, Category.NONE, 3)


def test_a_closed_concern_is_neither_rated_nor_closed_again() -> None:
    closed, _ = concern().close(ClosureReason.RESOLVED, date(2024, 5, 9), why="x")
    assert (closed.status, closed.closed_on) == (Status.CLOSED, date(2024, 5, 9))
    with pytest.raises(NotInThisState):
        closed.rate(Rating(1, 1), Category.NONE, date(2024, 5, 10), why="x")
    with pytest.raises(NotInThisState):
        closed.close(ClosureReason.RESOLVED, date(2024, 5, 10), why="x")
    with pytest.raises(NotInThisState):
        concern().reopen(date(2024, 5, 10), why="x")


def test_nothing_happens_before_a_concern_was_raised() -> None:
    with pytest.raises(RuleBroken):
        concern().rate(Rating(1, 1), Category.NONE, date(2024, 4, 30), why="x")
    with pytest.raises(RuleBroken):
        concern().close(ClosureReason.RESOLVED, date(2024, 4, 30), why="x")


def test_a_code_counts_only_on_the_days_it_was_valid() -> None:
    closed = Organisation(
        "FICTHT004", "B", ProviderKind.HOSPITAL_TRUST, None, date(2000, 1, 1), date(2023, 9, 30), "FICTHT003", "t"
    )
    register = {"FICTHT004": closed}
    assert require_provider(register, "FICTHT004", None, date(2023, 9, 30)) is closed
    with pytest.raises(RuleBroken, match="FICTHT003"):
        require_provider(register, "FICTHT004", None, date(2023, 10, 1))


@pytest.mark.parametrize(("pence", "text"), [(0, "£0.00"), (-5, "−£0.05"), (123_456_789, "£1,234,567.89")])
def test_money_is_told_in_pounds(pence: int, text: str) -> None:
    assert pounds(Money(pence=pence)) == text


def test_every_event_has_a_sentence_and_names_its_concerns() -> None:
    for spec in EVENTS:
        data = example_of(spec).data
        fields = data.model_dump()
        named = fields.get("concern_ids") or [
            fields[name] for name in ("concern_id", "merged_concern_id") if fields.get(name)
        ]
        assert concerns_of(data) == named, spec.type
        assert not named or "no words" not in sentence(data), spec.type


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (VisitKind.URGENT_RISK_REVIEW, "Calls for an urgent risk review by"),
        (VisitKind.TRIGGERED_VISIT, "Calls for a triggered visit by"),
    ],
)
def test_a_sentence_reads_well(kind: VisitKind, words: str) -> None:
    data = example_of(by_model(VisitRequired)).data
    assert sentence(data.model_copy(update={"kind": kind})).startswith(words)
