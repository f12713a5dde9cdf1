"""The offices that exchange events, and the files that ship with the package."""

import re

import pytest

from shared.reference import files
from shared.reference.offices import OFFICES, UnknownOffice, office


def test_there_are_thirteen_local_offices_of_england_and_four_counterparts() -> None:
    assert sum(entry.in_england for entry in OFFICES) == 13
    assert {entry.slug for entry in OFFICES if not entry.in_england} == {"nes", "heiw", "nimdta", "defence"}


def test_slugs_are_unique_and_fit_into_a_url() -> None:
    slugs = [entry.slug for entry in OFFICES]
    assert len(slugs) == len(set(slugs))
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", slug) for slug in slugs)


def test_an_office_is_found_by_its_slug() -> None:
    assert office("east-midlands").name == "East Midlands"


def test_an_unknown_office_is_refused_with_those_there_are() -> None:
    with pytest.raises(UnknownOffice, match=r"'east-midland'.*east-midlands"):
        office("east-midland")


def test_a_shipped_file_is_found_by_its_name() -> None:
    assert files.path("providers.csv").read_text(encoding="utf-8").startswith("ods_code,")


@pytest.mark.parametrize("name", ["nothing.csv", "../kinds.py", "", "/etc/hostname"])
def test_what_does_not_ship_is_refused_with_the_names_of_what_does(name: str) -> None:
    with pytest.raises(files.UnknownDataFile, match=r"providers\.csv"):
        files.path(name)
