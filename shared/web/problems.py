"""RFC 9457 problem details: every error of every service has this one form."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import asyncpg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from shared.persistence.failures import PassingFailure, is_passing

_log = structlog.get_logger("http")

MEDIA_TYPE = "application/problem+json"

#: Longest name of a field that is repeated in a problem; an unknown one is the caller's own text.
_FIELD_LIMIT = 200


class FieldProblem(BaseModel):
    """What is wrong with one field of the request."""

    field: str = Field(description="Where: `body.impact`, `query.limit`, `header.If-Match` …", examples=["body.impact"])
    reason: str = Field(description="What is wrong and what is accepted.", examples=["Input should be at most 5"])


class ProblemDetails(BaseModel):
    """RFC 9457 problem details."""

    type: str = Field(default="about:blank", description="Kind of problem.")
    title: str = Field(description="The status in words.", examples=["Unprocessable Content"])
    status: int = Field(description="HTTP status.", examples=[422])
    detail: str = Field(description="What went wrong and how to mend it.")
    errors: list[FieldProblem] = Field(default_factory=list[FieldProblem], description="The fields at fault.")


class Problem(Exception):
    """An error for the caller. Subclasses say which status; the message says what to do."""

    status = HTTPStatus.BAD_REQUEST

    def __init__(
        self,
        detail: str,
        *,
        errors: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        #: (field, reason) pairs, the field as ``body.<name>``.
        self.errors = list(errors)
        self.headers = dict(headers or {})
        #: Further members of the problem, such as the current version.
        self.extra = dict(extra or {})


class Malformed(Problem):
    """400: a header or the request itself has not the form it must have."""


class Unauthorised(Problem):
    """401: no token, or one that proves nothing."""

    status = HTTPStatus.UNAUTHORIZED

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer"})


class Forbidden(Problem):
    """403: the caller may not do this."""

    status = HTTPStatus.FORBIDDEN


class NotFound(Problem):
    """404: there is no such thing."""

    status = HTTPStatus.NOT_FOUND


class Conflict(Problem):
    """409: the request does not fit the present state."""

    status = HTTPStatus.CONFLICT


class PreconditionFailed(Problem):
    """412: ``If-Match`` names another version than the present one."""

    status = HTTPStatus.PRECONDITION_FAILED


class Unprocessable(Problem):
    """422: well-formed, and against a rule. Name the fields in ``errors``."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY


class PreconditionRequired(Problem):
    """428: an update must say, in ``If-Match``, which version it changes."""

    status = HTTPStatus.PRECONDITION_REQUIRED


class Unavailable(Problem):
    """503: the database, or the issuer of tokens, cannot be reached; the same request may be sent again."""

    status = HTTPStatus.SERVICE_UNAVAILABLE


def install(app: FastAPI) -> None:
    """Turn every error of an application into problem details."""
    app.add_exception_handler(Problem, _of_problem)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(PassingFailure, _of_passing)
    # Named here besides Exception, which the framework raises again after answering: a lost database is no defect.
    for failure in (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, Exception):
        app.add_exception_handler(failure, _of_failure)


def answer(
    status: int,
    detail: str,
    *,
    errors: Sequence[tuple[str, str]] = (),
    headers: Mapping[str, str] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> JSONResponse:
    """A problem as a response."""
    problem = ProblemDetails(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        errors=[FieldProblem(field=field, reason=reason) for field, reason in errors],
    )
    return JSONResponse(
        {**problem.model_dump(), **(extra or {})},
        status_code=status,
        headers=dict(headers or {}),
        media_type=MEDIA_TYPE,
    )


async def _of_problem(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)
    return answer(error.status, error.detail, errors=error.errors, headers=error.headers, extra=error.extra)


async def _of_validation(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    found = [(".".join(str(part) for part in e["loc"])[:_FIELD_LIMIT], str(e["msg"])) for e in error.errors()]
    if any(e["type"] == "json_invalid" for e in error.errors()):
        return answer(400, "The body is not valid JSON.", errors=found)
    return answer(422, "The request has fields that are missing or not valid.", errors=found)


async def _of_http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return answer(error.status_code, str(error.detail), headers=error.headers)


async def _of_passing(request: Request, error: Exception) -> JSONResponse:
    _log.warning("refused for now", path=_route(request), error=repr(error))
    detail = f"Nothing was changed: {error}. Send the same request again after that."
    return answer(503, detail, headers={"Retry-After": "60"})


async def _of_failure(request: Request, error: Exception) -> JSONResponse:
    if is_passing(error):
        _log.warning("database not available", path=_route(request), error=type(error).__name__)
        return answer(
            503, "The database is not available just now; send the same request again.", headers={"Retry-After": "2"}
        )
    _log.error("request failed", path=_route(request), exc_info=error)
    return answer(500, "The service failed. The failure was logged; the request changed nothing.")


def _route(request: Request) -> str:
    return str(getattr(request.scope.get("route"), "path", "unknown"))
