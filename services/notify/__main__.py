"""``python -m services.notify``."""

from services.notify.app import SPEC, Settings
from shared.service.application import main

if __name__ == "__main__":
    main(SPEC, Settings)
