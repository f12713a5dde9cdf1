"""HTTP in: parse, authorise, call one command or query."""

from fastapi import APIRouter

from services.intelligence.api import (
    concerns,
    flags,
    following_up,
    imports,
    items,
    proposals,
    providers,
    register,
    reports,
    volumes,
)

router = APIRouter()
for part in (providers, items, flags, reports, proposals, concerns, following_up, register, volumes, imports):
    router.include_router(part.router)
