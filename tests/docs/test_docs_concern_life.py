"""The page on the life of a concern shows the machines as they are."""

import pytest

from services.intelligence.domain.life import MACHINES
from shared.contracts.training import RestorationReason, SuspensionReason, TrainingBasis
from tests.docs.documents import DOCS, rows, section

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
