"""The table of configuration is the truth: every variable, its default and its meaning."""

import re
from collections.abc import Iterator

import pytest
from pydantic.fields import FieldInfo

from deploy.local.stack import SERVICES
from shared.service.settings import ServiceSettings
from tests.docs import applications
from tests.docs.documents import REFERENCE, ROOT, code, rows, section

PAGE = REFERENCE / "configuration.md"

_VARIABLE = re.compile(r"\bQC_[A-Z]+(?:_[A-Z]+)*\b")

#: Where variables are read, set or explained.
_PLACES = ("Makefile", ".ci/run", ".env.example", "docker-compose.yml", "shared", "services", "deploy", "tests")


def default_of(field: FieldInfo) -> str:
    """A field's default as the table writes it."""
    if field.is_required():
        return "required"
    value = field.default
    if value is None:
        return "none"
    return f"`{str(value).lower() if isinstance(value, bool) else f'{value:g}' if isinstance(value, float) else value}`"


def declared(fields: dict[str, FieldInfo]) -> list[list[str]]:
    return [[f"`QC_{name.upper()}`", default_of(field), str(field.description)] for name, field in fields.items()]


def test_every_setting_of_every_service_stands_there_with_its_default_and_meaning() -> None:
    assert list(rows(section(PAGE, "Every service"))) == declared(dict(ServiceSettings.model_fields))


@pytest.mark.parametrize("service", SERVICES)
def test_every_further_setting_of_a_service_stands_there(service: str) -> None:
    own = {
        name: field
        for name, field in applications.settings(service).model_fields.items()
        if name not in ServiceSettings.model_fields
    }
    assert not own or list(rows(section(PAGE, f"Only {service}"))) == declared(own)


def named_in_the_project() -> Iterator[str]:
    for place in _PLACES:
        path = ROOT / place
        for file in [path] if path.is_file() else path.rglob("*"):
            if file.suffix in {".py", ".sh", ".yml", ".example", ""} and file.is_file() and "docs" not in file.parts:
                yield from _VARIABLE.findall(file.read_text(encoding="utf-8", errors="ignore"))
    for service in SERVICES:
        yield from (f"QC_{name.upper()}" for name in applications.settings(service).model_fields)


def test_every_variable_that_the_project_names_is_explained_and_no_other() -> None:
    documented = {code(row[0]) for row in rows(PAGE.read_text(encoding="utf-8")) if row[0].startswith("`QC_")}
    # A name built from a service's name, as in f"QC_{service}_DB_PASSWORD", is found in the compose file instead.
    assert documented == set(named_in_the_project())
