"""The register for publication, over HTTP."""

from typing import Any

from fastapi import APIRouter, Depends, Response

from services.intelligence.api.searching import Searching
from services.intelligence.domain.said_and_done import COLUMNS
from services.intelligence.queries import register
from shared import sheets
from shared.security.roles import Permission
from shared.web.callers import allowed
from shared.web.queries import Reading

router = APIRouter(tags=["answers"], dependencies=[Depends(allowed(Permission.READ))])


def _file(media_type: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {media_type.partition(";")[0]: {"schema": {"type": "string", "format": "binary"}}}}}


def _named(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}


@router.get("/register.csv", summary="The register as CSV", response_class=Response, responses=_file(sheets.CSV))
async def get_register_csv(connection: Reading, search: Searching) -> Response:
    """The register in the form in which it may be published: you said, we did. It names nobody and holds no free text.

    A text that a spreadsheet program would take for a formula begins with an apostrophe.
    """
    rows = await register.entries(connection, search)
    table = sheets.csv_of(COLUMNS, [row.cells() for row in rows])
    return Response(table, media_type=sheets.CSV, headers=_named("register.csv"))


@router.get("/register.xlsx", summary="The register as XLSX", response_class=Response, responses=_file(sheets.XLSX))
async def get_register_xlsx(connection: Reading, search: Searching) -> Response:
    """The same as `/register.csv`, as a workbook. Every cell is a text."""
    rows = await register.entries(connection, search)
    table = sheets.xlsx_of("You said, we did", COLUMNS, [row.cells() for row in rows])
    return Response(table, media_type=sheets.XLSX, headers=_named("register.xlsx"))
