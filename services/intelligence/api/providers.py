"""The register of organisations over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from services.intelligence import queries
from services.intelligence.queries.profiles import profile
from services.intelligence.store import organisations
from services.intelligence.views.organisations import OrganisationView
from services.intelligence.views.profiles import ProfileView
from shared.contracts.fields import OdsCode
from shared.reference.kinds import ProviderKind
from shared.security.roles import Permission
from shared.web.callers import allowed
from shared.web.pages import Cursor, CursorText, Limit, Page
from shared.web.queries import Reading

router = APIRouter(tags=["providers"], dependencies=[Depends(allowed(Permission.READ))])

_cursor = Cursor[str](OdsCode)


@router.get("/providers", summary="List organisations")
async def list_providers(
    connection: Reading,
    kind: Annotated[ProviderKind | None, Query(description="Only of this kind.")] = None,
    parent: Annotated[OdsCode | None, Query(description="Only sites of this organisation.")] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[OrganisationView]:
    """Organisations by code. Codes that were closed are among them, with the last day and the successor."""
    found = await organisations.page(connection, kind=kind, parent=parent, after=_cursor.read(cursor), limit=limit + 1)
    return _cursor.page([OrganisationView.of(o) for o in found], limit, lambda o: o.ods_code)


@router.get("/providers/{ods_code}/profile", summary="Profile of a provider")
async def get_profile(connection: Reading, ods_code: OdsCode) -> ProfileView:
    """Open concerns, ratings over time, flags and series of a provider. It holds no free text, and no small number."""
    return await profile(connection, ods_code)


@router.get("/providers/{ods_code}", summary="One organisation")
async def get_provider(connection: Reading, ods_code: OdsCode) -> OrganisationView:
    """An organisation by its ODS code."""
    return await queries.organisation(connection, ods_code)
