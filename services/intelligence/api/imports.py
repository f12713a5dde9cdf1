"""Registers as CSV over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from services.intelligence.commands import imports
from services.intelligence.views.imports import ImportReport
from shared.security.roles import Permission
from shared.web.commands import Command, command
from shared.web.problems import Malformed

router = APIRouter(tags=["imports"])

SkippedLines = Annotated[
    int,
    Query(
        ge=0,
        le=10_000_000,
        description="Lines of the file left out between the header and the first row, where a file is sent in parts.",
    ),
]

_CSV = {"requestBody": {"required": True, "content": {"text/csv": {"schema": {"type": "string"}}}}}


@router.post("/imports/providers", summary="Import organisations", response_model=ImportReport, openapi_extra=_CSV)
async def import_providers(
    request: Request,
    command: Annotated[Command, Depends(command(Permission.MANAGE_REGISTER))],
    skipped_lines: SkippedLines = 0,
) -> Response:
    """Take over a register of organisations. Bad rows are reported and left out; a second run changes nothing.

    Columns: `ods_code,name,kind,parent_code,valid_from,valid_to,successor_code,source`.
    """
    text = await _text(request)
    return await command.run(lambda work: imports.import_providers(work, command.caller, text, skipped_lines))


@router.post("/imports/concerns", summary="Import a concerns register", response_model=ImportReport, openapi_extra=_CSV)
async def import_concerns(
    request: Request,
    command: Annotated[Command, Depends(command(Permission.IMPORT_REGISTER))],
    skipped_lines: SkippedLines = 0,
) -> Response:
    """Take over a concerns register. Bad rows are reported and left out; a second run changes nothing.

    Columns: `reference,origin,provider_code,site_code,programme,learner_group,standards,source_kind,source_date,
    raised_on,summary,action,impact,likelihood,category,rationale,rated_on,status,closed_on,closure_reason,source`.
    """
    text = await _text(request)
    return await command.run(lambda work: imports.import_concerns(work, command.caller, text, skipped_lines))


async def _text(request: Request) -> str:
    body = await request.body()
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        line = body[: error.start].count(b"\n") + 1
        raise Malformed(
            f"The body is not UTF-8: line {line}, byte {error.start + 1}. Save the file as “CSV UTF-8”.",
            errors=[("body", f"line {line} is not UTF-8")],
        ) from error
    if "\x00" in text:
        line = text[: text.index("\x00")].count("\n") + 1
        raise Malformed(f"The body has a NUL character in line {line}; it is no CSV.", errors=[("body", "holds a NUL")])
    return text
