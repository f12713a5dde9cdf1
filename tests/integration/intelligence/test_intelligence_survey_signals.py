"""From a file of survey results to flags, their events, and the concerns they propose: traceable to file and line."""

from typing import Any

import pytest

from shared.contracts.concerns import ConcernProposed
from shared.contracts.intelligence import IntelligenceCorrected, IntelligenceFlagged
from shared.security.roles import Role
from tests.fixtures.services import ServiceUnderTest

HEADER = "provider,site,specialty,indicator,year,mean,sd,n"
OURS, SITE, THEIRS = "FICTHT001", "FICTHT001A", [f"ZZZ{number:02}" for number in range(8)]
SPECIALTY = "General surgery"
HEARD = {
    "provider_code": OURS,
    "site_code": SITE,
    "programme": SPECIALTY,
    "learner_group": "medical",
    "source_date": "2024-06-01",
    "summary": "Alone at night.",
}


def year_of(
    year: int, mean: float = 50, *, indicator: str = "Handover", site: str = SITE, first: str = OURS
) -> list[str]:
    """Results of one year: all others have a mean of 80, so that a first one of 50 is red, and of 80 is white."""
    return [
        f"{first},{site},{SPECIALTY},{indicator},{year},{mean},5,50",
        *(f"{code},,{SPECIALTY},{indicator},{year},80,5,50" for code in THEIRS),
    ]


