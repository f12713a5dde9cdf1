"""Organisations as the register answers them."""

from datetime import date
from typing import Self

from pydantic import BaseModel, Field

from services.intelligence.domain.organisation import Organisation
from shared.reference.kinds import ProviderKind


class OrganisationView(BaseModel):
    """An organisation of the register."""

    ods_code: str = Field(description="ODS code.")
    name: str = Field(description="Name now, or the last one.")
    kind: ProviderKind = Field(description="Kind of organisation.")
    parent_code: str | None = Field(description="Of a site: its organisation.")
    valid_from: date | None = Field(description="First day of the code, if known.")
    valid_to: date | None = Field(description="Last day of the code, if it was closed.")
    successor_code: str | None = Field(description="Who took over, if known.")
    source: str = Field(description="What the entry rests on.")

    @classmethod
    def of(cls, organisation: Organisation) -> Self:
        """The view of an organisation."""
        return cls.model_validate(organisation, from_attributes=True)
