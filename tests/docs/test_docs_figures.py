"""The reference explains every figure there is, with its bar."""

import re

from benchmarks.figures import APACHE_BARS
from tests.docs.documents import DOCS


def test_every_figure_is_explained() -> None:
    text = (DOCS / "reference" / "benchmarks.md").read_text(encoding="utf-8")
    explained = re.findall(r"^\| `([a-z0-9_]+)` \| at (?:least|most) ([0-9.]+)", text, re.M)
    assert {name: float(bar) for name, bar in explained} == {name: bar.value for name, bar in APACHE_BARS.items()}
