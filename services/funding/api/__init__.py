"""HTTP of the funding stage, one module per resource."""

from fastapi import APIRouter

from services.funding.api import agreements, ledger, proposals

router = APIRouter()
router.include_router(agreements.router)
router.include_router(proposals.router)
router.include_router(ledger.router)
