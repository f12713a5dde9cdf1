"""The two concern files: facts about real providers, and inventions about fictional ones, never mixed."""

import re
from collections import Counter
from datetime import date

import pytest

from shared.contracts.concerns import ClosureReason
from shared.reference.financial_year import FinancialYear
from shared.reference.kinds import LearnerGroup, ProviderKind, SourceKind
from shared.reference.standards import standard_set

Row = dict[str, str]

COLUMNS = [
    "reference",
    "origin",
    "provider_code",
    "site_code",
    "programme",
    "learner_group",
    "standards",
    "source_kind",
    "source_date",
    "raised_on",
    "summary",
    "action",
    "impact",
    "likelihood",
    "category",
    "rationale",
    "rated_on",
    "status",
    "closed_on",
    "closure_reason",
    "source",
]
RATING = ("impact", "likelihood", "category", "rationale", "rated_on")


@pytest.fixture(params=["published", "synthetic"])
def concerns(request: pytest.FixtureRequest, published_concerns: list[Row], synthetic_concerns: list[Row]) -> list[Row]:
    """One of the two concern files, as rows."""
    return published_concerns if request.param == "published" else synthetic_concerns


@pytest.fixture
def providers(
    concerns: list[Row], real_providers: dict[str, Row], fictional_providers: dict[str, Row]
) -> dict[str, Row]:
    """The register that the concerns of this file must be found in."""
    return real_providers if concerns[0]["origin"] == "published" else fictional_providers


def test_a_concern_file_has_the_documented_columns_and_only_they(concerns: list[Row]) -> None:
    assert all(list(row) == COLUMNS for row in concerns)


def test_no_reference_occurs_twice_in_both_files(published_concerns: list[Row], synthetic_concerns: list[Row]) -> None:
    counted = Counter(row["reference"] for row in published_concerns + synthetic_concerns)
    assert [reference for reference, times in counted.items() if times > 1] == []


def test_every_word_of_a_closed_vocabulary_is_a_known_one(concerns: list[Row]) -> None:
    for row in concerns:
        LearnerGroup(row["learner_group"])
        SourceKind(row["source_kind"])
        assert row["status"] in ("open", "closed")


def test_every_required_field_is_filled(concerns: list[Row]) -> None:
    required = "reference origin provider_code programme learner_group source_kind raised_on summary status source"
    for row in concerns:
        assert [field for field in required.split() if not row[field].strip()] == [], row["reference"]


def test_every_provider_is_an_organisation_in_the_register_and_valid_when_the_concern_was_raised(
    concerns: list[Row], providers: dict[str, Row]
) -> None:
    for row in concerns:
        provider = providers[row["provider_code"]]
        assert provider["kind"] != ProviderKind.HOSPITAL_SITE, row["reference"]
        assert provider["valid_from"] <= row["raised_on"], row["reference"]
        assert not provider["valid_to"] or row["raised_on"] <= provider["valid_to"], row["reference"]


def test_every_site_belongs_to_the_provider_and_was_valid_when_the_concern_was_raised(
    concerns: list[Row], providers: dict[str, Row]
) -> None:
    with_site = [row for row in concerns if row["site_code"]]
    assert with_site
    for row in with_site:
        site = providers[row["site_code"]]
        assert site["parent_code"] == row["provider_code"], row["reference"]
        assert site["valid_from"] <= row["raised_on"], row["reference"]
        assert not site["valid_to"] or row["raised_on"] <= site["valid_to"], row["reference"]


def test_every_standard_named_exists_in_the_current_set_and_once_per_row(concerns: list[Row]) -> None:
    known = standard_set()
    for row in concerns:
        numbers = [number for number in row["standards"].split(";") if number]
        assert len(numbers) == len({known.get(number).number for number in numbers}), row["reference"]


def test_dates_follow_each_other_from_source_to_closure(concerns: list[Row]) -> None:
    for row in concerns:
        order = [row[field] for field in ("source_date", "raised_on", "rated_on", "closed_on") if row[field]]
        assert [date.fromisoformat(day).isoformat() for day in order] == sorted(order), row["reference"]


def test_closed_concerns_and_only_they_have_a_day_and_a_reason(concerns: list[Row]) -> None:
    for row in concerns:
        if row["status"] == "closed":
            date.fromisoformat(row["closed_on"])
            ClosureReason(row["closure_reason"])
        else:
            assert row["closed_on"] == row["closure_reason"] == "", row["reference"]


def test_free_text_holds_nothing_that_could_identify_a_person(concerns: list[Row]) -> None:
    identifying = re.compile(r"\b(?:Dr|Mr|Mrs|Ms|Miss|Prof|Sister)\.? [A-Z]|@|\b\d{10,11}\b|\b\d{7}\b")
    for row in concerns:
        for field in ("programme", "summary", "action", "rationale"):
            assert not identifying.search(row[field]), row["reference"]


