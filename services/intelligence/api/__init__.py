"""HTTP in: parse, authorise, call one command or query."""

from fastapi import APIRouter

from services.intelligence.api import concerns, following_up, imports, items, providers, volumes

router = APIRouter()
for part in (providers, items, concerns, following_up, volumes, imports):
    router.include_router(part.router)
