"""A register goes in whole and once, also when the service is killed in the middle of the import."""

import csv
import io
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from deploy.local.stack import Stack
from shared.reference import files


def long_register(rows: int) -> str:
    """A register of many rows, made from the shipped synthetic year with references of their own."""
    year = list(csv.DictReader(io.StringIO(files.path("concerns-synthetic-2023-24.csv").read_text(encoding="utf-8"))))
    out = io.StringIO()
    writer = csv.DictWriter(out, year[0].keys())
    writer.writeheader()
    writer.writerows({**year[n % len(year)], "reference": f"LONG-{n:05}"} for n in range(rows))
    return out.getvalue()


def qc(stack: Stack, *arguments: str) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "QC_DATA_DIR": str(stack.options.data_dir),
        "QC_PORT_BASE": str(stack.options.ports.base),
    }
    program = str(Path(sys.executable).with_name("qc"))
    return subprocess.Popen(
        [program, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.timeout(180)
def test_an_import_that_is_killed_goes_on_where_it_was_and_puts_each_row_in_once(stack: Stack, tmp_path: Path) -> None:
    rows = 3_000
    file = tmp_path / "long.csv"
    file.write_text(long_register(rows), encoding="utf-8")
    for name in ("providers.csv", "providers-synthetic.csv"):
        assert qc(stack, "import", "providers", str(files.path(name))).wait(60) == 0
    random_ = random.Random(7)
    broken = 0
    while True:
        run = qc(stack, "import", "concerns", str(file), "--json")
        if broken < 3:
            time.sleep(random_.uniform(0.8, 1.6))
            stack.kill("intelligence")
            broken += 1
            out, err = run.communicate(timeout=60)
            stack.restart("intelligence")
            # Killed before, in or after the import: it says so in one sentence, or it was done already.
            assert run.returncode in (0, 2), err
            if run.returncode == 2:
                assert "run the same command again" in err
            continue
        out, err = run.communicate(timeout=120)
        assert run.returncode == 0, err
        report = json.loads(out.splitlines()[-1])
        break
    assert (report["rows"], report["refused"]) == (rows, 0)
    assert report["added"] + report["unchanged"] == rows
    again, _ = qc(stack, "import", "concerns", str(file), "--json").communicate(timeout=120)
    assert json.loads(again.splitlines()[-1])["unchanged"] == rows


def survey(rows: int) -> str:
    """A survey of many results, each of its own; one row is bad."""
    lines = ["provider,site,specialty,indicator,year,mean,sd,n"]
    lines += [f"FICT{n // 180:05},,S{n % 10},I{n // 10 % 18},2024,{40 + n % 50}.5,10,{n % 30}" for n in range(rows)]
    return "\n".join([*lines, "FICT00000,,S0,I0,not a year,50,10,5"]) + "\n"


@pytest.mark.timeout(300)
def test_a_survey_killed_in_mid_import_goes_in_once(stack: Stack, tmp_path: Path) -> None:
    rows = 150_000
    file = tmp_path / "survey.csv"
    file.write_text(survey(rows), encoding="utf-8")
    random_ = random.Random(11)
    for _ in range(3):
        run = qc(stack, "import", "nts", str(file), "--json")
        time.sleep(random_.uniform(0.9, 2.5))
        stack.kill("intelligence")
        _, err = run.communicate(timeout=60)
        stack.restart("intelligence")
        assert run.returncode in (1, 2), err
    reports: list[dict[str, Any]] = []
    for _ in range(2):
        run = qc(stack, "import", "nts", str(file), "--json")
        out, err = run.communicate(timeout=200)
        assert run.returncode == 1, err
        reports.append(json.loads(out.splitlines()[-1]))
    for report in reports:
        assert (report["rows"], report["refused"]) == (rows + 1, 1)
        assert report["added"] + report["unchanged"] == rows
        assert [(one["line"], one["column"]) for one in report["problems"]] == [(rows + 2, "year")]
    assert reports[1]["added"] == 0
