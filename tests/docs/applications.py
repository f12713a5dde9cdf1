"""The four services as the documents describe them: their applications, without a database or a broker."""

import importlib
import inspect
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from deploy.local.stack import SERVICES
from shared.security.roles import Permission
from shared.service.application import build
from shared.service.runtime import ServiceSpec
from shared.service.settings import ServiceSettings

_NEEDED = {
    "database_url": "postgresql://localhost/none",
    "kafka_bootstrap": "localhost:1",
    "http_port": 1,
    "jwt_secret": "x" * 32,
    "pseudonym_key": "x" * 32,
    "smtp_host": "localhost",
    "smtp_sender": "quality-cycle@localhost.test",
}


def spec(service: str) -> ServiceSpec:
    """What a service is made of."""
    return importlib.import_module(f"services.{service}.app").SPEC


def settings(service: str) -> type[ServiceSettings]:
    """The class of a service's settings."""
    return importlib.import_module(f"services.{service}.app").Settings


@cache
def application(service: str) -> FastAPI:
    """A service's application, not started."""
    kind = settings(service)
    return build(spec(service), kind(**{k: v for k, v in _NEEDED.items() if k in kind.model_fields}), deliver=False)


def endpoints() -> Iterator[tuple[str, str, str, str, str]]:
    """Every endpoint of a stage: service, method, path, permission and summary, in the order of the description."""
    for service in SERVICES:
        routes = {(method, route.path): route for route in _routes(application(service)) for method in route.methods}
        for path, operations in application(service).openapi()["paths"].items():
            for method, operation in operations.items():
                if "operations" not in operation.get("tags", []):
                    asked = permission(routes[method.upper(), path].dependant)
                    yield service, method.upper(), path, asked, operation["summary"]


def _routes(app: FastAPI) -> Iterator[Any]:
    """The routes of an application; the framework keeps those of an included router in an entry of their own."""
    for route in app.routes:
        if hasattr(route, "effective_route_contexts"):
            yield from route.effective_route_contexts()  # pyright: ignore[reportAttributeAccessIssue]
        elif isinstance(route, APIRoute):
            yield route


def permission(dependant: Dependant) -> str:
    """The permission that an endpoint's dependencies ask for."""
    found = {one.value for one in _permissions(dependant)}
    assert len(found) == 1, f"{dependant.path}: {found or 'anybody may call it'}"
    return found.pop()


def _permissions(dependant: Dependant) -> Iterator[Permission]:
    for dependency in dependant.dependencies:
        call: Callable[..., Any] | None = dependency.call
        if inspect.isfunction(call):
            asked = inspect.getclosurevars(call).nonlocals.get("permission")
            if isinstance(asked, Permission):
                yield asked
        yield from _permissions(dependency)
