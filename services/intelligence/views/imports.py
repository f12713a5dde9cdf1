"""What an import answers."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel, Field

from shared.imports.problems import RowProblem
from shared.persistence.import_files import ImportFile


class RowProblemView(BaseModel):
    """Why a row of a file was not taken."""

    line: int = Field(description="Line of the file, or row of its sheet; the first is 1.", examples=[7])
    column: str = Field(description="Column at fault, or empty if the whole row is.", examples=["impact"])
    reason: str = Field(description="What is wrong.", examples=["Input should be less than or equal to 5"])

    @classmethod
    def of(cls, problem: RowProblem) -> Self:
        """The view of a problem."""
        return cls.model_validate(problem, from_attributes=True)


class ImportFileView(BaseModel):
    """A file that was sent, and how far it is."""

    id: int = Field(description="Its number: flags and items name it.")
    source: str = Field(description="Source it was read as.", examples=["nts"])
    name: str = Field(description="What it was called.", examples=["nts-2024.csv"])
    digest: str = Field(description="SHA-256 of its bytes, in hexadecimal.")
    size: int = Field(description="Bytes.")
    sent_at: datetime = Field(description="When it was first sent, UTC.")
    finished_at: datetime | None = Field(description="When it was all in; its rows do not count before.")
    bytes_read: int = Field(description="About how many of its bytes are done.")
    added: int = Field(description="Rows that went in.")
    updated: int = Field(description="Rows that changed or corrected what was there.")
    unchanged: int = Field(description="Rows that were there already.")
    refused: int = Field(description="Rows that were not taken.")

    @classmethod
    def of(cls, file: ImportFile) -> Self:
        """The view of a file."""
        return cls(
            id=file.id,
            source=file.source,
            name=file.name,
            digest=file.digest.hex(),
            size=file.size,
            sent_at=file.began_at,
            finished_at=file.finished_at,
            bytes_read=file.bytes_read,
            added=file.added,
            updated=file.updated,
            unchanged=file.unchanged,
            refused=file.refused,
        )


class ImportReport(BaseModel):
    """What an import did."""

    file_id: int = Field(description="Number of the file: `/import-files/{file_id}`.")
    added: int = Field(description="Rows that went in.")
    updated: int = Field(description="Rows that changed or corrected what was there.")
    unchanged: int = Field(description="Rows that were there already.")
    refused: int = Field(description="Rows that were not taken.")
    problems: list[RowProblemView] = Field(
        description="Why, by line: the first 200. All of them: `/import-files/{file_id}/problems`."
    )


class SourceView(BaseModel):
    """A source whose files are taken."""

    source: str = Field(description="Its name, for `POST /imports/{source}`.", examples=["nts"])
    title: str = Field(description="What it is.")
    takes: str = Field(description="What its rows become.", examples=["survey_results"])
    columns: dict[str, list[str]] = Field(description="For each field the names its column may have.")