def test_the_eight_published_cases_are_shipped_each_with_the_publication_it_rests_on(
    published_concerns: list[Row],
) -> None:
    assert sorted(row["provider_code"] for row in published_concerns) == sorted(
        ["R1K", "G6V2S", "RY6", "RYC", "RCB", "RTF", "RAL", "RA7"]
    )
    for row in published_concerns:
        assert row["origin"] == "published"
        assert re.search(r"https://\S+", row["source"]), row["reference"]
        assert re.search(r"[A-Za-z]{4}", re.sub(r"https://\S+", "", row["source"])), row["reference"]


def test_no_published_case_is_given_a_rating_or_a_standard_that_was_not_published(
    published_concerns: list[Row],
) -> None:
    for row in published_concerns:
        assert [field for field in (*RATING, "standards") if row[field]] == [], row["reference"]


def test_a_regular_review_of_a_real_provider_is_not_kept_as_an_open_concern(
    published_concerns: list[Row],
) -> None:
    without_concern = [row for row in published_concerns if "no concern is stated" in row["action"]]
    assert {row["provider_code"] for row in without_concern} == {"RY6", "RTF"}
    assert {(row["status"], row["closure_reason"]) for row in without_concern} == {("closed", "not_upheld")}


def test_the_synthetic_year_has_the_volumes_of_one_office(synthetic_concerns: list[Row]) -> None:
    assert len(synthetic_concerns) == 36
    assert sum(int(row["category"]) >= 2 for row in synthetic_concerns) == 5
    assert sum(row["status"] == "closed" for row in synthetic_concerns) == 20
    assert {FinancialYear.of(date.fromisoformat(row["raised_on"])).label for row in synthetic_concerns} == {"2023-24"}
    assert max(row["closed_on"] for row in synthetic_concerns) <= "2024-08-31"


def test_every_synthetic_concern_is_rated_within_the_scales(synthetic_concerns: list[Row]) -> None:
    for row in synthetic_concerns:
        assert int(row["impact"]) in range(1, 6)
        assert int(row["likelihood"]) in range(1, 6)
        assert int(row["category"]) in range(5)
        assert row["rationale"]
        date.fromisoformat(row["rated_on"])


def test_the_synthetic_year_reaches_every_kind_of_provider_and_every_source(
    synthetic_concerns: list[Row], fictional_providers: dict[str, Row]
) -> None:
    codes = {row[field] for row in synthetic_concerns for field in ("provider_code", "site_code") if row[field]}
    assert {fictional_providers[code]["kind"] for code in codes} == {kind.value for kind in ProviderKind}
    assert {row["source_kind"] for row in synthetic_concerns} == {kind.value for kind in SourceKind}
    assert {row["learner_group"] for row in synthetic_concerns} == {group.value for group in LearnerGroup}


def test_the_synthetic_year_is_marked_as_invented(synthetic_concerns: list[Row]) -> None:
    assert {row["origin"] for row in synthetic_concerns} == {"synthetic"}
    assert all(row["reference"].startswith("SYN-") for row in synthetic_concerns)
    assert all(row["source"].startswith("Synthetic") for row in synthetic_concerns)


def test_no_synthetic_concern_has_a_real_providers_code(
    synthetic_concerns: list[Row], real_providers: dict[str, Row]
) -> None:
    for row in synthetic_concerns:
        assert row["provider_code"] not in real_providers
        assert row["site_code"] not in real_providers


# Words in the names of real providers that name no place.
_GENERIC = frozenset(
    re.findall(
        r"\S+",
        """
        university hospitals hospital trust foundation teaching healthcare health community services service
        ambulance partnership general royal mental centre medical practice district emergency specialist care
        north south west east northern western midlands area free park cross infirmary queen king mill city
        county forest london england king's queen’s king’s springs lakeside surgery
        """,
    )
)


def test_no_invented_text_or_name_mentions_a_real_provider_or_its_place(
    synthetic_concerns: list[Row],
    fictional_provider_rows: list[Row],
    real_provider_rows: list[Row],
) -> None:
    places = {
        word
        for row in real_provider_rows
        for word in re.findall(r"[a-z’']{4,}", row["name"].lower())
        if word not in _GENERIC
    }
    assert {"leicester", "nottingham", "weston", "highgate", "northwick"} <= places
    texts = [
        *(row[field] for row in synthetic_concerns for field in ("programme", "summary", "action", "rationale")),
        *(row["name"] for row in fictional_provider_rows),
    ]
    assert [(text, hits) for text in texts if (hits := places & set(re.findall(r"[a-z’']+", text.lower())))] == []