async def bring_in(service: ServiceUnderTest, *rows: str, source: str = "nts", header: str = HEADER) -> dict:
    answer = await service.call(
        "POST",
        f"/imports/{source}",
        role=Role.QUALITY_OFFICER,
        content="\n".join((header, *rows)).encode(),
        headers={"Content-Type": "text/csv"},
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["problems"] == []
    return answer.json()


async def three_years(service: ServiceUnderTest, **more: Any) -> dict:
    return await bring_in(service, *(row for year in (2022, 2023, 2024) for row in year_of(year, **more)))


async def proposals(service: ServiceUnderTest) -> list[dict]:
    answer = await service.call("GET", "/proposals", role=Role.QUALITY_OFFICER)
    return [
        (await service.call("GET", f"/proposals/{one['id']}", role=Role.QUALITY_OFFICER)).json()
        for one in answer.json()["items"]
    ]


async def record(service: ServiceUnderTest, **changes: Any) -> dict:
    body = {**HEARD, "source_kind": "head_of_school", **changes}
    answer = await service.call("POST", "/intelligence", role=Role.QUALITY_OFFICER, json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_triple_red_proposes_a_concern_that_leads_back_to_file_and_line(intelligence: ServiceUnderTest) -> None:
    report = await three_years(intelligence)
    (proposal,) = await proposals(intelligence)
    assert [rule["code"] for rule in proposal["rules"]] == ["triple-red"]
    assert (proposal["site_code"], proposal["programme"], proposal["learner_group"]) == (SITE, SPECIALTY, "medical")
    (one,) = proposal["evidence"]
    assert (one["kind"], one["on"], one["marks"], one["holds"]) == ("flag", "2024-05-01", ["red", "triple_red"], True)
    assert (one["file"]["file_id"], one["file"]["source"], one["file"]["line"]) == (report["file_id"], "nts", 20)
    (event,) = await intelligence.emitted(ConcernProposed)
    assert [str(flag_id) for flag_id in event.flag_ids] == [one["id"]]
    answer = await intelligence.call(
        "POST",
        f"/proposals/{proposal['id']}/acceptance",
        role=Role.QUALITY_OFFICER,
        json={"summary": "Handover has been red for three years.", "rationale": "The school confirms it."},
        headers={"If-Match": '"1"'},
    )
    concern_id = answer.json()["concern_id"]
    evidence = (await intelligence.call("GET", f"/concerns/{concern_id}/evidence", role=Role.QUALITY_OFFICER)).json()
    assert [(one["kind"], one["file"]["line"]) for one in evidence["evidence"]] == [("flag", 20)]


async def test_two_red_years_propose_nothing_and_the_third_does(intelligence: ServiceUnderTest) -> None:
    for year in (2022, 2023):
        await bring_in(intelligence, *year_of(year))
    assert await proposals(intelligence) == []
    await bring_in(intelligence, *year_of(2024))
    assert len(await proposals(intelligence)) == 1


async def test_what_was_a_triple_red_before_the_last_year_is_history(intelligence: ServiceUnderTest) -> None:
    rows = [row for year in (2020, 2021, 2022) for row in year_of(year)]
    await bring_in(intelligence, *rows, *year_of(2023, mean=80))
    assert await proposals(intelligence) == []


async def test_a_file_that_was_in_already_proposes_nothing_more(intelligence: ServiceUnderTest) -> None:
    await three_years(intelligence)
    before = await intelligence.pool.fetchval("select count(*) from outbox")
    await three_years(intelligence)
    assert len(await proposals(intelligence)) == 1
    assert await intelligence.pool.fetchval("select count(*) from outbox") == before


async def test_several_indicators_of_one_place_are_one_proposal(intelligence: ServiceUnderTest) -> None:
    await three_years(intelligence)
    await three_years(intelligence, indicator="Workload")
    (proposal,) = await proposals(intelligence)
    assert len(proposal["evidence"]) == 2
    assert proposal["version"] == 2


@pytest.mark.parametrize("survey_first", [True, False])
async def test_a_red_flag_and_a_comment_on_patient_safety_propose(
    intelligence: ServiceUnderTest, survey_first: bool
) -> None:
    async def survey() -> None:
        await bring_in(intelligence, *year_of(2024))

    async def comment() -> None:
        await record(intelligence, source_kind="nts", theme="patient_safety")

    first, second = (survey, comment) if survey_first else (comment, survey)
    await first()
    assert await proposals(intelligence) == []
    await second()
    (proposal,) = await proposals(intelligence)
    assert [rule["code"] for rule in proposal["rules"]] == ["red-with-patient-safety-comment"]
    assert {one["kind"] for one in proposal["evidence"]} == {"flag", "item"}


@pytest.mark.parametrize(
    ("changes", "agree"),
    [
        ({}, True),
        ({"programme": " general  surgery", "site_code": None, "learner_group": None}, True),
        ({"source_date": "2024-11-01"}, True),
        ({"source_date": "2024-11-02"}, False),
        ({"programme": "Urology"}, False),
        ({"learner_group": "nursing"}, False),
        ({"tendency": "favourable"}, False),
        ({"source_kind": "nts"}, False),
    ],
)
async def test_a_red_flag_agrees_with_another_source_about_its_place(
    intelligence: ServiceUnderTest, changes: dict[str, Any], agree: bool
) -> None:
    await bring_in(intelligence, *year_of(2024))
    await record(intelligence, **changes)
    found = await proposals(intelligence)
    assert [rule["code"] for one in found for rule in one["rules"]] == ["two-sources-agree"] * agree


async def test_two_surveys_agree_without_any_item(intelligence: ServiceUnderTest) -> None:
    header = f"report_type,{HEADER}"
    await bring_in(intelligence, *(f"nts,{row}" for row in year_of(2024)), header=header)
    assert await proposals(intelligence) == []
    await bring_in(intelligence, *(f"gptrainers,{row}" for row in year_of(2024)), header=header)
    (proposal,) = await proposals(intelligence)
    assert proposal["source_kinds"] == ["nts", "other"]


async def test_a_site_that_the_register_does_not_know_is_left_open(intelligence: ServiceUnderTest) -> None:
    await three_years(intelligence, site="NOWHERE")
    (proposal,) = await proposals(intelligence)
    assert proposal["site_code"] is None


async def test_results_of_others_propose_nothing(intelligence: ServiceUnderTest) -> None:
    await three_years(intelligence, first="ZZZ99")
    assert await proposals(intelligence) == []
    assert await intelligence.pool.fetchval("select count(*) from outbox") == 0


async def test_an_organisation_that_comes_late_is_judged_by_what_is_there(intelligence: ServiceUnderTest) -> None:
    await three_years(intelligence, first="FICTNEW01", site="")
    assert await proposals(intelligence) == []
    text = (
        "ods_code,name,kind,parent_code,valid_from,valid_to,successor_code,source\n"
        "FICTNEW01,A new practice (fictional),general_practice,,,,,synthetic\n"
    )
    answer = await intelligence.call("POST", "/imports/providers", role=Role.QUALITY_OFFICER, content=text)
    assert answer.status_code == 200, answer.text
    (proposal,) = await proposals(intelligence)
    assert proposal["provider"]["ods_code"] == "FICTNEW01"
    assert [event.year for event in await intelligence.emitted(IntelligenceFlagged)] == [2024]


async def dismiss(service: ServiceUnderTest, proposal: dict) -> None:
    answer = await service.call(
        "POST",
        f"/proposals/{proposal['id']}/dismissal",
        role=Role.QUALITY_OFFICER,
        json={"reason": "corrected", "rationale": "The publisher corrected the mean."},
        headers={"If-Match": f'"{proposal["version"]}"'},
    )
    assert answer.status_code == 200, answer.text


# Corrections --------------------------------------------------------------------------------------------------------


async def test_a_correction_is_seen_in_the_evidence_and_a_flag_that_is_red_again_is_news(
    intelligence: ServiceUnderTest,
) -> None:
    await three_years(intelligence)
    await bring_in(intelligence, *year_of(2024, mean=80))
    (proposal,) = await proposals(intelligence)
    assert [one["holds"] for one in proposal["evidence"]] == [False]
    await dismiss(intelligence, proposal)
    # Other numbers and the same colour are no news; the same colour after another one is.
    await bring_in(intelligence, *year_of(2024, mean=79))
    assert len(await proposals(intelligence)) == 1
    await bring_in(intelligence, *year_of(2024, mean=51))
    first, second = await proposals(intelligence)
    assert (first["id"], second["state"]) == (proposal["id"], "proposed")
    await dismiss(intelligence, second)
    await bring_in(intelligence, *year_of(2024, mean=52))
    assert len(await proposals(intelligence)) == 2


# What others are told -----------------------------------------------------------------------------------------------


async def test_what_stands_out_now_is_told_by_provider_and_year_without_numbers(intelligence: ServiceUnderTest) -> None:
    report = await three_years(intelligence)
    (event,) = await intelligence.emitted(IntelligenceFlagged)
    assert (event.provider.ods_code, event.year, event.import_id) == (OURS, 2024, report["file_id"])
    assert event.policy_version == "nts-2026-1"
    (result,) = event.results
    assert (result.site_code, result.programme, result.indicator, result.flag) == (SITE, SPECIALTY, "Handover", "red")
    assert result.triple_red
    assert set(result.model_dump()) == {"flag_id", "site_code", "programme", "indicator", "flag", "triple_red"}
    keys = await intelligence.pool.fetch("select distinct key from outbox")
    assert [row["key"] for row in keys] == [OURS]


async def test_each_year_is_told_as_it_comes(intelligence: ServiceUnderTest) -> None:
    for year in (2022, 2023, 2024):
        await bring_in(intelligence, *year_of(year))
    events = await intelligence.emitted(IntelligenceFlagged)
    assert [(event.year, event.results[0].triple_red) for event in events] == [
        (2022, False),
        (2023, False),
        (2024, True),
    ]


async def test_what_no_longer_stands_out_is_told_with_what_it_was(intelligence: ServiceUnderTest) -> None:
    await three_years(intelligence)
    await bring_in(intelligence, *year_of(2023, mean=80))
    events = await intelligence.emitted(IntelligenceCorrected)
    told = {
        event.year: [(r.previous_flag, r.flag, r.previous_triple_red, r.triple_red) for r in event.results]
        for event in events
    }
    assert told == {2023: [("red", "white", False, False)], 2024: [("red", "red", True, False)]}
    assert [event.year for event in await intelligence.emitted(IntelligenceFlagged)] == [2024]


async def test_a_correction_that_leaves_the_colour_is_not_told(intelligence: ServiceUnderTest) -> None:
    await three_years(intelligence)
    await bring_in(intelligence, *year_of(2023, mean=51))
    assert await intelligence.emitted(IntelligenceCorrected) == []


async def test_what_stands_out_nowhere_is_not_told(intelligence: ServiceUnderTest) -> None:
    await bring_in(intelligence, *year_of(2024, mean=80))
    await bring_in(intelligence, *year_of(2024, mean=79.9))
    for model in (IntelligenceFlagged, IntelligenceCorrected):
        told = await intelligence.emitted(model)
        assert all(result.flag in ("red", "green") for event in told for result in event.results)


# Items in files -----------------------------------------------------------------------------------------------------


async def test_items_of_two_files_agree_and_lead_back_to_their_lines(intelligence: ServiceUnderTest) -> None:
    header = "provider_code,site_code,programme,learner_group,reference,source_date,theme,summary,tendency"
    row = f"{OURS},{SITE},{SPECIALTY},medical,R-1,2024-05-02,supervision,Left alone at night.,adverse"
    school = await bring_in(intelligence, row, source="head-of-school", header=header)
    assert await proposals(intelligence) == []
    university = await bring_in(intelligence, row, source="university", header=header)
    (proposal,) = await proposals(intelligence)
    assert [(one["file"]["file_id"], one["file"]["source"], one["file"]["line"]) for one in proposal["evidence"]] == [
        (school["file_id"], "head-of-school", 2),
        (university["file_id"], "university", 2),
    ]
    corrected = row.replace("Left alone at night.", "Not left alone.").replace("adverse", "neutral")
    await bring_in(intelligence, corrected, source="university", header=header)
    (proposal,) = await proposals(intelligence)
    assert [one["holds"] for one in proposal["evidence"]] == [True, False]


async def test_a_comment_on_patient_safety_is_known_however_its_theme_is_written(
    intelligence: ServiceUnderTest,
) -> None:
    await bring_in(intelligence, *year_of(2024))
    header = "provider_code,site_code,programme,learner_group,reference,source_date,theme,summary,tendency"
    row = f"{OURS},{SITE},{SPECIALTY},medical,R-1,2024-10-31,Patient Safety,Nobody to call.,adverse"
    await bring_in(intelligence, row, source="head-of-school", header=header)
    (proposal,) = await proposals(intelligence)
    assert [rule["code"] for rule in proposal["rules"]] == ["red-with-patient-safety-comment", "two-sources-agree"]
