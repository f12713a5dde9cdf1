"""The page on the life of a concern shows the machines as they are."""

import re

import pytest

from services.intelligence.domain.machines import MACHINES, Command
from shared.contracts.registry import by_type
from shared.contracts.training import RestorationReason, SuspensionReason, TrainingBasis
from tests.docs import applications
from tests.docs.documents import DOCS, blocks, rows, section

PAGE = DOCS / "explanation" / "concern-life.md"

SECTIONS = {
    "concern": "The concern",
    "register": "Three registers",
    "effectiveness check": "The effectiveness check",
    "exit condition": "Exit conditions",
    "training": "Training",
}


@pytest.mark.parametrize("machine", MACHINES)
def test_the_table_of_a_machine_is_the_one_that_is_checked(machine: str) -> None:
    shown = [row for row in rows(section(PAGE, SECTIONS[machine])) if len(row) == 4]
    assert shown == [
        [source, command, target, "yes" if needed else "no"]
        for source, command, target, needed in MACHINES[machine].table()
    ]


def test_every_reason_for_a_change_of_training_is_listed_by_its_basis() -> None:
    shown = {row[0]: row[1:] for row in rows(section(PAGE, "Training")) if len(row) == 3}
    for name, reasons in (("suspended", SuspensionReason), ("restored", RestorationReason)):
        for basis, cell in zip(TrainingBasis, shown[name], strict=True):
            assert cell.partition(":")[0] == ", ".join(reason for reason in reasons if reason.basis is basis)


@pytest.mark.parametrize("machine", MACHINES)
def test_the_diagram_shows_every_change_of_state_and_no_other(machine: str) -> None:
    (diagram,) = blocks(PAGE, "mermaid")
    (part,) = re.findall(rf'state "{machine}" as \w+ \{{\n(.*?)^    \}}', diagram, re.S | re.M)
    drawn = re.findall(r"^ +(\S+) --> (\S+?)(?:: (.+))?$", part, re.M)
    own = MACHINES[machine]
    expected = {(source, target, command) for source, command, target, _ in own.table() if source != target}
    expected |= {("[*]", own.initial, "")} | {(state, "[*]", "") for state in own.final}
    assert sorted(drawn) == sorted(map(tuple, expected))


def test_every_command_stands_in_the_order_of_steps_with_a_request_and_events_that_exist() -> None:
    steps = [row for row in rows(section(PAGE, "In which order, and with which requests")) if len(row) == 4]
    named = {name for _, commands, _, _ in steps for name in commands.split(", ") if name}
    assert named == {command.value for command in Command}
    known = {f"{method} {path}" for name, method, path, _, _ in applications.endpoints() if name == "intelligence"}
    for _, _, requests, events in steps:
        assert set(re.findall(r"`([^`]+)`", requests)) <= known
        assert all(by_type(f"uk.nhs.quality.{name}.v1") for name in re.findall(r"`([^`]+)`", events))
