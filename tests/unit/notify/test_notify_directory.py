"""What an entry of the directory may hold, the shipped directory, and how long is waited."""

import json
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

import services.notify
from services.notify.domain.pacing import LONGEST_DELAY_S, delay_s
from services.notify.domain.stakeholders import EmailAddress, EventName, OpenLine, StakeholderKind, check_scope
from services.notify.settings import Settings
from services.notify.views import ImportStakeholder

SHIPPED = Path(services.notify.__file__).parent / "data" / "stakeholders.json"
_ADDRESS = TypeAdapter[str](EmailAddress)
_OPEN_LINE = TypeAdapter[str](OpenLine)


@pytest.fixture(scope="module")
def shipped() -> list[ImportStakeholder]:
    return TypeAdapter(list[ImportStakeholder]).validate_json(SHIPPED.read_bytes())


def test_the_shipped_directory_has_every_kind_of_stakeholder(shipped: list[ImportStakeholder]) -> None:
    assert {entry.kind for entry in shipped} == set(StakeholderKind) - {StakeholderKind.OTHER}


def test_the_shipped_directory_is_taken_by_the_rules_and_has_every_reference_once(
    shipped: list[ImportStakeholder],
) -> None:
    for entry in shipped:
        check_scope(entry.kind, entry.provider_code, entry.subscriptions)
    assert len({entry.reference for entry in shipped}) == len(shipped)


def test_the_shipped_directory_holds_no_address_that_could_be_real(shipped: list[ImportStakeholder]) -> None:
    assert [entry.reference for entry in shipped if not entry.email.endswith(".example")] == []


def test_somebody_is_told_of_each_kind_of_event(shipped: list[ImportStakeholder]) -> None:
    told = {name for entry in shipped for wanted in entry.subscriptions for name in wanted.event_types}
    assert told == set(EventName)


def test_regulators_hear_of_significant_concerns_only(shipped: list[ImportStakeholder]) -> None:
    regulators = [
        entry
        for entry in shipped
        if entry.kind
        in (
            StakeholderKind.GENERAL_MEDICAL_COUNCIL,
            StakeholderKind.CARE_QUALITY_COMMISSION,
            StakeholderKind.NATIONAL_QUALITY_TEAM,
        )
    ]
    assert {wanted.minimum_category for entry in regulators for wanted in entry.subscriptions} == {2}
    wanted = {"concern.rated", "concern.escalated", "concern.de-escalated", "training.suspended", "training.restored"}
    for entry in regulators:
        assert wanted <= {name for subscription in entry.subscriptions for name in subscription.event_types}


def test_local_education_providers_hear_of_visits_findings_and_money(shipped: list[ImportStakeholder]) -> None:
    for entry in shipped:
        if entry.kind is StakeholderKind.LOCAL_EDUCATION_PROVIDER:
            told = {name for wanted in entry.subscriptions for name in wanted.event_types}
            assert told >= {EventName.VISIT_SCHEDULED, EventName.OUTCOME_RECORDED, EventName.INVESTMENT_ADJUSTED}


@pytest.mark.parametrize(
    "address",
    [
        "a@b.example\r\nBcc: c@d.example",
        "a@b.example\nx",
        "Somebody <a@b.example>",
        "a@b.example, c@d.example",
        "a b@c.example",
        "a..b@c.example",
        ".a@c.example",
        "a@localhost",
        "a@-b.example",
        "a@b_c.example",
        "ä@b.example",
        "a@bücher.example",
        '"a b"@c.example',
        "a@b@c.example",
        "a@[127.0.0.1]",
        "=?utf-8?q?a?=@b.example",
        "x" * 65 + "@b.example",
        "a@" + ("b" * 60 + ".") * 5 + "example",
        "",
        "@b.example",
        "a@",
    ],
)
def test_what_is_no_plain_address_is_refused_without_being_repeated(address: str) -> None:
    with pytest.raises(ValidationError) as refused:
        _ADDRESS.validate_python(address)
    assert not any(address and address in error["msg"] for error in refused.value.errors())


@pytest.mark.parametrize("address", ["a@b.example", "first.last+tag@sub.office-1.example", "o'neill_1@b.co.example"])
def test_a_plain_address_is_taken_as_it_is(address: str) -> None:
    assert _ADDRESS.validate_python(f"  {address} ") == address


def test_a_line_that_everybody_may_read_holds_no_address() -> None:
    assert _OPEN_LINE.validate_python("New team") == "New team"
    with pytest.raises(ValidationError):
        _OPEN_LINE.validate_python("now at someone@private.example")


def test_the_wait_begins_short_grows_and_never_exceeds_a_minute() -> None:
    longest = [delay_s(failures, 0) for failures in range(1, 2_000)]
    assert longest[0] <= 1
    assert longest == sorted(longest)
    assert max(longest) == LONGEST_DELAY_S == 60


def test_those_who_failed_together_do_not_all_wait_as_long() -> None:
    assert delay_s(5, 1) == delay_s(5, 0) / 2
    assert delay_s(5, 1) < delay_s(5, 0.3) < delay_s(5, 0)


COMPLETE = {
    "database_url": "postgresql://nobody@127.0.0.1/none",
    "kafka_bootstrap": "127.0.0.1:1",
    "http_port": 1,
    "jwt_secret": "s" * 40,
    "pseudonym_key": "p" * 40,
    "smtp_host": "mail.example",
    "smtp_sender": "quality@office.example",
}


def test_a_password_is_never_sent_in_the_clear() -> None:
    log_in = {"smtp_username": "office", "smtp_password": "open-sesame"}
    with pytest.raises(ValidationError, match="QC_SMTP_STARTTLS"):
        Settings.model_validate(COMPLETE | log_in)
    settings = Settings.model_validate(COMPLETE | log_in | {"smtp_starttls": True})
    assert settings.mail_server().password == "open-sesame"
    assert "open-sesame" not in repr(settings) + repr(settings.mail_server())


def test_a_log_in_needs_both_halves() -> None:
    with pytest.raises(ValidationError, match="QC_SMTP_PASSWORD"):
        Settings.model_validate(COMPLETE | {"smtp_username": "office", "smtp_starttls": True})


def test_a_claim_outlasts_the_sending_of_a_message() -> None:
    settings = Settings.model_validate(COMPLETE | {"smtp_timeout_s": 60})
    assert settings.lease_s > settings.smtp_timeout_s


def test_every_setting_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_the_shipped_directory_is_a_plain_list() -> None:
    assert isinstance(json.loads(SHIPPED.read_text(encoding="utf-8")), list)
