"""HTTP in: parse, authorise, call one command or query."""

from fastapi import APIRouter

from services.intelligence.api import concerns, imports, items, providers

router = APIRouter()
for part in (providers, items, concerns, imports):
    router.include_router(part.router)
