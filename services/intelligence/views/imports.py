"""What an import answers."""

from pydantic import BaseModel, Field


class RowProblemView(BaseModel):
    """Why a row of a file was not taken."""

    line: int = Field(description="Line of the file; the header is line 1.", examples=[7])
    column: str = Field(description="Column at fault, or empty if the whole row is.", examples=["impact"])
    reason: str = Field(description="What is wrong.", examples=["Input should be less than or equal to 5"])


class ImportReport(BaseModel):
    """What an import did."""

    added: int = Field(description="Rows that went in.")
    updated: int = Field(description="Rows that changed an entry (organisations only).")
    unchanged: int = Field(description="Rows that were there already.")
    refused: int = Field(description="Rows that were not taken.")
    problems: list[RowProblemView] = Field(description="Why, row by row.")
