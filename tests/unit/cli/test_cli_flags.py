"""What `qc flags` reads, prints and says."""

import csv
import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import services.intelligence
from deploy.cli.main import application
from deploy.local.errors import UserError
from services.intelligence.domain.flag_table import Flags, FlagTable
from services.intelligence.domain.survey_file import NO_SCORE

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
        ("A,,S,I,2024,70,10,", "column n: is missing"),
        ("A,,S,I,2024,70,10,-1", "column n: is not between 0 and 100000000"),
        ("A,,S,I,2024,70,-1,25", "column sd: is below 0"),
        ("A,,S,I,2024,,10,3", "column mean: is needed where n is 3 or more"),
        ("A,,S,I,2024,70,,3", "column sd: is needed where n is 3 or more"),
        ("A,,S,I,2024,nan,10,25", "column mean: is no number"),
        ("A,,S,I,2024,1e999,10,25", "column mean: is no number"),
        ('A,,S,I,2024,"70,5",10,25', "column mean: is no number"),
        ("A,,S,I,MMXXIV,70,10,25", "column year: is no whole number"),
        ("A,,S,I,24,70,10,25", "column year: is not between 1900 and 2200"),
        (",,S,I,2024,70,10,25", "column provider: is missing"),
        ("A,,,I,2024,70,10,25", "column specialty: is missing"),
        ("A,,S,,2024,70,10,25", "column indicator: is missing"),
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
        ("*", "n/a", "2", (None, None, 2)),
        ("007", "-0", "3", (7, 0, 3)),
    ],
)
def test_numbers_may_be_written_as_spreadsheets_write_them(
    survey: Path, mean: str, sd: str, n: str, shown: tuple[float | None, ...]
) -> None:
    result = run(survey, f"{HEADER}\nA,,S,I,2024,{mean},{sd},{n}\n", "--json")
    assert result.exit_code == 0, result.stderr
    (found,) = objects(result)
    assert (found["mean"], found["sd"], found["n"]) == shown


def test_numbers_come_back_with_all_their_digits(survey: Path) -> None:
    result = run(survey, f"{HEADER}\nA,,S,I,2024,70.12345678901234567890,.50,25\n", "--json")
    assert '"mean": 70.12345678901234567890, "sd": 0.50, "n": 25,' in result.stdout


def test_the_seventeenth_digit_decides_too(survey: Path) -> None:
    rows = "A,,S,I,2024,73.33333333333333,0,25\nB,,S,I,2024,73.33333333333334,0,25\n"
    assert [one["flag"] for one in objects(run(survey, f"{HEADER}\n{rows}", "--json"))] == ["red", "green"]


@pytest.mark.parametrize("divider", [";", "\t", "|"])
def test_cells_may_be_divided_and_quoted_otherwise(survey: Path, divider: str) -> None:
    names = ('" RWE "', '""', '"Ear, nose; throat | ""ENT"""', '"Rota\r\ndesign"')
    text = f"{HEADER},note\r\n".replace(",", divider) + divider.join((*names, "2024", "70", "1", "9", "x\r\n"))
    result = run(survey, text, "--json")
    (found,) = objects(result)
    assert list(found.values()) == [
        *("RWE", "", 'Ear, nose; throat | "ENT"', "Rota design", 2024, 70, 1, 9, "white", False)
    ]


def test_a_bad_row_below_a_cell_of_several_lines_is_named_by_its_line(survey: Path) -> None:
    result = run(survey, f'{HEADER}\nA,,"S\nT",I,2024,70,10,25\nB,,"S\nT",I,2024,many,10,25\n', "--json")
    assert result.stderr.startswith(f"{survey}: line 4, column mean: is no number")
    assert len(objects(result)) == 1


def test_what_can_be_read_only_once_is_flagged_too(survey: Path) -> None:
    os.mkfifo(survey)
    text = f"{HEADER}\n{GROUP.format(year=2024)}"
    writer = threading.Thread(target=survey.write_text, args=(text,))
    writer.start()
    result = CliRunner().invoke(application("flags"), ["flags", str(survey), "--json"])
    writer.join()
    assert [one["flag"] for one in objects(result)] == ["red", "white", "white", "white", "green"]


@pytest.mark.parametrize("rows", [1, 9])
def test_a_file_that_changes_while_it_is_read_is_refused(
    survey: Path, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = "A,,S,I,2024,70,10,25\n"

    class Changed(FlagTable):
        def flags(self) -> Flags:
            survey.write_text(f"{HEADER}\n{row * rows}")
            return super().flags()

    monkeypatch.setattr("deploy.cli.flags.FlagTable", Changed)
    result = run(survey, f"{HEADER}\n{GROUP.format(year=2024)}", "--json")
    assert isinstance(result.exception, UserError)
    assert "was changed while it was read" in str(result.exception)


def test_many_rows_need_little_memory(tmp_path: Path) -> None:
    file, out = tmp_path / "long.csv", tmp_path / "flags.jsonl"
    with file.open("w") as opened:
        opened.write(f"{HEADER}\n")
        for n in range(200_000):
            opened.write(
                f"FICT{n // 90:05},,Specialty {n % 5},Indicator {n // 5 % 18},2024,{n % 9973 / 100},{n % 97},9\n"
            )
    script = (
        "import resource, sys; from deploy.cli.main import application\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "application('flags')(standalone_mode=False)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, file=sys.stderr)"
    )
    with out.open("w") as stdout:
        run = subprocess.run(
            [sys.executable, "-c", script, "flags", str(file), "--json"],
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            check=True,
        )
    assert sum(1 for _ in out.open()) == 200_000
    # A fifth of a million rows within a fifth of 240 MB, which leaves room for the program itself under 300.
    assert int(run.stderr) < 48_000, "kB"


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


def test_where_no_score_is_published_exports_write_what_an_import_takes_too() -> None:
    shipped = json.loads((Path(services.intelligence.__file__).parent / "sources" / "nts.json").read_text("utf-8"))
    assert {"", *shipped["empty"]} == NO_SCORE
