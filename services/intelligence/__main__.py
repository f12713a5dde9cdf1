"""Run the service: ``python -m services.intelligence``."""

from services.intelligence.app import SPEC, Settings
from shared.service.application import main

if __name__ == "__main__":
    main(SPEC, Settings)
