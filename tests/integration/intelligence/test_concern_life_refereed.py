"""The referee expects of a concern's history exactly the events that were published."""

from collections import Counter

from deploy.verify.stage_checks import told_by_intelligence
from services.intelligence.store import facts
from shared.contracts.concerns import ConcernClosed, ConcernEscalated, ConcernMerged, ExitConditionSettled
from shared.contracts.registry import by_model
from shared.contracts.training import TrainingRestored, TrainingSuspended
from tests.fixtures.services import ServiceUnderTest
from tests.integration.intelligence.following import TOMORROW, Followed

NATIONAL, REGIONAL = "national_register", "regional_register"


async def test_every_change_is_told_of_as_often_as_the_referee_expects(intelligence: ServiceUnderTest) -> None:
    concern = await Followed.rated(intelligence, 4)
    await concern.do("escalations", register_kind=NATIONAL)
    for _ in range(2):
        await concern.do(
            "exit-conditions", register_kind=NATIONAL, wording="x", owner="education_lead", due_on=str(TOMORROW)
        )
    await concern.checked(NATIONAL)
    await concern.do("de-escalations", register_kind=NATIONAL, conditionally=True)
    for condition, state in zip(concern.view["exit_conditions"], ("met", "withdrawn"), strict=True):
        await concern.do(f"exit-conditions/{condition['id']}/settlement", state=state)
    await concern.do("escalations", register_kind=NATIONAL)
    await concern.do("escalations", register_kind=REGIONAL)
    for _ in range(2):
        await concern.do("training/suspension", reason="patient_safety")
        await concern.do("training/restoration", reason="standards_met")
    await concern.do("training/suspension", reason="patient_safety")
    await concern.do("correction", programme="Urology")
    for _ in range(2):
        other = await Followed.raised(intelligence)
        await concern.do("merger", merged_concern_id=other.id)
    plain = await Followed.rated(intelligence)
    await plain.do("closure", closure_reason="resolved")
    await plain.do("reopening")

    async with intelligence.pool.acquire() as connection, connection.transaction(isolation="repeatable_read"):
        expected = told_by_intelligence(await facts.read(connection))
        saved = await connection.fetch("select type, subject from outbox")
    told = Counter((row["type"], row["subject"]) for row in saved)
    wanted = Counter(
        {
            (by_model(model).type, str(subject)): times
            for model, subjects in expected.items()
            for subject, times in subjects.items()
            if times
        }
    )
    assert told == wanted
    totals = {model: sum(subjects.values()) for model, subjects in expected.items()}
    assert (totals[ConcernEscalated], totals[ExitConditionSettled], totals[ConcernMerged]) == (3, 2, 2)
    assert (totals[ConcernClosed], totals[TrainingSuspended], totals[TrainingRestored]) == (3, 3, 2)
