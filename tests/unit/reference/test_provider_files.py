"""The register of organisations: real ones with sources, fictional ones that cannot be taken for real."""

import re
from datetime import date, timedelta

import pytest

from shared.reference.kinds import ProviderKind

Row = dict[str, str]

COLUMNS = ["ods_code", "name", "kind", "parent_code", "valid_from", "valid_to", "successor_code", "source"]


@pytest.fixture(params=["real", "fictional"])
def register(
    request: pytest.FixtureRequest, real_provider_rows: list[Row], fictional_provider_rows: list[Row]
) -> list[Row]:
    """One of the two provider files, as rows."""
    return real_provider_rows if request.param == "real" else fictional_provider_rows


def test_a_provider_file_has_the_documented_columns_and_only_they(register: list[Row]) -> None:
    assert all(list(row) == COLUMNS for row in register)


def test_every_code_has_the_form_of_an_ods_code_and_occurs_once_in_both_files(
    real_provider_rows: list[Row], fictional_provider_rows: list[Row]
) -> None:
    codes = [row["ods_code"] for row in real_provider_rows + fictional_provider_rows]
    assert [code for code in codes if not re.fullmatch(r"[A-Z0-9]{3,10}", code)] == []
    assert len(codes) == len(set(codes))


def test_every_provider_has_a_name_a_source_and_a_known_kind(register: list[Row]) -> None:
    kinds = {kind.value for kind in ProviderKind}
    assert [row for row in register if not row["name"] or not row["source"] or row["kind"] not in kinds] == []


def test_sites_and_only_sites_belong_to_an_organisation_of_the_same_file(register: list[Row]) -> None:
    by_code = {row["ods_code"]: row for row in register}
    for row in register:
        if row["kind"] == ProviderKind.HOSPITAL_SITE:
            assert by_code[row["parent_code"]]["kind"] != ProviderKind.HOSPITAL_SITE, row["ods_code"]
        else:
            assert row["parent_code"] == "", row["ods_code"]


def test_a_code_begins_before_it_ends(register: list[Row]) -> None:
    for row in register:
        if row["valid_from"] and row["valid_to"]:
            assert date.fromisoformat(row["valid_from"]) < date.fromisoformat(row["valid_to"]), row["ods_code"]


def test_a_successor_is_of_the_same_kind_and_valid_on_the_day_after_the_predecessor_closed(
    register: list[Row],
) -> None:
    by_code = {row["ods_code"]: row for row in register}
    succeeded = [row for row in register if row["successor_code"]]
    assert succeeded, "the file should show at least one succession"
    for row in succeeded:
        successor = by_code[row["successor_code"]]
        day_after = date.fromisoformat(row["valid_to"]) + timedelta(days=1)
        assert successor["kind"] == row["kind"], row["ods_code"]
        assert date.fromisoformat(successor["valid_from"]) <= day_after, row["ods_code"]
        assert not successor["valid_to"] or date.fromisoformat(successor["valid_to"]) >= day_after


def test_following_successors_always_ends(register: list[Row]) -> None:
    by_code = {row["ods_code"]: row for row in register}
    for row in register:
        seen: set[str] = set()
        at = row
        while at["successor_code"]:
            assert at["ods_code"] not in seen, f"{row['ods_code']} is its own successor"
            seen.add(at["ods_code"])
            at = by_code[at["successor_code"]]


def test_no_site_outlives_the_organisation_it_belongs_to(register: list[Row]) -> None:
    by_code = {row["ods_code"]: row for row in register}
    for row in register:
        closed = row["parent_code"] and by_code[row["parent_code"]]["valid_to"]
        assert not closed or "" < row["valid_to"] <= closed, row["ods_code"]


def test_the_east_midlands_trusts_and_sites_are_all_in_the_register(real_providers: dict[str, Row]) -> None:
    trusts = [
        "RWE",
        "RX1",
        "RTG",
        "RWD",
        "RK5",
        "RFS",
        "RNS",
        "RNQ",
        "RT5",
        "RHA",
        "RXM",
        "RP7",
        "RP1",
        "RY8",
        "RY5",
        "RX9",
    ]
    sites = ["RWEAA", "RWEAE", "RWEAK", "RX1RA", "RX1CC", "RTGFG", "RTG02", "RWDDA", "RWDLA", "RK5BC", "RK5HP"]
    assert [code for code in trusts + sites if code not in real_providers] == []
    assert all(real_providers[code]["kind"].endswith("_trust") for code in trusts)
    assert all(real_providers[site]["parent_code"] == site[:3] for site in sites)


def test_there_is_a_fictional_provider_of_every_kind(fictional_provider_rows: list[Row]) -> None:
    assert {row["kind"] for row in fictional_provider_rows} == {kind.value for kind in ProviderKind}


def test_a_fictional_provider_says_so_in_name_and_code(fictional_provider_rows: list[Row]) -> None:
    for row in fictional_provider_rows:
        assert row["name"].endswith("(fictional)")
        assert re.fullmatch(r"FICT[A-Z]{2}\d{3}[A-Z]?", row["ods_code"])


def test_no_real_code_could_be_mistaken_for_a_fictional_one(real_provider_rows: list[Row]) -> None:
    for row in real_provider_rows:
        assert len(row["ods_code"]) <= 8, "the coding frames of the NHS Data Dictionary end at eight characters"
        assert not row["ods_code"].startswith("FICT")
        assert "fictional" not in row["name"].lower()
