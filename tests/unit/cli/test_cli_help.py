"""What `qc --help` says of commands is said to the end."""

import re

import pytest
from typer.testing import CliRunner

from deploy.cli.main import COMMANDS, application
from services.intelligence.policies import flag_rule


@pytest.mark.parametrize("name", [None, *COMMANDS])
def test_no_line_of_a_list_of_commands_is_cut_off(name: str | None) -> None:
    shown = CliRunner().invoke(application(name), [name, "--help"] if name else ["--help"], env={"COLUMNS": "80"})
    assert shown.exit_code == 0, shown.output
    assert re.findall(r".*\w\.\.\.$", shown.output, re.M) == []


def test_the_help_of_flags_names_the_report_types() -> None:
    shown = CliRunner().invoke(application("flags"), ["flags", "--help"])
    assert all(f" {report} " in f"{shown.output.replace('.', ' ')} " for report in flag_rule().benchmark_groups)
