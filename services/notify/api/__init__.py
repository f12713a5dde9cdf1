"""HTTP in: parse, authorise, call one command or query."""

from fastapi import APIRouter

from services.notify.api import deliveries, feed, stakeholders

router = APIRouter()
for part in (stakeholders, deliveries, feed):
    router.include_router(part.router)
