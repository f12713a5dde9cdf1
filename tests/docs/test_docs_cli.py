"""Every command of `qc` and every option it has is documented, and none that it has not."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from deploy.cli.main import COMMANDS, application
from tests.docs.documents import REFERENCE, all_documents, blocks, prose, section

PAGE = REFERENCE / "cli.md"


def commands() -> Iterator[tuple[str, Any]]:
    """Every command with its full name, such as `import concerns`."""
    for name in COMMANDS:
        found: Any = typer.main.get_command(application(name))
        command = found.commands[name]
        inner = getattr(command, "commands", None)
        if inner is None:
            yield name, command
        else:
            yield from ((f"{name} {sub}", one) for sub, one in inner.items())


ALL = dict(commands())


@pytest.mark.parametrize("name", ALL)
def test_a_command_is_documented_with_its_options(name: str) -> None:
    options = {
        max(parameter.opts, key=len)
        for parameter in ALL[name].params
        if parameter.param_type_name == "option" and parameter.name != "help"
    }
    text = section(PAGE, f"qc {name}")
    assert set(re.findall(r"`(--[a-z-]+)", text)) == options


def test_no_other_command_is_documented() -> None:
    documented = re.findall(r"^##+ qc (.+)$", PAGE.read_text(encoding="utf-8"), re.M)
    assert sorted(documented) == sorted(ALL)


def test_every_command_that_a_document_shows_exists() -> None:
    groups = {name.split()[0] for name in ALL if " " in name}
    called = re.compile(r"(?:^|[^\w./-])(?:\.venv/bin/)?qc ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?", re.M)
    for path in all_documents():
        shown = [*blocks(path, "bash"), *re.findall(r"`((?:\.venv/bin/)?qc [^`]+)`", prose(path))]
        for command, second in called.findall("\n".join(shown)):
            exists = command in ALL or (command in groups and (not second or f"{command} {second}" in ALL))
            assert exists, f"{path.name} shows qc {command} {second}"
