"""Which tests of the chaos suite run when: those that take minutes only when they are asked for."""

import os

import pytest

#: Set to 1 to run the slow tests too.
_ASKED_FOR = "QC_SLOW_TESTS"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"slow: takes a minute or more; runs only with {_ASKED_FOR}=1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get(_ASKED_FOR) == "1":
        return
    for item in items:
        if item.get_closest_marker("slow") is not None:
            item.add_marker(pytest.mark.skip(reason=f"takes a minute or more; {_ASKED_FOR}=1 runs it"))
