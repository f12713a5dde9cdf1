"""The rooms hold what they say: the same in every service, SQL only where it belongs, modules of one subject."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("intelligence", "visits", "funding", "notify")
SOURCES = sorted(
    path for folder in ("services", "shared", "deploy") for path in (ROOT / folder).rglob("*.py") if path.is_file()
)
_SQL = re.compile(r"^\s*(select\s.+\sfrom\s|insert\s+into\s|update\s+\w+\s.*\bset\s|delete\s+from\s)", re.I | re.S)
_SQL_ROOMS = re.compile(r"^(services/\w+/store(/\w+)?\.py|shared/(persistence|messaging(/\w+)?)/\w+\.py)$")

#: The making of roles and databases on one machine is administration, not a service's.
_ADMINISTRATION = {"deploy/local/postgres.py"}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_the_same_rooms(service: str) -> None:
    folder = ROOT / "services" / service
    for room in ("__main__", "app", "api", "commands", "queries", "reactions", "store", "domain", "views", "metrics"):
        assert (folder / f"{room}.py").is_file() or (folder / room / "__init__.py").is_file(), room
    assert list((folder / "migrations").glob("0001_*.sql"))


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_sql_stands_only_in_its_rooms(path: Path) -> None:
    if _SQL_ROOMS.match(relative(path)) or relative(path) in _ADMINISTRATION:
        return
    strings = [
        node.value
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert [text for text in strings if _SQL.match(text)] == []


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_a_module_says_what_it_is_for_and_has_one_subject(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(source)), "a module begins with what it is for"
    assert source.count("\n") <= 500, "two subjects are two modules"


def test_a_module_of_tests_has_one_subject() -> None:
    long = [relative(path) for path in (ROOT / "tests").rglob("*.py") if path.read_text("utf-8").count("\n") > 500]
    assert long == [], "two subjects are two modules"


@pytest.mark.parametrize("path", [p for p in SOURCES if re.match(r"services/\w+/domain/", relative(p))], ids=relative)
def test_a_domain_has_no_clock_and_no_randomness(path: Path) -> None:
    names = {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    forbidden = {"datetime.now", "datetime.utcnow", "date.today", "time.time", "uuid.uuid4", "random.random"}
    assert names & forbidden == set()
