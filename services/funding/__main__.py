"""Run the funding service: ``python -m services.funding``."""

from services.funding.app import SPEC, Settings
from shared.service.application import main

if __name__ == "__main__":
    main(SPEC, Settings)
