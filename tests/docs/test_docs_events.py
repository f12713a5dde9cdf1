"""The table of events is the registry's, and says who publishes and who reacts as the code does."""

from deploy.local.stack import SERVICES
from shared.contracts.registry import EVENTS, MAX_VALUE_BYTES, PARTITIONS, Topic
from tests.docs import applications
from tests.docs.documents import DOCS, REFERENCE, code, rows, section

PAGE = REFERENCE / "events.md"


def reacting(event_type: str) -> list[str]:
    return [name for name in SERVICES if event_type in applications.spec(name).reactions.event_types]


def test_every_event_stands_in_its_topic_with_producer_readers_and_classification() -> None:
    for topic in Topic:
        expected = [
            [
                f"[`{spec.schema_name}`](../../shared/contracts/generated/schemas/{spec.schema_name}.json)",
                spec.summary,
                f"`{spec.subject_field}`",
                spec.classification.value,
                spec.producer,
                ", ".join(reacting(spec.type)) or "nobody",
            ]
            for spec in EVENTS
            if spec.topic is topic
        ]
        assert list(rows(section(PAGE, topic.value))) == expected


def test_the_envelope_lists_every_attribute_of_a_record() -> None:
    from tests.docs.examples_of_events import headers

    documented = {code(row[0]) for row in rows(section(PAGE, "The headers"))}
    assert documented == headers()


def test_partitions_and_the_size_limit_are_as_declared() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert f"{PARTITIONS} partitions" in text
    assert f"{MAX_VALUE_BYTES // 1024} KiB" in text


def test_the_words_for_lists_of_values_are_those_of_the_contracts() -> None:
    from shared.contracts import concerns, fields, intelligence, training
    from shared.contracts.concerns import ClosureReason
    from shared.contracts.notifications import FailureCode
    from shared.contracts.visits import CancellationReason
    from shared.reference import kinds

    vocabularies = {
        "Category": [f"{value.value} {value.name.lower()}" for value in fields.Category],
        **{
            enum.__name__: [value.value for value in enum]
            for enum in (
                fields.RiskBand,
                fields.Origin,
                fields.VisitKind,
                fields.PanelRole,
                fields.FindingKind,
                fields.Lever,
                fields.AdjustmentReason,
                ClosureReason,
                concerns.Overseer,
                concerns.Register,
                concerns.RegisterState,
                concerns.ExitConditionState,
                concerns.ExitConditionOwner,
                concerns.DismissalReason,
                concerns.ScopePart,
                training.TrainingBasis,
                training.SuspensionReason,
                training.RestorationReason,
                intelligence.SurveyFlag,
                CancellationReason,
                FailureCode,
                kinds.ProviderKind,
                kinds.LearnerGroup,
                kinds.SourceKind,
            )
        },
    }
    documented = {row[0]: row[1] for row in rows(section(PAGE, "Words with a fixed list of values"))}
    assert documented == {name: ", ".join(values) for name, values in vocabularies.items()}


def test_the_explanation_of_the_architecture_draws_every_topic() -> None:
    text = (DOCS / "explanation" / "architecture.md").read_text(encoding="utf-8")
    assert [topic for topic in Topic if topic.value not in text] == []
