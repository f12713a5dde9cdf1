"""The funding stage: agreements with providers, adjustments that follow from outcomes, and the ledger of both."""
