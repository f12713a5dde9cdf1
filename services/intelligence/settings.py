"""Settings of the intelligence service."""

from pathlib import Path

from pydantic import Field

from shared.service.settings import ServiceSettings


class Settings(ServiceSettings):
    """What only this service has to know."""

    sources_folder: Path | None = Field(
        default=None, description="Folder with mapping files of the office's own; one replaces that of the same source."
    )
