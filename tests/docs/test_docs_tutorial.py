"""The tutorial and what goes on from it work: the commands are carried out as they stand, on real processes."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.docs.documents import DOCS, ROOT, blocks

TUTORIAL = DOCS / "tutorial.md"
#: Goes on with the tutorial's concern and functions.
MORE = DOCS / "how-to" / "manage-a-concern.md"
DIVIDE = "what-goes-on-from-the-tutorial"


def script(port_base: int, folder: Path) -> str:
    """All commands of the tutorial, and those that go on from it, with ports and a folder of this test alone."""
    tutorial = blocks(TUTORIAL, "bash")
    (end,) = (place for place, block in enumerate(tutorial) if block.startswith("kill -9"))
    text = "\n".join([*tutorial[:end], f"echo {DIVIDE}", *blocks(MORE, "bash"), *tutorial[end:]])
    for written, meant in (
        ("make setup\n", ""),
        ("QC_PORT_BASE=8600", f"QC_PORT_BASE={port_base}"),
        ('QC_DATA_DIR="$PWD/.qc/tutorial"', f'QC_DATA_DIR="{folder}"'),
    ):
        assert text.count(written) == 1, f"the tutorial has no {written!r} any more"
        text = text.replace(written, meant)
    return f"set -euo pipefail\n{text}"


@pytest.mark.timeout(300)
def test_every_command_of_the_tutorial_does_what_it_says(port_base: int, open_folder: Path) -> None:
    folder = open_folder / "data"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("QC_")}
    try:
        done = subprocess.run(
            ["bash", "-c", script(port_base, folder)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )
    finally:
        subprocess.run(
            [ROOT / ".venv" / "bin" / "qc", "down"],
            env={**environment, "QC_PORT_BASE": str(port_base), "QC_DATA_DIR": str(folder)},
            capture_output=True,
            check=False,
        )
    said = done.stdout
    assert done.returncode == 0, f"{said[-2000:]}\n{done.stderr[-2000:]}"
    more = said.partition(f"\n{DIVIDE}\n")[2]
    assert more.startswith("reopened\n4\nsuspended\nrunning\n")
    assert "\nremoved_conditionally\n" in more
    assert '{"name":"Ash Quillfeather","contact":"ash@learners.example"}\n{"erased":true}' in more
    printed = [line for text in blocks(TUTORIAL, "text")[:1] for line in text.splitlines()]
    assert set(printed) <= set(said.splitlines()), "what the tutorial shows is not what comes"
    assert "27 rows: 27 added, 0 updated, 0 there already, 0 refused" in said
    assert re.findall(r'"status":(\d+)', said) == ["403", "422", "422", "422", "403", "409"]
    assert '"balanced":true' in said
    assert "12 rows: 12 added, 0 updated, 0 there already, 0 refused" in said
    assert "The two intervals do not even touch: red." in said
    assert '"code": "triple-red"' in said
    assert "\nmet\ndue\neffective\noff\nclosed\n" in said
    assert '"you_said","we_did"' in said
    told = re.findall(r"^[0-9a-f-]{36} ([a-z.-]+)\.v1 \| ", said, re.M)
    # Its services answer in their own time: only what one of them says is in a certain order.
    assert sorted(told) == sorted(
        [
            "concern.raised",
            "concern.rated",
            "concern.escalated",
            "condition.set",
            "visit.required",
            "visit.scheduled",
            "outcome.recorded",
            "investment.proposed",
            "investment.adjusted",
            "condition.settled",
            "concern.de-escalated",
            "concern.closed",
        ]
    )
    assert "ENDED" in said
    assert "funding is ready." in said
