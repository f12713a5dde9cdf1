"""Who raised a concern, as it is taken and answered: to one role alone."""

from pydantic import BaseModel, Field

from services.intelligence.views.bodies import Body
from shared.contracts.fields import Line


class Reporter(Body):
    """Who raised a concern: kept apart from it, in no event, and every look is logged."""

    name: Line = Field(description="Name.", examples=["(withheld)"])
    contact: Line = Field(description="How to reach them.", examples=["(withheld)"])


class ReporterAccess(Body):
    """Why somebody looks at, or erases, who raised a concern. It is logged."""

    reason: Line = Field(description="Why.", examples=["To ask whether they agree to be quoted."])


class ReporterView(BaseModel):
    """Who raised a concern; null where nobody said, or it was erased."""

    name: str | None = Field(description="Name.")
    contact: str | None = Field(description="How to reach them.")


class ReporterErased(BaseModel):
    """What an erasure did."""

    erased: bool = Field(description="False if there was nothing to erase.")
