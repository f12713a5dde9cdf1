"""The demo's survey says what its story needs: one place that is red for three years, and no other."""

import json
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli.main import application
from deploy.demo import survey


@pytest.mark.parametrize(
    ("today", "years"),
    [
        (date(2026, 4, 30), (2023, 2024, 2025)),
        (date(2026, 5, 1), (2024, 2025, 2026)),
        (date(2026, 12, 31), (2024, 2025, 2026)),
    ],
)
def test_the_survey_is_of_the_last_three_years_that_can_be_known(today: date, years: tuple[int, ...]) -> None:
    assert survey.years(today) == years


def test_one_place_is_red_each_year_and_nobody_else_is(tmp_path: Path) -> None:
    file = tmp_path / "survey.csv"
    file.write_text(survey.results("FICTHT001", "FICTHT001A", "Urology", "Workload", date(2026, 11, 23)))
    done = CliRunner().invoke(application("flags"), ["flags", str(file), "--json"])
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    red = [(row["provider"], row["year"], row["triple_red"]) for row in rows if row["flag"] == "red"]
    assert red == [("FICTHT001", 2024, False), ("FICTHT001", 2025, False), ("FICTHT001", 2026, True)]
    assert {row["indicator"] for row in rows} == {"Workload"}


def test_each_playing_finds_an_indicator_of_its_own() -> None:
    assert len(set(survey.INDICATORS)) == len(survey.INDICATORS) == 18
