"""A whole stack of real processes, on ports and a folder of its own."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import ports
from deploy.local.stack import Options, Stack
from tests.fixtures.infrastructure import free_port_base


@pytest.fixture(scope="session")
def stack(pytestconfig: pytest.Config) -> Iterator[Stack]:
    """The system as `qc up` starts it, by the same rule for the broker; for all tests of this folder."""
    folder = Path(tempfile.mkdtemp(prefix="quality-cycle-e2e-"))
    folder.chmod(0o711)
    options = Options(
        data_dir=folder / "data", ports=ports.Ports(free_port_base()), durable=False, die_with_parent=True
    )
    try:
        with Stack(options) as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)
