"""What stakeholders read: templates, redaction, and the message that is sent."""

import email
import email.policy
import json
import re
from datetime import UTC, datetime
from email.message import EmailMessage, Message
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import pytest
from pydantic import Field

import services.notify
from services.notify.domain.redaction import for_partners
from services.notify.domain.stakeholders import EventName
from services.notify.mailer import MailServer, write
from services.notify.templating import About, Letter, TemplateFailed, fill, newest
from shared.contracts.concerns import ConcernRaised, ConcernRated
from shared.contracts.examples import EXAMPLES, Example, example_of
from shared.contracts.fields import Classification, EventData, classification_of, internal, partner, public
from shared.contracts.outcomes import OutcomeRecorded
from shared.contracts.registry import by_model

TOLD = [example for example in EXAMPLES if example.spec.name in set(EventName)]
TEMPLATES = Path(services.notify.__file__).parent / "templates"
SERVER = MailServer("mail.example", 25, "quality@office.example", None, None, False, 5)


def names(example: Example) -> str:
    return example.spec.name


def letter_of(example: Example) -> Letter:
    name = EventName(example.spec.name)
    return fill(newest(name), for_partners(example.data), About(example.envelope.id, name, example.envelope.time))


# Templates ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("example", TOLD, ids=names)
def test_the_newest_template_of_every_event_says_who_it_is_about_and_by_which_event(example: Example) -> None:
    letter = letter_of(example)
    provider = example.payload()["provider"]
    assert isinstance(provider, dict)
    assert str(provider["name"]) in letter.subject
    assert str(provider["ods_code"]) in letter.body
    assert str(example.envelope.id) in letter.body
    assert "None" not in letter.body
    assert "{{" not in letter.body
    assert "\n\n\n" not in letter.body


@pytest.mark.parametrize("path", sorted(TEMPLATES.iterdir()), ids=lambda path: path.stem)
def test_every_version_of_a_template_can_be_filled_for_its_event(path: Path) -> None:
    stem, _, _ = path.stem.partition("@")
    example = next(example for example in TOLD if example.spec.name.replace(".", "-") == stem)
    about = About(example.envelope.id, EventName(example.spec.name), example.envelope.time)
    assert fill(path.stem, for_partners(example.data), about).subject


@pytest.mark.parametrize("example", TOLD, ids=names)
def test_every_template_can_be_filled_when_all_that_is_optional_is_missing(example: Example) -> None:
    bare = {
        name: field.get_default(call_default_factory=True)
        for name, field in type(example.data).model_fields.items()
        if not field.is_required()
    }
    lists = {name: [] for name, value in example.data if isinstance(value, list) and name in ("findings", "standards")}
    data = example.data.model_copy(update=bare | lists)
    name = EventName(example.spec.name)
    letter = fill(newest(name), for_partners(data), About(example.envelope.id, name, example.envelope.time))
    assert "None" not in letter.body


def test_money_taken_away_reads_as_such() -> None:
    example = next(example for example in TOLD if example.spec.name == "investment.adjusted")
    assert "minus £42,500.00" in letter_of(example).body


def test_findings_are_listed_with_their_day() -> None:
    letter = letter_of(example_of(by_model(OutcomeRecorded)))
    assert "- mandatory requirement, standard 3.5, answer due by 30 January 2026" in letter.body
    assert "- good practice, standard 4.2\n" in letter.body


def test_a_field_that_is_missing_fails_the_template_instead_of_leaving_a_hole() -> None:
    data = for_partners(example_of(by_model(ConcernRated)).data)
    del data["category"]
    with pytest.raises(TemplateFailed, match="concern-rated@1"):
        fill("concern-rated@1", data, About(uuid4(), EventName.CONCERN_RATED, datetime.now(UTC)))


def test_a_value_no_filter_can_read_fails_the_template_without_repeating_it() -> None:
    data = for_partners(example_of(by_model(ConcernRated)).data) | {"rated_on": "someone@private.example"}
    with pytest.raises(TemplateFailed) as failed:
        fill("concern-rated@1", data, About(uuid4(), EventName.CONCERN_RATED, datetime.now(UTC)))
    assert "private" not in str(failed.value)


def test_a_template_that_is_not_there_fails() -> None:
    with pytest.raises(TemplateFailed, match="concern-rated@999"):
        fill("concern-rated@999", {}, About(uuid4(), EventName.CONCERN_RATED, datetime.now(UTC)))


# The message -------------------------------------------------------------------------------------------------------


def message_of(letter: Letter, recipient: str = "someone@org.example") -> Message:
    content = write(
        letter,
        delivery_id=uuid4(),
        event_id=uuid4(),
        server=SERVER,
        recipient=recipient,
        now=datetime(2025, 10, 6, 9, 12, tzinfo=UTC),
    )
    return email.message_from_bytes(content, policy=email.policy.default)


def test_no_name_of_an_event_can_add_a_header() -> None:
    data = for_partners(example_of(by_model(ConcernRated)).data)
    provider = data["provider"]
    assert isinstance(provider, dict)
    evil = "Trust\r\nBcc: victim@private.example\r\n\r\nhello\u2028there"
    data |= {"provider": provider | {"name": evil}}
    letter = fill("concern-rated@1", data, About(uuid4(), EventName.CONCERN_RATED, datetime.now(UTC)))
    message = message_of(letter)
    assert "Bcc" not in message
    assert message["To"] == "someone@org.example"
    assert "\n" not in message["Subject"]


