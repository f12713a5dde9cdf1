"""The shipped files, read as they are."""

import csv

import pytest

from shared.reference import files

Row = dict[str, str]


def _read(name: str) -> list[Row]:
    with files.path(name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, strict=True))


@pytest.fixture(scope="session")
def real_provider_rows() -> list[Row]:
    return _read("providers.csv")


@pytest.fixture(scope="session")
def fictional_provider_rows() -> list[Row]:
    return _read("providers-synthetic.csv")


@pytest.fixture(scope="session")
def published_concerns() -> list[Row]:
    return _read("concerns-published.csv")


@pytest.fixture(scope="session")
def synthetic_concerns() -> list[Row]:
    return _read("concerns-synthetic-2023-24.csv")


@pytest.fixture(scope="session")
def real_providers(real_provider_rows: list[Row]) -> dict[str, Row]:
    return {row["ods_code"]: row for row in real_provider_rows}


@pytest.fixture(scope="session")
def fictional_providers(fictional_provider_rows: list[Row]) -> dict[str, Row]:
    return {row["ods_code"]: row for row in fictional_provider_rows}
