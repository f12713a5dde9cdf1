"""HTTP of the visits service."""

from fastapi import APIRouter

from services.visits.api import outcomes, people, requirements, visits

router = APIRouter()
for _part in (people, requirements, visits, outcomes):
    router.include_router(_part.router)
