"""Advisory locks are known by number alone, and all of a service's code shares one space of numbers."""

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

#: Every such number begins alike, so that it is found here.
_NUMBER = re.compile(r"^_[A-Z_]+(?:: \w+)? = (6_112_[0-9]{3})$", re.M)


@pytest.mark.parametrize("service", ["intelligence", "visits", "funding", "notify"])
def test_no_two_locks_of_a_service_have_one_number(service: str) -> None:
    found = Counter(
        number
        for folder in ("shared", f"services/{service}")
        for path in (ROOT / folder).rglob("*.py")
        for number in _NUMBER.findall(path.read_text(encoding="utf-8"))
    )
    assert len(found) >= 2
    assert [number for number, count in found.items() if count > 1] == []
