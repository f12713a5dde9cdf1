"""Run the visits service: ``python -m services.visits``."""

from services.visits.app import SPEC, Settings
from shared.service.application import main

if __name__ == "__main__":
    main(SPEC, Settings)
