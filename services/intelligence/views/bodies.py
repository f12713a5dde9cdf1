"""What the bodies of requests have in common."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from shared.contracts.fields import StandardNumber

#: Numbers of standards.
Standards = Annotated[list[StandardNumber], Field(max_length=60)]


class Body(BaseModel):
    """Base of what is taken: a field nobody knows is an error of the caller."""

    model_config = ConfigDict(extra="forbid")
