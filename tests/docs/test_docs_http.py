"""The page on HTTP lists every endpoint with its permission, and what each role may do."""

import pytest

from deploy.local.stack import SERVICES
from shared.security.roles import PERMISSIONS, Permission, Role
from shared.web.problems import Problem
from tests.docs import applications
from tests.docs.documents import REFERENCE, code, rows, section

PAGE = REFERENCE / "http.md"


@pytest.mark.parametrize("service", SERVICES)
def test_every_endpoint_of_a_service_stands_there_with_its_permission(service: str) -> None:
    expected = [
        [f"`{method}`", f"`{path}`", f"`{permission}`", summary]
        for name, method, path, permission, summary in applications.endpoints()
        if name == service
    ]
    assert list(rows(section(PAGE, f"Endpoints of {service}"))) == expected


def test_what_each_role_may_do_is_as_in_the_code() -> None:
    expected = [
        [f"`{permission.value}`", *("yes" if permission in PERMISSIONS[role] else "" for role in Role)]
        for permission in Permission
    ]
    text = section(PAGE, "Roles and permissions")
    assert list(rows(text)) == expected
    head = next(line for line in text.splitlines() if line.startswith("|"))
    assert [code(cell.strip()) for cell in head.split("|")[2:-1]] == [role.value for role in Role]


def test_every_status_of_a_problem_is_explained() -> None:
    documented = {int(row[0]) for row in rows(section(PAGE, "Problems"))}
    assert {int(kind.status) for kind in [Problem, *Problem.__subclasses__()]} <= documented
