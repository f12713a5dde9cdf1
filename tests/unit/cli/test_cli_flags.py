"""What `qc flags` reads, prints and says."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from deploy.cli.main import application
from deploy.local.errors import UserError

HEADER = "provider,site,specialty,indicator,year,mean,sd,n"

#: Five rows of one group and year: Q1 60, Q3 80; the outer two are apart from the benchmark of 70.1 ± 3.04.
GROUP = """\
FICTHT001,FICTHT001A,General surgery,Induction,{year},50,10,25
FICTHT002,,General surgery,Induction,{year},60,10,25
FICTHT003,,General surgery,Induction,{year},70.50,10.25,25
FICTHT004,,General surgery,Induction,{year},80,10,25
FICTHT005,,General surgery,Induction,{year},90,10,25
"""


@pytest.fixture
def survey(tmp_path: Path) -> Path:
    return tmp_path / "survey.csv"


def run(file: Path, text: str | bytes, *options: str) -> Result:
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return CliRunner().invoke(application("flags"), ["flags", str(file), *options])


def objects(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_each_row_comes_back_in_its_place_with_its_flag(survey: Path) -> None:
    few = "FICTHT006,,General surgery,Induction,2024,,,2\nFICTHT007,,General surgery,Induction,2024,,,0\n"
    text = f"{HEADER}\n{few}{GROUP.format(year=2024)}{GROUP.format(year=2022)}{GROUP.format(year=2023)}"
    result = run(survey, text, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    found = objects(result)
    for shown, row in zip(found, csv.DictReader(io.StringIO(text)), strict=True):
        assert list(shown) == [*HEADER.split(","), "flag", "triple_red"]
        for column in ("provider", "site", "specialty", "indicator"):
            assert shown[column] == row[column]
        for column in ("year", "mean", "sd", "n"):
            assert shown[column] == (float(row[column]) if row[column] else None)
    year = ["red", "white", "white", "white", "green"]
    assert [shown["flag"] for shown in found] == ["grey", "yellow", *year, *year, *year]
    assert [place for place, shown in enumerate(found) if shown["triple_red"]] == [2]
    assert found[4]["mean"] == 70.5
    assert result.stdout.splitlines()[2] == (
        '{"provider": "FICTHT001", "site": "FICTHT001A", "specialty": "General surgery", "indicator": "Induction", '
        '"year": 2024, "mean": 50, "sd": 10, "n": 25, "flag": "red", "triple_red": true}'
    )


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("A,,S,I,2024,seventy,10,25", "column mean: is no number"),
        ("A,,S,I,2024,70,10,2.5", "column n: is no whole number"),
        ("A,,S,I,2024,70,10,", "column n: is no whole number"),
        ("A,,S,I,2024,70,10,-1", "column n: Input should be greater than or equal to 0"),
        ("A,,S,I,2024,70,-1,25", "column sd: Input should be greater than or equal to 0"),
        ("A,,S,I,2024,,10,3", "column mean: is needed where n is 3 or more"),
        ("A,,S,I,2024,70,,3", "column sd: is needed where n is 3 or more"),
        ("A,,S,I,2024,nan,10,25", "column mean: is no number"),
        ("A,,S,I,2024,1e999,10,25", "column mean: is no number"),
        ('A,,S,I,2024,"70,5",10,25', "column mean: is no number"),
        ("A,,S,I,MMXXIV,70,10,25", "column year: is no whole number"),
        ("A,,S,I,24,70,10,25", "column year: Input should be greater than or equal to 1900"),
        (",,S,I,2024,70,10,25", "column provider: String should have at least 1 character"),
        ("A,,,I,2024,70,10,25", "column specialty: String should have at least 1 character"),
        ("A,,S,,2024,70,10,25", "column indicator: String should have at least 1 character"),
        ("A,,S,I,2024,70,10", ": has 7 columns instead of 8"),
    ],
)
def test_a_bad_row_is_named_and_the_others_are_flagged_without_it(survey: Path, row: str, said: str) -> None:
    good = GROUP.format(year=2024)
    alone = run(survey, f"{HEADER}\n{good}", "--json")
    result = run(survey, f"{HEADER}\n{row}\n{good}", "--json")
    assert result.exit_code == 1
    assert f"{survey}: line 2" in result.stderr
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == alone.stdout


@pytest.mark.parametrize(
    ("mean", "sd", "n", "shown"),
    [
        ("70.0", " 10 ", "25.0", (70, 10, 25)),
        ("+70.10", "1e1", "25", (70.1, 10, 25)),
        (".5", "0", "3", (0.5, 0, 3)),
        ("-5.", "0.000000000000014", "3", (-5, 0.000000000000014, 3)),
        ("70", "", "2", (70, None, 2)),
    ],
)
def test_numbers_may_be_written_as_spreadsheets_write_them(
    survey: Path, mean: str, sd: str, n: str, shown: tuple[float | None, ...]
) -> None:
    result = run(survey, f"{HEADER}\nA,,S,I,2024,{mean},{sd},{n}\n", "--json")
    assert result.exit_code == 0, result.stderr
    (found,) = objects(result)
    assert (found["mean"], found["sd"], found["n"]) == shown


def test_columns_may_stand_in_any_order_after_a_byte_order_mark(survey: Path) -> None:
    text = "n,sd,mean,year,indicator,specialty,site,provider\r\n25,10,50,2024,I,“S”,,A\r\n\r\n"
    result = run(survey, text.encode("utf-8-sig"), "--json")
    (found,) = objects(result)
    assert (found["provider"], found["specialty"], found["flag"]) == ("A", "“S”", "white")
    assert list(found)[:8] == HEADER.split(",")


def test_two_rows_of_the_same_result_are_named_and_both_count(survey: Path) -> None:
    text = f"{HEADER}\n{GROUP.format(year=2024)}FICTHT001,FICTHT001A,General surgery,Induction,2024,51,10,25\n"
    result = run(survey, text, "--json")
    assert result.exit_code == 1
    assert result.stderr == f"{survey}: line 7: is about the same as line 2; both count: remove one\n"
    assert len(objects(result)) == 6


def test_the_table_shows_no_number_under_three(survey: Path) -> None:
    few = "FICTHT006,,General surgery,Induction,2024,12.125,3.5,2\n"
    result = run(survey, f"{HEADER}\n{few}{GROUP.format(year=2024)}")
    assert result.exit_code == 0
    line = next(line for line in result.stdout.splitlines() if "FICTHT006" in line)
    assert [cell.strip() for cell in line.split("│")][6:9] == ["-", "under 3", "grey"]
    assert any("FICTHT001A" in line and " red " in line for line in result.stdout.splitlines())


def test_another_report_type_compares_other_rows(survey: Path) -> None:
    text = f"{HEADER}\n{GROUP.format(year=2024)}".replace("FICTHT001A,General surgery", "FICTHT001A,Medicine")
    assert objects(run(survey, text, "--json"))[0]["flag"] == "white"
    assert objects(run(survey, text, "--json", "--report", "nts-provider"))[0]["flag"] == "red"
    unknown = run(survey, text, "--report", "weather")
    assert isinstance(unknown.exception, UserError)
    assert "it knows nts, nts-provider" in str(unknown.exception)


def test_a_header_alone_is_no_error(survey: Path) -> None:
    result = run(survey, HEADER + "\n", "--json")
    assert (result.exit_code, result.stdout) == (0, "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "it is empty"),
        (HEADER.replace(",sd", "").encode(), "missing: sd"),
        (b"%PDF-1.7", "it is a PDF"),
    ],
)
def test_what_is_no_such_file_is_refused(survey: Path, text: bytes, said: str) -> None:
    result = run(survey, text)
    assert isinstance(result.exception, UserError)
    assert said in str(result.exception)
    assert result.exception.exit_code == 2


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(application("flags"), ["flags", str(tmp_path / "none.csv")])
    assert isinstance(result.exception, UserError)
    assert "can't be read: No such file" in str(result.exception)
