"""`qc contracts`: what it writes, what it says and with which code it ends."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from deploy.cli.contracts import app
from deploy.local.errors import UserError
from shared.contracts.generated_files import GENERATED
from shared.contracts.registry import EVENTS


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """A ledger in which every event was released once, as it is."""
    assert _run("release", "--ledger", tmp_path / "released").exit_code == 0
    return tmp_path / "released"


def _edit(ledger: Path, event: str, field: str, **changes: Any) -> None:
    """Make as if a field had been released otherwise."""
    path = ledger / event / "0001.json"
    schema = json.loads(path.read_text())
    schema["properties"][field] |= changes
    path.write_text(json.dumps(schema))


def test_check_passes_on_this_tree() -> None:
    done = _run("check")

    assert done.exit_code == 0, done.output
    assert f"{len(EVENTS)} events fit all" in done.output


def test_check_names_event_field_reason_direction_and_what_to_do_instead(ledger: Path) -> None:
    _edit(ledger, "concern.rated.v1", "impact", maximum=9)

    done = _run("check", "--ledger", ledger)

    assert done.exit_code == 1
    assert "concern.rated.v1  impact  its maximum changed from 9 to 5" in done.output
    assert "breaks backward, against revision 1" in done.output
    assert "new major version" in done.output


def test_check_says_the_same_in_json(ledger: Path) -> None:
    _edit(ledger, "concern.rated.v1", "impact", maximum=9)

    done = _run("check", "--json", "--ledger", ledger)

    assert done.exit_code == 1
    assert json.loads(done.output) == {
        "compatible": False,
        "breaches": [
            {
                "event": "concern.rated.v1",
                "field": "impact",
                "reason": "its maximum changed from 9 to 5: data already written may not fit",
                "direction": "backward",
                "revisions": [1],
            }
        ],
        "unreleased": ["concern.rated.v1"],
    }


def test_check_passes_but_names_what_is_not_released_yet(ledger: Path) -> None:
    _edit(ledger, "concern.rated.v1", "impact", description="Otherwise described.")

    done = _run("check", "--ledger", ledger)

    assert done.exit_code == 0, done.output
    assert "Not released yet: concern.rated.v1." in done.output


def test_release_adds_a_revision_of_what_changed_and_of_nothing_else(ledger: Path) -> None:
    _edit(ledger, "concern.rated.v1", "impact", description="Otherwise described.")
    before = {path: path.read_text() for path in ledger.rglob("*.json")}

    dry = _run("release", "--dry-run", "--ledger", ledger)
    assert dry.exit_code == 0
    assert "would release  concern.rated.v1 revision 2" in dry.output
    assert {path: path.read_text() for path in ledger.rglob("*.json")} == before

    done = _run("release", "--ledger", ledger)
    after = {path: path.read_text() for path in ledger.rglob("*.json")}
    assert done.exit_code == 0
    assert after.keys() - before.keys() == {ledger / "concern.rated.v1" / "0002.json"}
    assert before.items() <= after.items()
    assert json.loads(_run("check", "--json", "--ledger", ledger).output)["unreleased"] == []
    assert "Nothing to release" in _run("release", "--ledger", ledger).output


def test_release_refuses_what_breaks_and_writes_nothing(ledger: Path) -> None:
    _edit(ledger, "concern.rated.v1", "impact", maximum=9)
    before = sorted(ledger.rglob("*.json"))

    done = _run("release", "--ledger", ledger)

    assert done.exit_code == 1
    assert "its maximum changed from 9 to 5" in done.output
    assert sorted(ledger.rglob("*.json")) == before


def test_release_begins_a_ledger_with_every_event(tmp_path: Path) -> None:
    assert _run("release", "--ledger", tmp_path / "new").exit_code == 0

    assert sorted(path.parent.name for path in (tmp_path / "new").rglob("0001.json")) == sorted(
        spec.schema_name for spec in EVENTS
    )


def test_check_does_not_pass_for_want_of_a_ledger(tmp_path: Path) -> None:
    done = _run("check", "--ledger", tmp_path / "mistyped")

    assert isinstance(done.exception, UserError)
    assert "There are no released contracts" in str(done.exception)


def test_a_damaged_ledger_is_the_users_to_mend(ledger: Path) -> None:
    (ledger / "concern.rated.v1" / "0001.json").rename(ledger / "concern.rated.v1" / "0002.json")

    done = _run("check", "--ledger", ledger)

    assert isinstance(done.exception, UserError)
    assert "concern.rated.v1: revisions must be numbered" in str(done.exception)


def test_a_missing_jsoncompat_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "shared.contracts.compatibility", raising=False)
    monkeypatch.setitem(sys.modules, "jsoncompat", None)

    done = _run("check")

    assert isinstance(done.exception, UserError)
    assert "jsoncompat, which is not installed: run `make setup`" in str(done.exception)


def test_export_writes_what_changed_and_then_nothing(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(GENERATED, tmp_path / "generated"))
    (folder / "asyncapi.json").write_text("{}")

    checked = _run("export", "--check", "--folder", folder)
    assert checked.exit_code == 1
    assert "stale  asyncapi.json" in checked.output
    assert (folder / "asyncapi.json").read_text() == "{}"

    written = _run("export", "--json", "--folder", folder)
    assert written.exit_code == 0
    assert json.loads(written.output) == {"changed": ["asyncapi.json"], "written": True}
    assert (folder / "asyncapi.json").read_text() == (GENERATED / "asyncapi.json").read_text()

    again = _run("export", "--check", "--json", "--folder", folder)
    assert again.exit_code == 0
    assert json.loads(again.output) == {"changed": [], "written": False}


def test_a_folder_that_cannot_be_written_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    done = _run("export", "--folder", tmp_path / "file" / "generated")

    assert isinstance(done.exception, UserError)
    assert "Cannot write to" in str(done.exception)