def test_the_same_delivery_always_has_the_same_message_id_and_another_has_another() -> None:
    one, other = uuid4(), uuid4()
    letter = Letter("A subject", "A text\n")

    def message_id(delivery: object) -> str:
        content = write(
            letter,
            delivery_id=delivery,  # pyright: ignore[reportArgumentType] a UUID
            event_id=uuid4(),
            server=SERVER,
            recipient="someone@org.example",
            now=datetime.now(UTC),
        )
        return str(email.message_from_bytes(content)["Message-ID"])

    assert message_id(one) == message_id(one) == f"<{one}@office.example>"
    assert message_id(one) != message_id(other)


def test_a_message_is_plain_text_that_any_mail_server_takes() -> None:
    subject = "Sherwell “Vale” – " + "a long name " * 12
    content = write(
        Letter(subject, "£1 × 2\n" + "x" * 3000 + "\n.\n"),
        delivery_id=uuid4(),
        event_id=uuid4(),
        server=SERVER,
        recipient="someone@org.example",
        now=datetime.now(UTC),
    )
    assert content.isascii()
    assert max(len(line) for line in content.split(b"\r\n")) <= 998
    assert b"\n" not in content.replace(b"\r\n", b"")
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert message["Subject"] == subject.strip() or message["Subject"] == subject
    assert message.get_content_type() == "text/plain"
    assert message["Auto-Submitted"] == "auto-generated"


@pytest.mark.parametrize(
    "subject",
    [
        "Short",
        "Sherwell Vale Hospitals (fictional): a concern of " + "many words " * 13,
        "=?utf-8?q?not_encoded?= at all",
        "a" * 200,
        "Ynys Môn – " + "ŵ" * 150,
    ],
)
def test_every_subject_arrives_as_it_is_in_lines_that_are_not_long(subject: str) -> None:
    content = write(
        Letter(subject.strip(), "A text\n"),
        delivery_id=uuid4(),
        event_id=uuid4(),
        server=SERVER,
        recipient="someone@org.example",
        now=datetime.now(UTC),
    )
    assert email.message_from_bytes(content, policy=email.policy.default)["Subject"] == subject.strip()
    lines = content.split(b"\r\n")
    assert max(len(line) for line in lines) <= (78 if " " in subject else 998)


@pytest.mark.parametrize(
    "body", ["=\n", " ends with a space \n", "\n\nx\n", "one\r\ntwo\n", "x" * 5000 + "\n", "ŵ" * 900 + "\n"]
)
def test_every_text_arrives_as_it_is(body: str) -> None:
    message = message_of(Letter("A subject", body))
    assert isinstance(message, EmailMessage)
    assert message.get_content().replace("\r\n", "\n") == body.replace("\r\n", "\n")


@pytest.mark.parametrize(
    "recipient", ["a@b.example\r\nBcc: c@d.example", "a@b.example\r\n c", "ä@b.example", "a\x00@b.example"]
)
def test_a_header_that_would_be_more_than_one_line_of_ascii_is_refused(recipient: str) -> None:
    with pytest.raises(ValueError, match="header To"):
        message_of(Letter("A subject", "A text\n"), recipient)


# Redaction ---------------------------------------------------------------------------------------------------------


def internal_values(model: object) -> list[str]:
    """The values of all internal fields of an event, however deep."""
    found: list[str] = []
    if isinstance(model, list):
        for item in model:
            found += internal_values(item)
    if isinstance(model, EventData):
        for name, field in type(model).model_fields.items():
            if classification_of(field) is Classification.INTERNAL:
                found.append(name)
            else:
                found += internal_values(getattr(model, name))
    return found


def keys_of(value: object) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {key for inner in value.values() for key in keys_of(inner)}
    if isinstance(value, list):
        return {key for inner in value for key in keys_of(inner)}
    return set()


@pytest.mark.parametrize("example", EXAMPLES, ids=names)
def test_no_internal_field_of_any_event_is_shown_and_no_other_is_lost(example: Example) -> None:
    shown = for_partners(example.data)
    assert keys_of(shown) == keys_of(example.payload()) - set(internal_values(example.data))


def test_what_a_source_was_and_who_recorded_an_outcome_stay_inside() -> None:
    raised = for_partners(example_of(by_model(ConcernRaised)).data)
    assert not {"source_kind", "source_date", "origin"} & set(raised)
    assert "recorded_by" not in for_partners(example_of(by_model(OutcomeRecorded)).data)


class _Inner(EventData):
    shown: str = public("Shown.")
    hidden: str = internal("Hidden.")


class _Outer(EventData):
    one: _Inner = partner("One.")
    many: list[_Inner] = partner("Many.")
    named: dict[str, _Inner] = partner("By name.")
    forgotten: Annotated[str, Field(description="Its author forgot the classification.")]
    hidden: _Inner = internal("Hidden.")


def test_redaction_reaches_into_lists_and_mappings_and_leaves_out_what_nobody_classified() -> None:
    inner = _Inner(shown="yes", hidden="secret")
    outer = _Outer(one=inner, many=[inner, inner], named={"a": inner}, forgotten="secret", hidden=inner)
    shown = {"shown": "yes"}
    assert for_partners(outer) == {"one": shown, "many": [shown, shown], "named": {"a": shown}}
    assert "secret" not in json.dumps(for_partners(outer))


def test_every_template_file_is_named_by_event_and_version() -> None:
    for path in TEMPLATES.iterdir():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)+@[1-9][0-9]*\.txt", path.name), path.name
